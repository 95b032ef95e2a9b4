//! Services: which requests they take, where these go, and how that went lately.

use askama::Template;
use axum::{extract::Path, response::Response};
use tollgate_core::{
    authz::Action,
    code::Code,
    id::{ProjectId, ServiceId},
    llm_spec::CredentialSpec,
    resource::{ServiceKind, ServiceSpec},
};
use tollgate_store::{
    Entity, Latency, LatencyFilter, Named, ResourceFilter, ResourceId, ResourceSpec, ResourceView, UsageBy,
    UsageFilter, UsageRow,
};

use super::{
    chart::{Chart, Whose},
    keys::projects,
    range::{Choice, Range},
    shell::Shell,
    times::{self, Times},
    trouble::{Trouble, html},
    visit::Visit,
    words,
};
use crate::hidden::hide;

/// How far back the word about an upstream looks, microseconds.
const LATELY_US: i64 = 600_000_000;

#[derive(Template)]
#[template(path = "services.html")]
struct List {
    shell: Shell,
    rows: Vec<Row>,
    older: Option<String>,
    projects: Vec<String>,
    project: String,
    may_change: bool,
}

struct Row {
    id: ResourceId,
    project: String,
    spec: ServiceSpec,
    upstream: Upstream,
}

/// How a service's upstreams answered lately, as far as requests told.
pub(crate) struct Upstream {
    pub(crate) ok: bool,
    pub(crate) words: String,
    pub(crate) requests: u64,
    /// How long the allowed ones took; `None` without any, and for whoever sees only their own.
    pub(crate) p95: Option<String>,
}

#[derive(Template)]
#[template(path = "service.html")]
struct Page {
    shell: Shell,
    id: ServiceId,
    project: Named<ProjectId>,
    spec: ServiceSpec,
    upstream: Upstream,
    chart: Option<Chart>,
    times: Option<Times>,
    ranges: Vec<Choice>,
    range: Range,
    toml: String,
    is_whole: bool,
    /// Whether there is a form for it.
    may_edit: bool,
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadServices)?, Entity::Service);
    if let Some(project) = visit.query.text("project") {
        filter.project = Some(visit.store().project_of(filter.scope.clone(), project).await?.id);
    }
    let page = visit.store().list_resources(&filter, &visit.rows()).await?;
    let lately = Lately::read(&visit, None).await?;
    let mut rows = Vec::with_capacity(page.items.len());
    for item in page.items {
        let ResourceView { id, project, spec: ResourceSpec::Service(spec), .. } = item else { continue };
        let ResourceId::Service(service) = id else { continue };
        rows.push(Row { id, project: project.name, spec: *spec, upstream: lately.of(service) });
    }
    html(&List {
        rows,
        older: visit.older(page.next.as_deref()),
        projects: projects(&visit).await?,
        may_change: visit.may_all(Action::ChangeResources),
        project: visit.query.owned("project").unwrap_or_default(),
        shell: visit.shell("Services"),
    })
}

/// What the last minutes' requests say about the upstreams of services.
struct Lately {
    /// Requests by service and code.
    codes: Vec<UsageRow>,
    latency: Vec<(ServiceId, Latency)>,
}

impl Page {
    /// Where the provider's credential is, in words.
    fn credential(&self) -> String {
        match &self.spec.credential {
            Some(CredentialSpec::Secret(name)) => format!("secret {name}"),
            Some(CredentialSpec::Env(name)) => format!("variable {name} of the nodes"),
            Some(CredentialSpec::File(path)) => format!("file {path} of the nodes"),
            None => "none".to_owned(),
        }
    }
}

impl Lately {
    /// Of one service, or of all.
    async fn read(visit: &Visit, service: Option<ServiceId>) -> Result<Self, Trouble> {
        let permit = visit.permit(Action::ReadUsage)?;
        let (tenant, from_us) = (Some(visit.tenant()), Some(visit.now_us.saturating_sub(LATELY_US)));
        let filter = UsageFilter {
            tenant,
            // Others' requests are none of the business of who is held to some consumers.
            consumers: permit.consumers().map(<[_]>::to_vec),
            service,
            from_us,
            ..UsageFilter::default()
        };
        let codes = visit.store().usage(&[UsageBy::Service, UsageBy::Code], &filter).await?.rows;
        let latency = if visit.may_all(Action::ReadUsage) {
            let filter = LatencyFilter { tenant, service, from_us, ..LatencyFilter::default() };
            visit.store().latency_by_service(&filter).await?
        } else {
            Vec::new()
        };
        Ok(Self { codes, latency })
    }

    fn of(&self, id: ServiceId) -> Upstream {
        let own: Vec<&UsageRow> = self
            .codes
            .iter()
            .filter(|row| row.service.as_ref().is_some_and(|service| service.id == id))
            .collect();
        let count = |wanted: &[Code]| -> u64 {
            let rows = own.iter().filter(|row| row.code.is_some_and(|code| wanted.contains(&code)));
            rows.map(|row| row.sums.requests).sum()
        };
        let failed = count(&[Code::UpstreamUnreachable, Code::UpstreamTimeout]);
        let passed = count(&[Code::Valid]);
        let words = match (failed, passed) {
            (0, 0) => "no request in 10 minutes".to_owned(),
            (0, _) => "answers".to_owned(),
            (failed, passed) => format!("{} not answered", words::percent(failed, failed + passed)),
        };
        let latency = self.latency.iter().find(|(service, _)| *service == id);
        Upstream {
            ok: failed == 0,
            words,
            requests: own.iter().map(|row| row.sums.requests).sum(),
            p95: latency.and_then(|(_, latency)| latency.per_mille(950)).map(words::length),
        }
    }
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let id: ServiceId = id.parse().map_err(|_| Trouble::absent("service"))?;
    let found = visit.store().resource(&visit.scope(Action::ReadServices)?, ResourceId::Service(id)).await?;
    let ResourceSpec::Service(mut spec) = found.spec else { return Err(Trouble::absent("service")) };
    hide(&visit.who, &mut spec);
    let range = Range::of(&visit.query, "6h", visit.now_us);
    let is_whole = visit.may_all(Action::ReadUsage);
    let chart = match Whose::all(&visit, &visit.permit(Action::ReadUsage)?) {
        Some(whose) => {
            let whose = Whose { service: Some(id), ..whose };
            Some(Chart::read(&visit, &whose, &range, false).await?)
        }
        None => None,
    };
    html(&Page {
        times: times::read(&visit, &range, Some(id)).await?,
        upstream: Lately::read(&visit, Some(id)).await?.of(id),
        toml: toml::to_string(&*spec).unwrap_or_default(),
        ranges: range.choices(|name| visit.link(&[("range", Some(name))])),
        shell: visit.shell(format!("{}, service", spec.name)),
        project: found.project,
        may_edit: spec.kind == ServiceKind::Llm && visit.may_all(Action::ChangeResources),
        spec: *spec,
        chart,
        range,
        id,
        is_whole,
    })
}
