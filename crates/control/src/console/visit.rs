//! One visit of a page: who is signed in, how the browser wants it, what it asks for. A handler that
//! takes a [`Visit`] is reached by nobody who is not signed in; one that takes a [`Posted`] neither by a
//! form of somebody else's page.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Uri, header, request::Parts},
};
use tollgate_core::{
    authz::{Action, Permit, Right, Role},
    id::TenantId,
    secret::Secret,
};
use tollgate_store::{PageRequest, Scope, Store};

use super::{form::Fields, look::Look, self_service, shell::Shell, trouble::Trouble};
use crate::{
    problem::Refused,
    session::{SignedIn, is_csrf_token, session_token},
    state::App,
};

/// Rows of a page.
const PAGE_ROWS: u32 = 50;

/// One visit of a page by somebody who is signed in.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) app: App,
    pub(crate) who: SignedIn,
    pub(crate) look: Look,
    pub(crate) query: Fields,
    /// The path with its query.
    pub(crate) path: String,
    /// The wall time of the visit, microseconds.
    pub(crate) now_us: i64,
    /// Whether htmx asks for a part of a page.
    pub(crate) is_part: bool,
}

impl Visit {
    /// The rows.
    pub(crate) fn store(&self) -> &Store {
        self.app.store()
    }

    /// The tenant of whoever visits.
    pub(crate) fn tenant(&self) -> TenantId {
        self.who.tenant.id
    }

    /// Whether the role lets something be done at all, sign-in fresh or not.
    pub(crate) fn may(&self, action: Action) -> bool {
        action.row().right(self.who.role) != Right::No
    }

    /// Whether the role lets something be done with everything of the tenant.
    pub(crate) fn may_all(&self, action: Action) -> bool {
        action.row().right(self.who.role) == Right::All
    }

    /// The right to do something.
    pub(crate) fn permit(&self, action: Action) -> Result<Permit, Trouble> {
        Ok(self.who.permit(action)?)
    }

    /// What may be seen of what an action is about.
    pub(crate) fn scope(&self, action: Action) -> Result<Scope, Trouble> {
        Ok(Scope::of(self.tenant(), &self.permit(action)?))
    }

    /// Which part of a list.
    pub(crate) fn rows(&self) -> PageRequest {
        PageRequest { limit: PAGE_ROWS, cursor: self.query.owned("cursor") }
    }

    /// The address of the next part of a list.
    pub(crate) fn older(&self, cursor: Option<&str>) -> Option<String> {
        cursor.map(|cursor| self.link(&[("cursor", Some(cursor))]))
    }

    /// This address with some names of the query changed; a change begins lists anew.
    pub(crate) fn link(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut all = vec![("cursor", None), ("done", None)];
        all.retain(|(name, _): &(&str, Option<&str>)| changes.iter().all(|(changed, _)| changed != name));
        all.extend_from_slice(changes);
        let path = self.path.split('?').next().unwrap_or("/");
        format!("{path}?{}", self.query.with(&all))
    }

    /// Where the pages of keys are for whoever visits.
    pub(crate) fn keys_base(&self) -> &'static str {
        if self.who.role == Role::Member { self_service::KEYS } else { "/keys" }
    }

    /// What surrounds a page with this title.
    pub(crate) fn shell(&self, title: impl Into<String>) -> Shell {
        Shell::of(self, title.into())
    }

    /// Waits until this node decides by a change that was just made.
    pub(crate) async fn known_here(&self, seq: u64) {
        self.app.control().follow.reach(seq).await;
    }

    async fn read(parts: &Parts, app: &App) -> Result<Self, Trouble> {
        let is_part = parts.headers.contains_key("hx-request");
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let next = if parts.method.is_safe() { path.clone() } else { "/".to_owned() };
        let who = match SignedIn::find(parts, app).await {
            Ok(Some(who)) => who,
            Ok(None) | Err(Refused::SignInMissing | Refused::SignInExpired) => {
                return Err(Trouble::sign_in(next, is_part));
            }
            Err(refused) => return Err(refused.into()),
        };
        // To people of partners everything but their own pages looks absent.
        if who.role == Role::Member && !self_service::is_for_members(parts.uri.path()) {
            return Err(Refused::not_found().into());
        }
        Ok(Self {
            app: app.clone(),
            who,
            look: Look::of(&parts.headers),
            query: Fields::read(parts.uri.query().unwrap_or_default().as_bytes()),
            path,
            now_us: app.now_us(),
            is_part,
        })
    }
}

impl FromRequestParts<App> for Visit {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Trouble> {
        Self::read(parts, app).await
    }
}

/// A form that somebody who is signed in posted from a page of this console.
pub(crate) struct Posted {
    pub(crate) visit: Visit,
    pub(crate) fields: Fields,
}

impl FromRequest<App> for Posted {
    type Rejection = Trouble;

    async fn from_request(request: Request, app: &App) -> Result<Self, Trouble> {
        let (parts, body) = request.into_parts();
        let visit = Visit::read(&parts, app).await?;
        let token = session_token(&parts.headers);
        let fields = Fields::from_request(Request::from_parts(parts, body), app).await?;
        let is_own = token.is_some_and(|token| is_csrf_token(&token, fields.exact("csrf_token").as_bytes()));
        if is_own { Ok(Self { visit, fields }) } else { Err(Refused::CsrfTokenWrong.into()) }
    }
}

/// Somebody who need not be signed in.
pub(crate) struct Anybody {
    pub(crate) look: Look,
    pub(crate) host: String,
    pub(crate) query: Fields,
    /// Whether the browser came over TLS, as far as can be told.
    pub(crate) is_secure: bool,
}

impl Anybody {
    /// A link as it is handed over: whole, also where no address of the console is configured.
    pub(crate) fn whole(&self, link: &str) -> String {
        if link.starts_with('/') { format!("http://{}{link}", self.host) } else { link.to_owned() }
    }
}

impl FromRequestParts<App> for Anybody {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let public = app.options().public_url.as_deref();
        Ok(Self {
            look: Look::of(&parts.headers),
            host: host(&parts.headers, &parts.uri),
            query: Fields::read(parts.uri.query().unwrap_or_default().as_bytes()),
            is_secure: public.is_some_and(|url| url.starts_with("https://")),
        })
    }
}

fn host(headers: &HeaderMap, uri: &Uri) -> String {
    uri.host().map_or_else(|| words(headers, header::HOST), str::to_owned)
}

fn words(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// 32 bytes of the operating system.
pub(crate) fn random_secret() -> Result<Secret<[u8; 32]>, Trouble> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gave no random numbers");
        Refused::Unavailable("the operating system gave no random numbers; try again".to_owned())
    })?;
    Ok(Secret::new(bytes))
}
