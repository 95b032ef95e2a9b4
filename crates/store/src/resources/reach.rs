//! Marking upstreams that a tenant writes, and refusing those that reach too far (decision 0025). The marks are kept
//! with the resource, so that nodes judge what its names mean whenever they connect.

use tollgate_core::{
    field_error::FieldError,
    predict_spec::ModelSpec,
    reach::{Hold, Marks, Reach, check_reach, origin_refusal, origins},
    resource::ServiceSpec,
};

use super::{checks::under, diff::Diff, rows::ProjectRow};

impl Diff<'_> {
    /// A service as it is kept: with the marks that it has to have.
    pub(super) fn held_service(
        &mut self,
        field: &str,
        project: &ProjectRow,
        spec: ServiceSpec,
    ) -> ServiceSpec {
        if origins(&spec).next().is_none() {
            return spec;
        }
        let mut rows = self.state.services.iter();
        let present = rows.find(|row| row.project == project.id && row.spec.name == spec.name);
        let present = present.map(|row| Reach {
            marks: row.spec.marks(),
            is_unmoved: origins(&row.spec).map(|(_, url)| url).eq(origins(&spec).map(|(_, url)| url)),
        });
        let (Marks { internet_only, by_tenant }, judged) = self.marked(spec.marks(), present);
        if let Some(hold) = judged {
            self.errors.extend(under(field, check_reach(&spec, hold, &self.egress)));
        }
        ServiceSpec { internet_only, by_tenant, ..spec }
    }

    /// A model as it is kept.
    pub(super) fn held_model(&mut self, field: &str, project: &ProjectRow, mut spec: ModelSpec) -> ModelSpec {
        let name = spec.full_version();
        let Some(remote) = spec.remote.as_mut() else { return spec };
        let mut rows = self.state.models.iter();
        let present = rows.find(|row| row.project == project.id && row.spec.full_version() == name);
        let present = present
            .and_then(|row| row.spec.remote.as_ref())
            .map(|old| Reach { marks: old.marks(), is_unmoved: old.url == remote.url });
        let (marks, judged) = self.marked(remote.marks(), present);
        (remote.internet_only, remote.by_tenant) = (marks.internet_only, marks.by_tenant);
        let problem = judged.and_then(|hold| origin_refusal(&remote.url, hold, &self.egress));
        let problem = problem.map(|problem| FieldError::new("remote.url", problem));
        self.errors.extend(under(field, problem.into_iter().collect()));
        spec
    }

    /// The marks that an upstream gets; and how far it may reach, when it has to be looked at: what goes where it
    /// went stays as it was.
    fn marked(&self, wished: Marks, present: Option<Reach>) -> (Marks, Option<Hold>) {
        let marks = if self.is_host { wished } else { wished.written(self.tenants, present) };
        let is_moved = present.is_none_or(|present| !present.is_unmoved);
        (marks, is_moved.then(|| marks.hold(self.tenants)))
    }
}
