//! What a file changes: every resource of it compared with the row of its name.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde::Serialize;
use tollgate_core::{
    field_error::FieldError,
    id::{PolicyId, ProjectId, ServiceId, TenantId},
    resource::{ConsumerSpec, PolicySpec, ProjectSpec, Resources, ServiceSpec},
    webhook::Egress,
};

use super::{
    Op,
    rows::{ProjectRow, Spec, SpecRow, State, TenantRow, to_json},
};
use crate::{
    error::{Entity, StoreError},
    random,
};

/// One row to be written.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) op: Op,
    pub(super) kind: Entity,
    pub(super) id: i64,
    /// Whose it is; `None` is the whole installation's.
    pub(super) tenant: Option<TenantId>,
    pub(super) project: Option<ProjectId>,
    /// Its own name.
    pub(super) name: String,
    /// Its name with those of its project and tenant.
    pub(super) full_name: String,
    /// The version after the edit.
    pub(super) version: u64,
    pub(super) before: Option<String>,
    /// What is written as `spec`, and into the audit.
    pub(super) after: Option<String>,
    /// What its row has beside these.
    pub(super) row: RowOf,
    /// The top-level fields that differ.
    pub(super) fields: Vec<String>,
}

/// What the rows of some kinds have beside what all have.
#[derive(Clone, Debug)]
pub(super) enum RowOf {
    /// Nothing.
    Spec,
    Project {
        key_prefix: String,
    },
    Price {
        from_us: i64,
    },
    Meter {
        series: i64,
        /// Whether it counts requests, and no records.
        of_requests: bool,
    },
    Webhook,
    Budget {
        level: i64,
        subject: i64,
        currency: String,
        period: &'static str,
    },
}

/// A file being compared. `state` becomes what the rows will be.
pub(super) struct Diff<'r> {
    pub(super) resources: &'r Resources,
    pub(super) state: State,
    pub(super) edits: Vec<Edit>,
    pub(super) errors: Vec<FieldError>,
    /// The projects that the file names.
    pub(super) touched: BTreeSet<u64>,
    /// The tenants that it names by themselves.
    pub(super) tenants_named: BTreeSet<u64>,
    /// Whether the operator on the host wrote it.
    pub(super) is_host: bool,
    /// Tenants of the installation: one alone is on its own network.
    pub(super) tenants: usize,
    /// Where upstreams of others may be.
    pub(super) egress: Egress,
    /// Whether a service is to send a secret that it did not send so before.
    pub(super) moves_secret: bool,
    /// The moment of the comparison, wall microseconds.
    pub(super) now_us: i64,
    /// Where a service, policy, price or budget stands in the file.
    pub(super) places: HashMap<(Entity, i64), usize>,
    /// The consumers that the file names: project and name.
    pub(super) consumers_named: HashSet<(u64, String)>,
}

impl<'r> Diff<'r> {
    pub(super) fn new(resources: &'r Resources, state: State, is_host: bool, now_us: i64) -> Self {
        Self {
            resources,
            state,
            edits: Vec::new(),
            errors: Vec::new(),
            touched: BTreeSet::new(),
            tenants_named: BTreeSet::new(),
            is_host,
            tenants: 0,
            egress: Egress::default(),
            moves_secret: false,
            now_us,
            places: HashMap::new(),
            consumers_named: HashSet::new(),
        }
    }

    pub(super) fn error(&mut self, field: String, problem: impl std::fmt::Display) {
        self.errors.push(FieldError::new(field, problem));
    }

    /// The project that a resource of the file names; an unknown one is an error of that field.
    pub(super) fn project(&mut self, field: String, name: &str) -> Option<ProjectRow> {
        match self.state.project(name) {
            Ok(project) => {
                let project = project.clone();
                self.touched.insert(project.id.0);
                Some(project)
            }
            Err(error) => {
                self.error(field, error);
                None
            }
        }
    }

    /// The tenant that a resource of the file names; an unknown one is an error of that field.
    pub(super) fn tenant(&mut self, field: String, name: &str) -> Option<TenantRow> {
        let found = self.state.tenants.iter().find(|tenant| tenant.name == name).cloned();
        match &found {
            Some(tenant) => drop(self.tenants_named.insert(tenant.id.0)),
            None => self.error(field, format!("there is no tenant `{name}`; correct the name")),
        }
        found
    }

