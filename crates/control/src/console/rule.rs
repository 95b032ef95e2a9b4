//! One rule: what it says as form, as TOML and in words; changing it; what it did, and would have done.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    backtest::Backtest,
    id::{ProjectId, RuleId, ServiceId},
    rule::{Rule, RuleRow, spec::RuleSpec},
};
use tollgate_store::{
    AuditRow, Entity, FiringFilter, FiringView, Named, PageRequest, Parts, Recorded, ReplaySpan, ResourceAt,
    ResourceFilter, ResourceId, ResourceSpec,
};

use super::{
    consumer::history,
    consumer_form::Errors,
    keys::projects,
    rule_draft::RuleDraft,
    rule_words::sentence,
    rules::LAST,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
    words::DAY_US,
};
use crate::problem::Refused;

/// Decisions that a page's backtest goes through at most, the newest. The command line goes through all.
const LOOKED_AT: u64 = 300_000;
/// How far back it goes.
const BACK_US: i64 = 7 * DAY_US;
/// What it would have done, as far as it is shown.
const SHOWN: usize = 20;

#[derive(Template)]
#[template(path = "rule.html")]
struct Page {
    shell: Shell,
    /// `None` for a new one.
    saved: Option<Saved>,
    draft: RuleDraft,
    is_changed: bool,
    sentence: String,
    errors: Errors,
    services: Vec<String>,
    firings: Vec<FiringView>,
    history: Vec<AuditRow>,
    trial: Option<Trial>,
    may_change: bool,
}

/// A rule as it is saved.
struct Saved {
    id: RuleId,
    version: u64,
    project: Named<ProjectId>,
    spec: RuleSpec,
}

/// What a draft would have done.
struct Trial {
    from_us: i64,
    requests: u64,
    refused: u64,
    count: u64,
    woulds: Vec<Would>,
}

struct Would {
    at_us: i64,
    subject: String,
    until_us: Option<i64>,
    reason: String,
    refused: u64,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    let saved = saved(&visit, &id).await?;
    let draft = RuleDraft::of(&saved.spec);
    page(&visit, Some(saved), draft, (Errors::default(), None)).await
}

async fn saved(visit: &Visit, text: &str) -> Result<Saved, Trouble> {
    let id: RuleId = text.parse().map_err(|_| Trouble::absent("rule"))?;
    let found = visit.store().resource(&visit.scope(Action::ReadAutomation)?, ResourceId::Rule(id)).await?;
    let ResourceSpec::Rule(spec) = found.spec else { return Err(Trouble::absent("rule")) };
    Ok(Saved { id, version: found.version, project: found.project, spec: *spec })
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let projects = projects(&visit).await?;
    let project = visit.query.owned("project").or_else(|| projects.first().cloned()).unwrap_or_default();
    let toml = format!(
        "project = \"{project}\"\nname = \"new-rule\"\nmode = \"observe\"\n\
         when = {{ metric = \"requests\", per = \"key\", above = 100, window = \"1m\" }}\n\
         then = {{ action = \"block\", until = \"next_hour\" }}\n"
    );
    let draft = RuleDraft::of(&toml::from_str(&toml).map_err(|_| Trouble::absent("project"))?);
    page(&visit, None, draft, (Errors::default(), None)).await
}

async fn page(
    visit: &Visit,
    saved: Option<Saved>,
    draft: RuleDraft,
    (errors, trial): (Errors, Option<Trial>),
) -> Result<Response, Trouble> {
    let title = saved.as_ref().map_or_else(|| "New rule".to_owned(), |own| own.spec.name.clone());
    let (mut history_rows, mut firings) = (Vec::new(), Vec::new());
    if let Some(own) = &saved {
        history_rows = history(visit, &own.id.to_string()).await?;
        let filter = FiringFilter { tenant: Some(visit.tenant()), rule: Some(own.id) };
        firings = visit.store().list_firings(&filter, &LAST).await?.items;
    }
    let project = match (&saved, &draft.spec) {
        (Some(own), _) => Some(own.project.id),
        (None, Some(spec)) => {
            visit.store().project_of(visit.tenant(), &spec.project).await.ok().map(|own| own.id)
        }
        (None, None) => None,
    };
    let services = services(visit, project).await?;
    html(&Page {
        is_changed: saved.as_ref().is_some_and(|own| draft.spec.as_ref() != Some(&own.spec)),
        sentence: draft.spec.as_ref().map(sentence).unwrap_or_default(),
        services: services.into_iter().map(|(name, _)| name).collect(),
        may_change: visit.may_all(Action::ChangeResources),
        shell: visit.shell(format!("{title}, rule")),
        history: history_rows,
        firings,
        saved,
        draft,
        errors,
        trial,
    })
}

