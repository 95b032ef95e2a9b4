//! A form of somebody who need not be signed in, and may be: links that were mailed, for instance. That the
//! form is of this listener is checked before any route; what is done in the name of who is signed in needs
//! the session's token beside that ([`Guest::signed_in`]).

use axum::extract::{FromRequest, FromRequestParts as _, Request};

use super::{form::Fields, trouble::Trouble, visit::Anybody};
use crate::{
    problem::Refused,
    session::{SignedIn, csrf_token, is_csrf_token, session_token},
    sign_in::caller::Caller,
    state::App,
};

/// A form of anybody.
pub(crate) struct Guest {
    pub(crate) app: App,
    pub(crate) caller: Caller,
    pub(crate) visitor: Anybody,
    pub(crate) fields: Fields,
    /// Who is signed in, if anybody.
    pub(crate) who: Option<SignedIn>,
    /// The token that a form of theirs must carry; empty where nobody is signed in.
    pub(crate) csrf: String,
    is_own: bool,
}

impl Guest {
    /// Who is signed in and posted a form of theirs.
    pub(crate) fn signed_in(&self) -> Result<&SignedIn, Refused> {
        match &self.who {
            None => Err(Refused::SignInMissing),
            Some(_) if !self.is_own => Err(Refused::CsrfTokenWrong),
            Some(who) => Ok(who),
        }
    }
}

impl FromRequest<App> for Guest {
    type Rejection = Trouble;

    async fn from_request(request: Request, app: &App) -> Result<Self, Trouble> {
        let (mut parts, body) = request.into_parts();
        let Ok(caller) = Caller::from_request_parts(&mut parts, app).await;
        let Ok(visitor) = Anybody::from_request_parts(&mut parts, app).await;
        // A session that has ended is no reason to turn a guest away.
        let who = SignedIn::find(&parts, app).await.unwrap_or_default();
        let token = session_token(&parts.headers).filter(|_| who.is_some());
        let fields = Fields::from_request(Request::from_parts(parts, body), app).await?;
        let sent = fields.exact("csrf_token").as_bytes();
        Ok(Self {
            app: app.clone(),
            caller,
            visitor,
            who,
            csrf: token.as_ref().map(csrf_token).unwrap_or_default(),
            is_own: token.is_some_and(|token| is_csrf_token(&token, sent)),
            fields,
        })
    }
}
