//! Creating and changing services of kind `llm`: whose API, where calls go, which secret is sent along, what
//! is tried when the upstreams cannot answer. Everything else of a service stays as `apply` wrote it.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use serde::{Deserialize, Serialize};
use tollgate_core::{
    authz::Action,
    field_error::FieldError,
    id::ServiceId,
    llm_spec::{CredentialSpec, FallbackSpec},
    money::price::Provider,
    resource::{ServiceKind, ServiceSpec},
};
use tollgate_store::{ResourceAt, ResourceId, ResourceSpec, ResourceView, Scope};

use super::{
    consumer_form::Errors,
    form::Fields,
    keys::projects,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::problem::Refused;

const PROVIDERS: [(Provider, &str); 3] = [
    (Provider::OpenAi, "https://api.openai.com"),
    (Provider::Anthropic, "https://api.anthropic.com"),
    (Provider::Gemini, "https://generativelanguage.googleapis.com"),
];

#[derive(Template)]
#[template(path = "llm_service.html")]
struct Page {
    shell: Shell,
    /// The service that is changed; `None` for a new one.
    id: Option<String>,
    version: u64,
    projects: Vec<String>,
    /// Secrets that can be named: project and name.
    secrets: Vec<(String, String)>,
    draft: Draft,
    errors: Errors,
}

/// What was typed, kept whatever is wrong with it.
struct Draft {
    project: String,
    name: String,
    provider: &'static str,
    upstreams: String,
    host: String,
    path_prefix: String,
    /// The name of a secret; empty for none.
    secret: String,
    /// A credential of the host, which stays as it is.
    of_host: Option<String>,
    fallbacks: String,
}

/// The TOML of fallbacks.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fallbacks {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fallback: Vec<FallbackSpec>,
}

impl Draft {
    fn of(spec: &ServiceSpec, project: &str) -> Self {
        let written = Fallbacks { fallback: spec.fallbacks.clone() };
        let (secret, of_host) = match &spec.credential {
            Some(CredentialSpec::Secret(name)) => (name.clone(), None),
            Some(CredentialSpec::Env(name)) => {
                (String::new(), Some(format!("the variable {name} of the nodes")))
            }
            Some(CredentialSpec::File(path)) => {
                (String::new(), Some(format!("the file {path} of the nodes")))
            }
            None => (String::new(), None),
        };
        Self {
            project: project.to_owned(),
            name: spec.name.clone(),
            provider: spec.provider.unwrap_or(Provider::OpenAi).name(),
            upstreams: spec.upstreams.join("\n"),
            host: spec.matches.host.clone().unwrap_or_default(),
            path_prefix: spec.matches.path_prefix.clone().unwrap_or_default(),
            secret,
            of_host,
            fallbacks: toml::to_string(&written).unwrap_or_default(),
        }
    }

    fn read(fields: &Fields) -> Self {
        let word = |name: &str| fields.owned(name).unwrap_or_default();
        let provider = PROVIDERS.iter().find(|(own, _)| Some(own.name()) == fields.text("provider"));
        Self {
            project: word("project"),
            name: word("name"),
            provider: provider.map_or(Provider::OpenAi, |(own, _)| *own).name(),
            upstreams: fields.exact("upstreams").to_owned(),
            host: word("host"),
            path_prefix: word("path_prefix"),
            secret: word("secret"),
            of_host: None,
            fallbacks: fields.exact("fallbacks").to_owned(),
        }
    }

    /// The service, with all that the form says nothing of as it was.
    fn spec(&self, base: ServiceSpec) -> Result<ServiceSpec, Vec<FieldError>> {
        let text = self.fallbacks.replace('\r', "");
        let written: Fallbacks =
            toml::from_str(&text).map_err(|error| vec![FieldError::new("fallback", error.message())])?;
        let own = |text: &String| (!text.is_empty()).then(|| text.clone());
        let provider =
            PROVIDERS.iter().find(|(known, _)| known.name() == self.provider).map(|(known, _)| *known);
        let upstreams: Vec<String> = self
            .upstreams
            .split(['\n', ','])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect();
        let mut matches = base.matches.clone();
        (matches.host, matches.path_prefix) = (own(&self.host), own(&self.path_prefix));
        let credential = match &base.credential {
            Some(credential) if credential.is_of_host() && self.secret.is_empty() => Some(credential.clone()),
            _ => own(&self.secret).map(CredentialSpec::Secret),
        };
        Ok(ServiceSpec { provider, upstreams, matches, credential, fallbacks: written.fallback, ..base })
    }
}