    pub(super) fn tenants(&mut self) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        for (index, spec) in self.resources.tenants.iter().enumerate() {
            let field = format!("tenant[{index}].name");
            if let Err(problem) = tollgate_core::name::check_name(&spec.name) {
                self.error(field, problem);
            } else if !seen.insert(&spec.name) {
                self.error(field, format!("tenant `{}` stands here twice; leave one away", spec.name));
            } else if let Some(row) = self.state.tenants.iter().find(|tenant| tenant.name == spec.name) {
                self.tenants_named.insert(row.id.0);
            } else {
                let id = TenantId::from_random(random::id_bytes()?);
                self.state.tenants.push(TenantRow { id, name: spec.name.clone() });
                self.tenants_named.insert(id.0);
                let mut edit = create(Entity::Tenant, id.to_sql(), id, spec)?;
                edit.name.clone_from(&spec.name);
                edit.full_name.clone_from(&spec.name);
                self.edits.push(edit);
            }
        }
        Ok(())
    }

    pub(super) fn projects(&mut self) -> Result<(), StoreError> {
        let mut seen = HashSet::new();
        for (index, spec) in self.resources.projects.iter().enumerate() {
            let before = self.errors.len();
            self.check_project(index, spec);
            if !seen.insert((&spec.tenant, &spec.name)) {
                let problem = format!("project `{}` stands here twice; leave one away", spec.name);
                self.error(format!("project[{index}].name"), problem);
            }
            let tenant = self.state.tenants.iter().find(|tenant| tenant.name == spec.tenant).cloned();
            if let Some(tenant) = tenant.filter(|_| self.errors.len() == before) {
                self.put_project(spec, &tenant)?;
            }
        }
        Ok(())
    }

    fn check_project(&mut self, index: usize, spec: &ProjectSpec) {
        let field = |name: &str| format!("project[{index}].{name}");
        if let Err(problem) = tollgate_core::name::check_name(&spec.name) {
            self.error(field("name"), problem);
        }
        if let Err(problem) = tollgate_core::key::check_prefix(&spec.key_prefix) {
            self.error(field("key_prefix"), problem);
        } else if spec.key_prefix == "tgs" {
            self.error(field("key_prefix"), "`tgs` is what service tokens begin with; use another prefix");
        }
        if !self.state.tenants.iter().any(|tenant| tenant.name == spec.tenant) {
            let problem =
                format!("there is no tenant `{}`; add a [[tenant]], or correct the name", spec.tenant);
            self.error(field("tenant"), problem);
        }
    }

    fn put_project(&mut self, spec: &ProjectSpec, tenant: &TenantRow) -> Result<(), StoreError> {
        let present = self
            .state
            .projects
            .iter_mut()
            .find(|project| project.tenant == tenant.id && project.name == spec.name);
        let mut edit = match present {
            Some(present) => {
                self.touched.insert(present.id.0);
                let old = ProjectSpec {
                    tenant: tenant.name.clone(),
                    name: spec.name.clone(),
                    key_prefix: present.key_prefix.clone(),
                };
                if old == *spec {
                    return Ok(());
                }
                present.key_prefix.clone_from(&spec.key_prefix);
                present.version += 1;
                let id = present.id.to_sql();
                let version = present.version;
                update(Entity::Project, Ids { id, tenant: tenant.id, version }, &old, spec)?
            }
            None => {
                let id = ProjectId::from_random(random::id_bytes()?);
                self.touched.insert(id.0);
                self.state.projects.push(ProjectRow {
                    id,
                    tenant: tenant.id,
                    tenant_name: tenant.name.clone(),
                    name: spec.name.clone(),
                    key_prefix: spec.key_prefix.clone(),
                    version: 1,
                });
                create(Entity::Project, id.to_sql(), tenant.id, spec)?
            }
        };
        edit.name.clone_from(&spec.name);
        edit.full_name = format!("{}/{}", tenant.name, spec.name);
        edit.row = RowOf::Project { key_prefix: spec.key_prefix.clone() };
        self.edits.push(edit);
        Ok(())
    }

    pub(super) fn services(&mut self) -> Result<(), StoreError> {
        for (index, written) in self.resources.services.iter().enumerate() {
            let field = format!("service[{index}]");
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            let spec = ServiceSpec { project: project.full_name(), ..written.clone() }.completed();
            let spec = self.held_service(&field, &project, spec);
            self.check_credentials(&field, &project, &spec);
            let mut rows = std::mem::take(&mut self.state.services);
            let id = self.put(Entity::Service, &project, spec, &mut rows)?;
            self.state.services = rows;
            if self.places.insert((Entity::Service, id), index).is_some() {
                let problem = format!("service `{}` stands here twice; leave one away", written.name);
                self.error(format!("{field}.name"), problem);
            }
        }
        Ok(())
    }

    pub(super) fn policies(&mut self) -> Result<(), StoreError> {
        for (index, written) in self.resources.policies.iter().enumerate() {
            let field = format!("policy[{index}]");
            if let Err(problem) = tollgate_core::name::check_name(&written.name) {
                self.error(format!("{field}.name"), problem);
            }
            let Some(project) = self.project(format!("{field}.project"), &written.project) else { continue };
            let spec = PolicySpec { project: project.full_name(), ..written.clone() };
            let mut rows = std::mem::take(&mut self.state.policies);
            let id = self.put(Entity::Policy, &project, spec, &mut rows)?;
            self.state.policies = rows;
            if self.places.insert((Entity::Policy, id), index).is_some() {
                let problem = format!("policy `{}` stands here twice; leave one away", written.name);
                self.error(format!("{field}.name"), problem);
            }
        }
        Ok(())
    }

    /// Compares one consumer with its row, when it has one.
    pub(super) fn consumer(
        &mut self,
        project: &ProjectRow,
        spec: ConsumerSpec,
        present: Option<SpecRow<ConsumerSpec>>,
    ) -> Result<(), StoreError> {
        let mut rows: Vec<SpecRow<ConsumerSpec>> = present.into_iter().collect();
        self.put(Entity::Consumer, project, spec, &mut rows)?;
        Ok(())
    }

    /// Puts a spec into the rows of its kind and notes the edit, if one is needed. Gives its id.
    pub(super) fn put<S: Spec>(
        &mut self,
        kind: Entity,
        project: &ProjectRow,
        spec: S,
        rows: &mut Vec<SpecRow<S>>,
    ) -> Result<i64, StoreError> {
        let name = spec.name().into_owned();
        let present = rows.iter_mut().find(|row| row.project == project.id && row.spec.name() == name);
        let (id, mut edit) = match present {
            Some(row) if row.spec == spec => return Ok(row.id),
            Some(row) => {
                row.version += 1;
                let ids = Ids { id: row.id, tenant: project.tenant, version: row.version };
                let edit = update(kind, ids, &row.spec, &spec)?;
                row.spec = spec;
                (row.id, edit)
            }
            None => {
                let id = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
                let edit = create(kind, id, project.tenant, &spec)?;
                rows.push(SpecRow { id, project: project.id, spec, version: 1 });
                (id, edit)
            }
        };
        edit.full_name = format!("{}/{name}", project.full_name());
        edit.name = name;
        edit.project = Some(project.id);
        self.edits.push(edit);
        Ok(id)
    }

    /// The id of a service by its name in a project, as the rows will be.
    pub(super) fn service_named(&self, project: ProjectId, name: &str) -> Option<ServiceId> {
        let found = self.state.services.iter().find(|row| row.project == project && row.spec.name == name);
        found.map(|row| ServiceId::from_sql(row.id))
    }

    /// How an error names a policy: by its place in the file, or by its name.
    pub(super) fn policy_field(&self, id: PolicyId, name: &str) -> String {
        match self.places.get(&(Entity::Policy, id.to_sql())) {
            Some(index) => format!("policy[{index}]"),
            None => format!("policy `{name}`"),
        }
    }
}

