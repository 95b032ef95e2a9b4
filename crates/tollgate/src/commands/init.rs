//! `tollgate init`

use std::io::BufRead as _;

use serde::Serialize;
use tollgate_core::{authz::Action, secret::Secret};
use tollgate_store::NewInstallation;

use crate::{cli::InitArgs, context::Context, failure::Failure, password::password_hash, print};

/// The longest line that is read as a password.
const PASSWORD_BYTES_MAX: usize = 1024;

#[derive(Serialize)]
struct Initialised {
    tenant: String,
    tenant_id: String,
    owner: String,
    owner_id: String,
}

pub(crate) async fn run(context: &Context, args: InitArgs) -> Result<(), Failure> {
    let password = read_password()?;
    let permit = context.permit(Action::Initialise)?;
    let store = context.store_or_new().await?;
    let new = NewInstallation {
        tenant: args.tenant.clone(),
        owner_email: args.owner.clone(),
        password_hash: password_hash(&password)?,
    };
    let made = store.init(&permit, new, context.now_us()).await?.value;
    let shown = Initialised {
        tenant: args.tenant,
        tenant_id: made.tenant.to_string(),
        owner: args.owner,
        owner_id: made.owner.to_string(),
    };
    context.printer.result(&shown, || {
        print::fields(&[
            ("tenant", format!("{} ({})", shown.tenant, shown.tenant_id)),
            ("owner", format!("{} ({})", shown.owner, shown.owner_id)),
            ("next", "write resources.toml, then `tollgate apply -f resources.toml`; sign in at the control listener".to_owned()),
        ])
    })
}

fn read_password() -> Result<Secret<String>, Failure> {
    let mut line = String::new();
    let mut input = std::io::Read::take(std::io::stdin().lock(), PASSWORD_BYTES_MAX as u64 + 2);
    input.read_line(&mut line).map_err(|_| Failure::Usage("the password is not UTF-8 text".to_owned()))?;
    let password = Secret::new(line.trim_end_matches(['\r', '\n']).to_owned());
    if let Some(problem) = tollgate_control::password_problem(&password) {
        return Err(Failure::Usage(format!("the password on standard input cannot be taken: {problem}")));
    }
    Ok(password)
}