/// The services of a project by name.
async fn services(visit: &Visit, project: Option<ProjectId>) -> Result<Vec<(String, ServiceId)>, Trouble> {
    const OFFERED: PageRequest = PageRequest { limit: 200, cursor: None };
    let mut filter = ResourceFilter::all(visit.scope(Action::ReadServices)?, Entity::Service);
    filter.project = project;
    let found = visit.store().list_resources(&filter, &OFFERED).await?;
    let named = found.items.iter().filter_map(|item| match item.id {
        ResourceId::Service(id) => Some((item.spec.name().to_owned(), id)),
        _ => None,
    });
    Ok(named.collect())
}

/// Changes the draft, tries it on recorded requests, or saves it.
pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let saved = saved(&visit, &id).await?;
    let draft = RuleDraft::read(&fields);
    let spec = match draft.spec() {
        Ok(spec) => spec,
        Err(errors) => return page(&visit, Some(saved), draft, (Errors(errors), None)).await,
    };
    match fields.text("act") {
        Some("save") => {}
        Some("try") => {
            let outcome = tried(&visit, &spec, saved.project.id).await;
            let shown = match outcome {
                Ok(trial) => (Errors::default(), Some(trial)),
                Err(trouble) => (Errors::from(trouble)?, None),
            };
            return page(&visit, Some(saved), draft, shown).await;
        }
        _ => return page(&visit, Some(saved), draft, (Errors::default(), None)).await,
    }
    let permit = visit.permit(Action::ChangeResources)?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Rule(saved.id), version };
    let new = ResourceSpec::Rule(Box::new(spec));
    match visit.store().replace_resource(&permit, at, new, visit.now_us).await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/rules/{}?done=saved", saved.id)).into_response())
        }
        Err(error) => {
            let errors = Errors::from(error.into())?;
            page(&visit, Some(saved), draft, (errors, None)).await
        }
    }
}

/// What the draft would have done to the requests of the last days.
async fn tried(visit: &Visit, spec: &RuleSpec, project: ProjectId) -> Result<Trial, Trouble> {
    let permit = visit.permit(Action::Explain)?;
    if permit.consumers().is_some() {
        return Err(Refused::not_found().into());
    }
    let services = services(visit, Some(project)).await?;
    let named = |name: &str| services.iter().find(|(own, _)| own == name).map(|(_, id)| *id);
    let rule = Rule::compile(spec, RuleRow { id: 0, project }, named).map_err(Refused::Invalid)?;
    let span = ReplaySpan {
        from_us: visit.now_us.saturating_sub(BACK_US),
        to_us: visit.now_us,
        tenant: Some(visit.tenant()),
        parts: Parts { texts: false, calls: true },
        records_max: LOOKED_AT,
    };
    let mut replay = visit.store().replay(span).await?;
    let mut backtest = Backtest::new(rule);
    loop {
        let part = replay.next().await?;
        if part.is_empty() {
            break;
        }
        part.iter().filter_map(Recorded::seen).for_each(|seen| backtest.look(&seen));
        tokio::task::yield_now().await;
    }
    let rule = backtest.rule();
    let woulds = backtest.woulds().iter().rev().take(SHOWN).map(|would| Would {
        at_us: would.at_us,
        subject: would.subject.to_string(),
        until_us: would.until_us,
        reason: rule.in_words(would.value),
        refused: would.refused,
    });
    Ok(Trial {
        from_us: replay.from_us(),
        requests: backtest.seen(),
        refused: backtest.refused(),
        count: backtest.woulds().len() as u64 + backtest.more(),
        woulds: woulds.collect(),
    })
}

/// Creates a rule, or changes the draft of a new one.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = RuleDraft::read(&fields);
    let spec = match draft.spec() {
        Ok(spec) => spec,
        Err(errors) => return page(&visit, None, draft, (Errors(errors), None)).await,
    };
    if fields.text("act") != Some("save") {
        return page(&visit, None, draft, (Errors::default(), None)).await;
    }
    let made = async {
        let project = visit.store().project_of(visit.tenant(), &spec.project).await?;
        let project = format!("{}/{}", visit.who.tenant.name, project.name);
        let new = ResourceSpec::Rule(Box::new(RuleSpec { project, ..spec }));
        Ok::<_, Trouble>(visit.store().create_resource(&permit, new, visit.now_us).await?)
    };
    match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/rules/{}?done=created", done.value.id)).into_response())
        }
        Err(trouble) => {
            let errors = Errors::from(trouble)?;
            page(&visit, None, draft, (errors, None)).await
        }
    }
}

/// Deletes a rule; what it has blocked stays blocked.
pub(crate) async fn delete(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, .. } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let id: RuleId = id.parse().map_err(|_| Refused::not_found())?;
    let at = ResourceAt { tenant: visit.tenant(), id: ResourceId::Rule(id), version: None };
    let done = visit.store().delete_resource(&permit, at, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/rules?done=deleted").into_response())
}