fn create<S: Serialize>(kind: Entity, id: i64, tenant: TenantId, spec: &S) -> Result<Edit, StoreError> {
    Ok(Edit {
        op: Op::Create,
        kind,
        id,
        tenant: Some(tenant),
        project: None,
        name: String::new(),
        full_name: String::new(),
        version: 1,
        before: None,
        after: Some(to_json(spec)?),
        row: RowOf::Spec,
        fields: Vec::new(),
    })
}

struct Ids {
    id: i64,
    tenant: TenantId,
    version: u64,
}

fn update<S: Serialize>(kind: Entity, ids: Ids, old: &S, new: &S) -> Result<Edit, StoreError> {
    Ok(Edit {
        op: Op::Update,
        kind,
        id: ids.id,
        tenant: Some(ids.tenant),
        project: None,
        name: String::new(),
        full_name: String::new(),
        version: ids.version,
        before: Some(to_json(old)?),
        after: Some(to_json(new)?),
        row: RowOf::Spec,
        fields: fields_that_differ(old, new)?,
    })
}

pub(super) fn fields_that_differ<S: Serialize>(old: &S, new: &S) -> Result<Vec<String>, StoreError> {
    let object = |spec: &S| match serde_json::to_value(spec) {
        Ok(serde_json::Value::Object(fields)) => Ok(fields),
        _ => Err(StoreError::corrupt("a resource is no JSON object")),
    };
    let (old, new) = (object(old)?, object(new)?);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    Ok(names.into_iter().filter(|name| old.get(*name) != new.get(*name)).cloned().collect())
}
