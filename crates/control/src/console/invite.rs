//! Inviting somebody, and taking an invitation back. The link is mailed; where no mail is set up it is in the
//! answer of the form and nowhere else.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{authz::Action, id::InvitationId};

use super::{
    consumer_form::Errors,
    members::{Draft, consumers, page, role},
    once,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Anybody, Posted},
};
use crate::sign_in::{Invite, invite};

/// The one page with the link.
#[derive(Template)]
#[template(path = "invited.html")]
struct Invited<'a> {
    shell: Shell,
    email: &'a str,
    link: &'a str,
    expires_us: i64,
}

/// Invites somebody.
pub(crate) async fn send(visitor: Anybody, posted: Posted) -> Result<Response, Trouble> {
    once::whole(send_whole(visitor, posted)).await
}

async fn send_whole(visitor: Anybody, posted: Posted) -> Result<Response, Trouble> {
    let draft = Draft::read(&posted.fields);
    // Before anything is looked up for who may not.
    posted.visit.permit(Action::ChangeMembers)?;
    let new = async {
        let consumers = consumers(&posted.visit, &posted.fields).await?;
        Ok::<_, Trouble>(Invite { email: draft.email.clone(), role: role(&draft.role)?, consumers })
    };
    let new = match new.await {
        Ok(new) => new,
        Err(trouble) => return page(&posted.visit, draft, Errors::from(trouble)?).await,
    };
    let first = match once::take(&posted, &format!("invite {}", draft.email)).await? {
        Ok(first) => first,
        Err(path) => return Ok(Redirect::to(&path).into_response()),
    };
    let visit = &posted.visit;
    match invite(&visit.app, &visit.who, new).await {
        Ok(made) => {
            first.done(visit, "/settings/members".to_owned()).await;
            if made.is_mailed {
                return Ok(Redirect::to("/settings/members?done=invited").into_response());
            }
            let link = visitor.whole(made.link.expose());
            html(&Invited {
                shell: visit.shell("Invitation"),
                email: &draft.email,
                link: &link,
                expires_us: made.expires_us,
            })
        }
        Err(refused) => {
            let trouble = refused.into();
            first.undone(visit, &trouble).await;
            page(visit, draft, Errors::from(trouble)?).await
        }
    }
}

/// Takes an invitation back.
pub(crate) async fn withdraw(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeMembers)?;
    let id: InvitationId = id.parse().map_err(|_| Trouble::absent("invitation"))?;
    visit.store().revoke_invitation(&permit, (visit.tenant(), id), visit.now_us).await?;
    Ok(Redirect::to("/settings/members?done=withdrawn").into_response())
}
