//! `tollgate members …`

use serde::Serialize;
use tollgate_core::{authz::Action, id::UserId};

use crate::{cli::MembersCommand, context::Context, failure::Failure};

#[derive(Serialize)]
struct Removed {
    id: UserId,
    /// Whether there was one.
    removed: bool,
}

pub(crate) async fn run(context: &Context, command: MembersCommand) -> Result<(), Failure> {
    let MembersCommand::RemoveSecondFactor { account } = command;
    let permit = context.permit(Action::ChangeMembers)?;
    let store = context.store().await?;
    let id = match account.parse::<UserId>() {
        Ok(id) => id,
        Err(_) => match store.account_by_login(&account).await? {
            Some(account) => account.id,
            None => {
                return Err(Failure::failed(format!(
                    "no account signs in with `{account}` and a password; correct the address, or give the id"
                )));
            }
        },
    };
    let removed = store.take_second_factor_away(&permit, id, context.now_us()).await?.value;
    context.printer.result(&Removed { id, removed }, || {
        if removed {
            format!("{id} has no second factor any more, and its sessions have ended.")
        } else {
            format!("{id} has no second factor; nothing was changed.")
        }
    })
}
