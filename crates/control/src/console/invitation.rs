//! Taking an invitation. The secret of its link stands in the fragment, which browsers tell nobody: a small
//! script moves it into the form and takes it out of the address; without a script it is pasted. What comes
//! here comes in the body of a form, so that it is in no log, no history and no `Referer`.

use askama::Template;
use axum::response::Response;
use tollgate_core::secret::Secret;
use tollgate_store::InvitationView;

use super::{
    consumer_form::Errors,
    guest::Guest,
    shell::Shell,
    sign_in::signed_in,
    trouble::{Trouble, html, sentence},
    visit::Anybody,
};
use crate::{problem::Refused, session::SessionToken, sign_in::links};

#[derive(Template)]
#[template(path = "invitation.html")]
struct Page {
    shell: Shell,
    token: String,
    /// What the link leads to, once it was shown.
    seen: Option<InvitationView>,
    /// The address of who is signed in.
    present: Option<String>,
    csrf: String,
    name: String,
    errors: Errors,
    problem: Option<String>,
}

/// Asks for the secret of the link.
pub(crate) async fn show(visitor: Anybody) -> Result<Response, Trouble> {
    html(&Page {
        shell: Shell::alone(visitor.look, "Invitation", String::new()),
        token: String::new(),
        seen: None,
        present: None,
        csrf: String::new(),
        name: String::new(),
        errors: Errors::default(),
        problem: None,
    })
}

/// Shows what a link leads to, or takes it: as somebody new, with a password, or as who is signed in.
pub(crate) async fn take(guest: Guest) -> Result<Response, Trouble> {
    let token = secret_of(guest.fields.exact("token"));
    let (app, caller, fields) = (&guest.app, &guest.caller, &guest.fields);
    let text = |name: &str| Secret::new(fields.exact(name).to_owned());
    let taken: Result<Option<SessionToken>, Refused> = match fields.exact("act") {
        "accept" => {
            let name = fields.owned("name").unwrap_or_default();
            links::accept(app, caller, &token, (name, text("password"))).await.map(Some)
        }
        "sign-in" => {
            let code = fields.owned("code").map(Secret::new);
            links::join_with_password(app, caller, &token, (text("password"), code)).await.map(Some)
        }
        "join" => links::join(app, caller, guest.signed_in()?, &token).await.map(Some),
        _ => Ok(None),
    };
    match taken {
        Ok(Some(session)) => signed_in(&session, "/"),
        Ok(None) => page(guest, &token, (Errors::default(), None)).await,
        Err(refused) => {
            let (errors, problem) = told(refused)?;
            page(guest, &token, (errors, problem)).await
        }
    }
}

/// What is said on the page; everything else is a page of its own.
fn told(refused: Refused) -> Result<(Errors, Option<String>), Trouble> {
    Ok(match refused {
        Refused::Invalid(errors) => (Errors(errors), None),
        Refused::SignInFailed => (Errors::default(), Some("That password or code is wrong.".to_owned())),
        Refused::SecondFactorNeeded => {
            let words = "This account has a second factor: type the password again, and its code.";
            (Errors::default(), Some(words.to_owned()))
        }
        Refused::Conflict(problem) => (Errors::default(), Some(sentence(&problem))),
        other => return Err(other.into()),
    })
}

async fn page(
    guest: Guest,
    token: &Secret<String>,
    (errors, problem): (Errors, Option<String>),
) -> Result<Response, Trouble> {
    let seen = links::invitation(&guest.app, &guest.caller, token).await?;
    let mut shell = Shell::alone(guest.visitor.look, "Invitation", String::new());
    shell.now_us = guest.app.now_us();
    html(&Page {
        shell,
        token: token.expose().clone(),
        seen: Some(seen),
        present: guest.who.map(|who| who.email),
        csrf: guest.csrf,
        name: guest.fields.owned("name").unwrap_or_default(),
        errors,
        problem,
    })
}

/// The secret of a link, of which people paste the whole or the end.
pub(super) fn secret_of(pasted: &str) -> Secret<String> {
    Secret::new(pasted.trim().rsplit('#').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::secret_of;

    #[test]
    fn a_link_is_pasted_whole_or_in_part() {
        for text in ["abc", " abc\n", "#abc", "https://tollgate.example/invitation#abc", "/invitation#abc"] {
            assert_eq!(secret_of(text).expose(), "abc", "{text}");
        }
    }
}
