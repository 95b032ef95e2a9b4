//! Holding upstreams that a tenant writes to the public internet, where there are several tenants (decision 0025). The
//! mark is kept with the resource, so that nodes judge what its names mean whenever they connect.

use tollgate_core::{
    field_error::FieldError,
    predict_spec::ModelSpec,
    reach::{Reach, check_reach, is_held, origin_refusal, origins},
    resource::ServiceSpec,
};

use super::{checks::under, diff::Diff, rows::ProjectRow};

impl Diff<'_> {
    /// A service as it is kept: held to the public internet where it has to be.
    pub(super) fn held_service(
        &mut self,
        field: &str,
        project: &ProjectRow,
        spec: ServiceSpec,
    ) -> ServiceSpec {
        if self.is_host || origins(&spec).next().is_none() {
            return spec;
        }
        let mut rows = self.state.services.iter();
        let present = rows.find(|row| row.project == project.id && row.spec.name == spec.name);
        let present = present.map(|row| Reach {
            internet_only: row.spec.internet_only,
            is_unmoved: origins(&row.spec).map(|(_, url)| url).eq(origins(&spec).map(|(_, url)| url)),
        });
        let internet_only = is_held(spec.internet_only, self.is_sole_tenant, present);
        if internet_only && present.is_none_or(|present| !present.is_unmoved) {
            self.errors.extend(under(field, check_reach(&spec, &self.egress)));
        }
        ServiceSpec { internet_only, ..spec }
    }

    /// A model as it is kept.
    pub(super) fn held_model(&mut self, field: &str, project: &ProjectRow, mut spec: ModelSpec) -> ModelSpec {
        let name = spec.full_version();
        let Some(remote) = spec.remote.as_mut().filter(|_| !self.is_host) else { return spec };
        let mut rows = self.state.models.iter();
        let present = rows.find(|row| row.project == project.id && row.spec.full_version() == name);
        let present = present
            .and_then(|row| row.spec.remote.as_ref())
            .map(|old| Reach { internet_only: old.internet_only, is_unmoved: old.url == remote.url });
        remote.internet_only = is_held(remote.internet_only, self.is_sole_tenant, present);
        if remote.internet_only && present.is_none_or(|present| !present.is_unmoved) {
            let problem = origin_refusal(&remote.url, &self.egress);
            let problem = problem.map(|problem| FieldError::new("remote.url", problem));
            self.errors.extend(under(field, problem.into_iter().collect()));
        }
        spec
    }
}
