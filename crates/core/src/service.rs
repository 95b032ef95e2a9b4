//! A service compiled: what was written, whose it is, and its endpoints' scopes ready to be asked.

use std::sync::Arc;

use crate::{
    field_error::FieldError,
    id::{ProjectId, ServiceId, TenantId},
    key::Environment,
    pattern::Endpoint,
    resource::ServiceSpec,
};

/// An endpoint, and the scopes it asks for beside the method's.
pub type EndpointScopes = (Endpoint, Box<[Box<str>]>);

/// A service compiled.
#[derive(Debug)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Its project.
    pub project: ProjectId,
    /// The project's tenant.
    pub tenant: TenantId,
    /// The version of its row.
    pub version: u64,
    /// Keys of which environment it takes; both when `None`.
    pub environment: Option<Environment>,
    /// Scopes that endpoints ask for beside the method's.
    pub endpoint_scopes: Box<[EndpointScopes]>,
    /// As it was written.
    pub spec: Arc<ServiceSpec>,
}

impl Service {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}

/// Whose service it is and which row: what a spec does not say of itself.
#[derive(Clone, Copy, Debug)]
pub struct ServiceRow {
    /// Its id.
    pub id: ServiceId,
    /// Its project.
    pub project: ProjectId,
    /// The project's tenant.
    pub tenant: TenantId,
    /// The version of its row.
    pub version: u64,
}

impl Service {
    /// Compiles what was written; [`ServiceSpec::completed`] first.
    ///
    /// # Errors
    /// Everything that is wrong, all at once.
    pub fn compile(spec: Arc<ServiceSpec>, row: ServiceRow) -> Result<Self, Vec<FieldError>> {
        let spec = if spec.is_complete() { spec } else { Arc::new(Arc::unwrap_or_clone(spec).completed()) };
        let mut errors = crate::service_spec::check_service(&spec);
        let mut endpoint_scopes = Vec::new();
        for (endpoint, scopes) in &spec.endpoint_scopes {
            match Endpoint::parse(endpoint) {
                Ok(pattern) => endpoint_scopes
                    .push((pattern, scopes.iter().map(|scope| scope.as_str().into()).collect())),
                Err(error) => errors.push(FieldError::new("endpoint_scopes", error)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let ServiceRow { id, project, tenant, version } = row;
        Ok(Self {
            id,
            project,
            tenant,
            version,
            environment: spec.environment,
            endpoint_scopes: endpoint_scopes.into(),
            spec,
        })
    }
}
