//! Creating, changing and deleting consumers.

use std::collections::BTreeMap;

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    field_error::FieldError,
    resource::{ConsumerKind, ConsumerSpec},
};
use tollgate_store::{ResourceAt, ResourceId, ResourceSpec, Scope};

use super::{
    consumer::{Seen, kind_name, seen},
    form::Fields,
    keys::projects,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::problem::Refused;

const KINDS: [ConsumerKind; 4] =
    [ConsumerKind::Partner, ConsumerKind::User, ConsumerKind::Service, ConsumerKind::Host];

#[derive(Template)]
#[template(path = "consumer_form.html")]
struct Page {
    shell: Shell,
    /// The consumer that is changed; `None` for a new one.
    id: Option<String>,
    version: u64,
    projects: Vec<String>,
    draft: Draft,
    errors: Errors,
}

/// What was typed, kept whatever is wrong with it.
struct Draft {
    project: String,
    name: String,
    kind: &'static str,
    external_id: String,
    metadata: String,
}

impl Draft {
    fn of(spec: &ConsumerSpec, project: &str) -> Self {
        let metadata = spec.metadata.iter().map(|(name, value)| format!("{name} = {value}"));
        Self {
            project: project.to_owned(),
            name: spec.name.clone(),
            kind: kind_name(spec.kind),
            external_id: spec.external_id.clone().unwrap_or_default(),
            metadata: metadata.collect::<Vec<_>>().join("\n"),
        }
    }

    fn read(fields: &Fields) -> Self {
        let kind = KINDS.into_iter().find(|kind| Some(kind_name(*kind)) == fields.text("kind"));
        Self {
            project: fields.owned("project").unwrap_or_default(),
            name: fields.owned("name").unwrap_or_default(),
            kind: kind_name(kind.unwrap_or_default()),
            external_id: fields.owned("external_id").unwrap_or_default(),
            metadata: fields.exact("metadata").to_owned(),
        }
    }

    fn spec(&self, tenant: &str) -> Result<ConsumerSpec, Vec<FieldError>> {
        let kind = KINDS.into_iter().find(|kind| kind_name(*kind) == self.kind).unwrap_or_default();
        Ok(ConsumerSpec {
            project: format!("{tenant}/{}", self.project),
            name: self.name.clone(),
            kind,
            external_id: (!self.external_id.is_empty()).then(|| self.external_id.clone()),
            metadata: tags(&self.metadata)?,
        })
    }
}

/// Free text by name, one `name = value` a line.
pub(super) fn tags(text: &str) -> Result<BTreeMap<String, String>, Vec<FieldError>> {
    let mut found = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            let problem = format!("`{line}` has no `=`; write one `name = value` a line");
            return Err(vec![FieldError::new("metadata", problem)]);
        };
        found.insert(name.trim().to_owned(), value.trim().to_owned());
    }
    Ok(found)
}

/// What is wrong with the fields of a form.
#[derive(Default)]
pub(crate) struct Errors(pub(super) Vec<FieldError>);

/// The field of what is wrong with the form as a whole.
const FORM: &str = "form";

impl Errors {
    /// What is wrong with a field, or with a part of it.
    pub(crate) fn of(&self, name: &str) -> Option<&str> {
        let own = |error: &&FieldError| {
            error.field.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
        };
        self.0.iter().find(own).map(|error| error.problem.as_str())
    }

    /// What is wrong with none of these fields.
    pub(crate) fn beside(&self, names: &[&str]) -> Vec<String> {
        let known = |error: &FieldError| {
            names.iter().any(|name| {
                let rest = error.field.strip_prefix(name);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['[', '.']))
            })
        };
        let words = |error: &FieldError| {
            if error.field == FORM { error.problem.clone() } else { error.to_string() }
        };
        self.0.iter().filter(|error| !known(error)).map(words).collect()
    }

    /// What a form is told about; everything else is a page of its own.
    pub(super) fn from(trouble: Trouble) -> Result<Self, Trouble> {
        match trouble {
            Trouble::Refused(Refused::Invalid(errors)) => Ok(Self(errors)),
            Trouble::Refused(Refused::Conflict(problem) | Refused::NotFound(problem)) => {
                Ok(Self(vec![FieldError::new(FORM, problem)]))
            }
            Trouble::Refused(refused @ Refused::Outdated(_)) => {
                Ok(Self(vec![FieldError::new(FORM, refused.detail())]))
            }
            other => Err(other),
        }
    }
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let projects = projects(&visit).await?;
    let project = visit.query.owned("project").or_else(|| projects.first().cloned()).unwrap_or_default();
    let draft = Draft {
        project,
        name: String::new(),
        kind: "partner",
        external_id: String::new(),
        metadata: String::new(),
    };
    let shell = visit.shell("New consumer");
    html(&Page { shell, id: None, version: 0, projects, draft, errors: Errors::default() })
}

pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = Draft::read(&fields);
    let made = async {
        let spec = draft.spec(&visit.who.tenant.name).map_err(Refused::Invalid)?;
        let new = ResourceSpec::Consumer(spec);
        Ok::<_, Trouble>(visit.store().create_resource(&permit, new, visit.now_us).await?)
    };
    let errors = match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            let address = format!("/consumers/{}?done=created", done.value.id);
            return Ok(Redirect::to(&address).into_response());
        }
        Err(trouble) => Errors::from(trouble)?,
    };
    let projects = projects(&visit).await?;
    html(&Page { shell: visit.shell("New consumer"), id: None, version: 0, projects, draft, errors })
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let found = seen(&visit, &Scope::whole(visit.tenant()), &id).await?;
    let draft = Draft::of(&found.spec, &found.project.name);
    let shell = visit.shell(format!("Edit {}", found.spec.name));
    let id = Some(found.id.to_string());
    html(&Page { shell, id, version: found.version, projects: Vec::new(), draft, errors: Errors::default() })
}

pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let Seen { id, project, spec, .. } = seen(&visit, &Scope::whole(visit.tenant()), &id).await?;
    let draft = Draft { project: project.name.clone(), name: spec.name.clone(), ..Draft::read(&fields) };
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Consumer(id), version };
    let saved = async {
        let new = ResourceSpec::Consumer(draft.spec(&visit.who.tenant.name).map_err(Refused::Invalid)?);
        Ok::<_, Trouble>(visit.store().replace_resource(&permit, at, new, visit.now_us).await?)
    };
    let errors = match saved.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            return Ok(Redirect::to(&format!("/consumers/{id}?done=saved")).into_response());
        }
        Err(trouble) => Errors::from(trouble)?,
    };
    let shell = visit.shell(format!("Edit {}", spec.name));
    let version = version.unwrap_or_default();
    html(&Page { shell, id: Some(id.to_string()), version, projects: Vec::new(), draft, errors })
}

pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let found = seen(&visit, &Scope::whole(visit.tenant()), &id).await?;
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Consumer(found.id), version: None };
    let done = visit.store().delete_resource(&permit, at, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/consumers?done=deleted").into_response())
}
