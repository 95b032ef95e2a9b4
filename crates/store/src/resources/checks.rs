//! Whether what the rows will be holds together: everything compiled as the nodes will compile it,
//! before anything is committed.

use std::{collections::HashMap, sync::Arc};

use tollgate_core::{
    field_error::FieldError,
    id::{PolicyId, ServiceId},
    llm_spec::CredentialSpec,
    policy::{Policy, PolicyRow},
    predict_service::second_match,
    resource::{MatchSpec, ServiceSpec},
    route::{could_tie, takes_from},
    service::{Service, ServiceRow},
};

use super::{
    diff::Diff,
    rows::{ProjectRow, SpecRow},
};
use crate::error::Entity;

impl Diff<'_> {
    /// What stands on the host (its environment, its files) belongs to its operator: nobody else says that
    /// a service sends it along, nor where it is sent. That a service sends a secret, and where, says who may
    /// change secrets: to send one to a place of one's own is to read it.
    pub(super) fn check_credentials(&mut self, field: &str, project: &ProjectRow, spec: &ServiceSpec) {
        if self.is_host {
            return;
        }
        let names_secret = |spec: &ServiceSpec| {
            spec.credentials_named().any(|credential| matches!(credential, CredentialSpec::Secret(_)))
        };
        let names_host = |spec: &ServiceSpec| spec.credentials_named().any(CredentialSpec::is_of_host);
        let present = |row: &&SpecRow<ServiceSpec>| row.project == project.id && row.spec.name == spec.name;
        let present = self.state.services.iter().find(present).map(|row| &row.spec);
        let destination = |spec: &ServiceSpec| {
            let own = (spec.credential.clone(), spec.signature.clone());
            (spec.upstreams.clone(), own, spec.fallbacks.clone(), spec.tls.clone())
        };
        let is_moved = present.is_none_or(|old| destination(old) != destination(spec));
        if is_moved && (names_secret(spec) || present.is_some_and(names_secret)) {
            self.moves_secret = true;
        }
        let problem = match present {
            Some(old) if names_host(old) && destination(old) != destination(spec) => {
                "this service sends a credential of the host: only its operator changes `credential`, `signature`, \
                 `upstreams`, `fallback` and `tls`, with `tollgate apply` on the host"
            }
            Some(old) if names_host(old) => return,
            _ if names_host(spec) => {
                "variables and files of the host are named by its operator only, with `tollgate apply` there; \
                 set a secret and write `{ secret = \"…\" }`"
            }
            _ => return,
        };
        self.error(format!("{field}.credential"), problem);
    }

    /// Compiles the services of the file and looks for ties between all services.
    pub(super) fn check_services(&mut self) {
        let mut errors = Vec::new();
        for row in &self.state.services {
            let Some(index) = self.places.get(&(Entity::Service, row.id)) else { continue };
            let Some(project) = self.state.project_by_id(row.project) else { continue };
            let meta = ServiceRow {
                id: ServiceId::from_sql(row.id),
                project: row.project,
                tenant: project.tenant,
                version: row.version,
            };
            if let Err(problems) = Service::compile(Arc::new(row.spec.clone()), meta) {
                errors.extend(under(&format!("service[{index}]"), problems));
            }
        }
        errors.extend(self.ties());
        self.errors.append(&mut errors);
    }

    fn ties(&self) -> Vec<FieldError> {
        let mut groups: HashMap<(Option<String>, String), Vec<Taker<'_>>> = HashMap::new();
        for row in self.state.services.iter().chain(&self.state.others) {
            for matches in std::iter::once(row.spec.matches.clone()).chain(second_match(&row.spec)) {
                groups.entry(place_of(&matches)).or_default().push((row, matches));
            }
        }
        let mut errors = Vec::new();
        for group in groups.values() {
            for (nth, first) in group.iter().enumerate() {
                errors.extend(group.iter().skip(nth + 1).filter_map(|second| self.tie(first, second)));
            }
        }
        errors.sort_by(|a, b| a.field.cmp(&b.field));
        errors
    }

    fn tie(&self, (first, one): &Taker<'_>, (second, two): &Taker<'_>) -> Option<FieldError> {
        let (first, second): (&SpecRow<ServiceSpec>, &SpecRow<ServiceSpec>) = (first, second);
        let is_own = |row: &SpecRow<ServiceSpec>| self.state.project_by_id(row.project).is_some();
        // Of another tenant's requests none may be taken, not even by a better match.
        let clashes = could_tie(one, two)
            || (is_own(first) && !is_own(second) && takes_from(one, two))
            || (is_own(second) && !is_own(first) && takes_from(two, one));
        if !clashes {
            return None;
        }
        let place = |row: &SpecRow<ServiceSpec>| self.places.get(&(Entity::Service, row.id)).copied();
        // The later one of the file is blamed, and never one that belongs to somebody else.
        let (blamed, other) = match (place(first), place(second)) {
            (Some(a), Some(b)) if a > b => (first, second),
            (Some(_), None) => (first, second),
            _ if !is_own(second) => (first, second),
            _ => (second, first),
        };
        if !is_own(blamed) {
            return None;
        }
        let field = place(blamed).map_or_else(
            || format!("service `{}`", blamed.spec.name),
            |index| format!("service[{index}].match"),
        );
        let other = if is_own(other) {
            format!("service `{}/{}`", other.spec.project, other.spec.name)
        } else {
            "a service of another tenant".to_owned()
        };
        Some(FieldError::new(
            field,
            format!("it takes the same requests as {other}; give it another host, path or methods"),
        ))
    }

    /// Compiles the policies of every project that the file names, those that it leaves alone too:
    /// a service they grant may be going.
    pub(super) fn check_policies(&mut self) {
        let mut errors = Vec::new();
        for row in self.state.policies.iter().filter(|row| self.touched.contains(&row.project.0)) {
            let id = PolicyId::from_sql(row.id);
            let meta = PolicyRow { id, project: row.project, version: row.version };
            let compiled = Policy::compile(&row.spec, meta, |name| self.service_named(row.project, name));
            if let Err(problems) = compiled {
                errors.extend(under(&self.policy_field(id, &row.spec.name), problems));
            }
        }
        self.errors.append(&mut errors);
    }
}

/// A service, and one of the matches by which it takes requests.
type Taker<'r> = (&'r SpecRow<ServiceSpec>, MatchSpec);

/// What two services must share to tie.
fn place_of(matches: &MatchSpec) -> (Option<String>, String) {
    let prefix = matches.path_prefix.as_deref().unwrap_or("").trim_end_matches('/');
    (matches.host.as_deref().map(str::to_ascii_lowercase), prefix.to_owned())
}

pub(super) fn under(field: &str, problems: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    problems.into_iter().map(move |problem| FieldError {
        field: format!("{field}.{}", problem.field),
        problem: problem.problem,
    })
}
