//! A service of kind `llm`, compiled: where calls go, in which order, and how the gateway logs in there.
//!
//! Keeps I18: whatever the client sent as a credential is gone before the provider's own is set. The
//! provider's never appears in an answer, a log or an event.

use std::{cell::Cell, sync::Arc};

use tollgate_core::{
    code::Code, llm_spec::CredentialSpec, money::price::Provider, reach::Hold, resource::ServiceKind,
    service::Service, tables::Tables,
};

use super::{
    Upstreams,
    balance::{Condition, Registry},
};
use crate::{
    denial::Denial,
    http::{
        field::{FieldName, FieldValue},
        head::RequestHead,
        upstream::Origin,
    },
    names,
    request::credential::{API_KEY, APIKEY, X_GOOG_API_KEY},
};

/// The longest credential file that is read, in bytes.
const CREDENTIAL_BYTES_MAX: usize = 16 * 1024;

/// What is special about a service of kind `llm`.
pub(crate) struct LlmService {
    /// Whose API it is.
    pub(crate) provider: Provider,
    /// Where calls go: the service's own upstreams, then its fallbacks in their order.
    pub(crate) routes: Box<[Route]>,
}

/// One place where calls go.
pub(crate) struct Route {
    /// Whose prices count.
    pub(crate) provider: Provider,
    /// The model that is asked instead of the client's.
    pub(crate) model: Option<Box<str>>,
    /// One entry for each in `conditions`.
    pub(crate) origins: Box<[Origin]>,
    pub(crate) conditions: Box<[Arc<Condition>]>,
    login: Login,
    turn: Cell<usize>,
}

/// How the gateway logs in.
enum Login {
    /// Not at all.
    Without,
    /// With this.
    With(FieldValue),
    /// With a secret that Tollgate keeps, looked up for each call.
    Kept(Box<str>),
    /// With something that is not there.
    Missing,
}

impl LlmService {
    /// Compiles it; `None` for other kinds. A credential that cannot be read goes to the log, and calls
    /// that need it are refused.
    pub(crate) fn compile(service: &Service, places: (&Registry, Hold)) -> Option<Self> {
        let spec = &service.spec;
        let provider = spec.provider.filter(|_| spec.kind == ServiceKind::Llm)?;
        let route = |upstreams: &[String], route: (Provider, Option<&str>, Option<&CredentialSpec>)| {
            let Upstreams { origins, conditions } = Upstreams::of(service, upstreams, places);
            let (priced_as, model, credential) = route;
            let login = credential.map_or(Login::Without, |from| Login::read(from, provider, service.name()));
            let model = model.map(Box::from);
            Route { provider: priced_as, model, origins, conditions, login, turn: Cell::new(0) }
        };
        let own = spec.credential.as_ref();
        let mut routes = vec![route(&spec.upstreams, (provider, None, own))];
        for fallback in &spec.fallbacks {
            let is_own = fallback.upstreams.is_empty();
            let upstreams = if is_own { &spec.upstreams } else { &fallback.upstreams };
            // A credential is not shown to others.
            let credential = fallback.credential.as_ref().or(own.filter(|_| is_own));
            let priced_as = fallback.provider.unwrap_or(provider);
            routes.push(route(upstreams, (priced_as, fallback.model.as_deref(), credential)));
        }
        Some(Self { provider, routes: routes.into() })
    }

    /// Takes every credential of the client out of a head and puts the provider's in.
    ///
    /// # Errors
    /// When it is not there now: the call must not go out without.
    pub(crate) fn log_in(
        &self,
        head: &mut RequestHead,
        route: usize,
        tables: &Tables,
        service: &Service,
    ) -> Result<(), Denial> {
        for name in [&names::AUTHORIZATION, &names::X_API_KEY, &X_GOOG_API_KEY, &API_KEY, &APIKEY] {
            head.strip(name);
        }
        // Which of the provider's own accounts pays is not for the client to say.
        head.strip(&names::OPENAI_ORGANIZATION);
        head.strip(&names::OPENAI_PROJECT);
        let missing = || {
            let detail =
                "the provider's credential is not at hand on this node; an administrator has to set it";
            Denial::new(Code::UpstreamUnreachable, detail)
        };
        let kept;
        let value = match self.routes.get(route).map(|route| &route.login) {
            Some(Login::Without) => return Ok(()),
            Some(Login::With(value)) => value,
            Some(Login::Kept(name)) => {
                let secret = tables.secret(service.project, name).ok_or_else(missing)?;
                kept = field_value(self.provider, secret.expose()).ok_or_else(missing)?;
                &kept
            }
            Some(Login::Missing) | None => return Err(missing()),
        };
        head.set(field_of(self.provider), value);
        Ok(())
    }
}

impl Route {
    /// A number that goes up by one at each call.
    pub(crate) fn turn(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn
    }
}

impl Login {
    fn read(from: &CredentialSpec, provider: Provider, service: &str) -> Self {
        let text = match from {
            CredentialSpec::Secret(name) => return Self::Kept(name.as_str().into()),
            CredentialSpec::Env(name) => variable(name),
            CredentialSpec::File(path) => file(path),
        };
        match text.and_then(|text| {
            field_value(provider, text.trim()).ok_or_else(|| "it is empty, or no header field".to_owned())
        }) {
            Ok(value) => Self::With(value),
            Err(problem) => {
                tracing::error!(service, "the provider's credential cannot be used: {problem}");
                Self::Missing
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the service itself names the variable that its operator sets")]
pub(crate) fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("variable {name}: {error}"))
}

pub(crate) fn file(path: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    if text.len() > CREDENTIAL_BYTES_MAX {
        return Err(format!("{path}: longer than {CREDENTIAL_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// The field that a provider wants its credential in.
fn field_of(provider: Provider) -> &'static FieldName {
    match provider {
        Provider::OpenAi => &names::AUTHORIZATION,
        Provider::Anthropic => &names::X_API_KEY,
        Provider::Gemini => &X_GOOG_API_KEY,
    }
}

fn field_value(provider: Provider, secret: &str) -> Option<FieldValue> {
    if secret.is_empty() {
        return None;
    }
    match provider {
        Provider::OpenAi => FieldValue::parse(format!("Bearer {secret}")).ok(),
        Provider::Anthropic | Provider::Gemini => FieldValue::parse(secret).ok(),
    }
}