/// A service that says nothing but its kind and name.
fn bare(project: String, name: &str) -> Result<ServiceSpec, Trouble> {
    let written = serde_json::json!({ "project": project, "name": name, "kind": "llm" });
    serde_json::from_value(written).map_err(|error| {
        tracing::error!(%error, "a new service cannot be written");
        Refused::Unavailable("the form cannot be read; the log has the cause".to_owned()).into()
    })
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let mut draft = Draft::read(&visit.query);
    let own = PROVIDERS.iter().find(|(own, _)| own.name() == draft.provider);
    draft.upstreams = own.map(|(_, upstream)| (*upstream).to_owned()).unwrap_or_default();
    page(&visit, None, draft, Errors::default()).await
}

async fn page(
    visit: &Visit,
    changed: Option<(String, u64)>,
    draft: Draft,
    errors: Errors,
) -> Result<Response, Trouble> {
    let secrets = visit.store().list_secrets(Some(visit.tenant())).await?;
    let is_new = changed.is_none();
    let title = if is_new { "New model service".to_owned() } else { format!("Edit {}", draft.name) };
    let (id, version) = changed.map_or((None, 0), |(id, version)| (Some(id), version));
    html(&Page {
        id,
        version,
        projects: if is_new { projects(visit).await? } else { Vec::new() },
        secrets: secrets
            .into_iter()
            .filter(|secret| is_new || secret.project.name == draft.project)
            .map(|secret| (secret.project.name, secret.name))
            .collect(),
        draft,
        errors,
        shell: visit.shell(title),
    })
}

pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = Draft::read(&fields);
    let base = bare(format!("{}/{}", visit.who.tenant.name, draft.project), &draft.name)?;
    let made = async {
        let new = ResourceSpec::Service(Box::new(draft.spec(base).map_err(Refused::Invalid)?));
        Ok::<_, Trouble>(visit.store().create_resource(&permit, new, visit.now_us).await?)
    };
    match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/services/{}?done=created", done.value.id)).into_response())
        }
        Err(trouble) => page(&visit, None, draft, Errors::from(trouble)?).await,
    }
}

/// The service of kind `llm` of an address.
async fn seen(visit: &Visit, id: &str) -> Result<(ResourceView, ServiceId, ServiceSpec), Trouble> {
    let id: ServiceId = id.parse().map_err(|_| Trouble::absent("service"))?;
    let found = visit.store().resource(&Scope::whole(visit.tenant()), ResourceId::Service(id)).await?;
    match &found.spec {
        ResourceSpec::Service(spec) if spec.kind == ServiceKind::Llm => {
            let spec = ServiceSpec::clone(spec);
            Ok((found, id, spec))
        }
        _ => Err(Trouble::absent("model service")),
    }
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let (found, id, spec) = seen(&visit, &id).await?;
    let draft = Draft::of(&spec, &found.project.name);
    page(&visit, Some((id.to_string(), found.version)), draft, Errors::default()).await
}

pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let (found, id, spec) = seen(&visit, &id).await?;
    let own = Draft::of(&spec, &found.project.name);
    let draft = Draft { project: own.project, name: own.name, of_host: own.of_host, ..Draft::read(&fields) };
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Service(id), version };
    let saved = async {
        let new = ResourceSpec::Service(Box::new(draft.spec(spec).map_err(Refused::Invalid)?));
        Ok::<_, Trouble>(visit.store().replace_resource(&permit, at, new, visit.now_us).await?)
    };
    match saved.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/services/{id}?done=saved")).into_response())
        }
        Err(trouble) => {
            page(&visit, Some((id.to_string(), found.version)), draft, Errors::from(trouble)?).await
        }
    }
}
