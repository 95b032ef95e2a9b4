//! Creating and changing budgets.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    budget::{
        THRESHOLDS,
        spec::{BudgetMode, BudgetPeriod, BudgetSpec, RefillSpec},
    },
    field_error::FieldError,
    period::PeriodUnit,
};
use tollgate_store::BudgetAt;

use super::{
    budget::seen,
    consumer_form::Errors,
    form::Fields,
    keys::projects,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::problem::Refused;

const PERIODS: [BudgetPeriod; 5] =
    [BudgetPeriod::Month, BudgetPeriod::Week, BudgetPeriod::Day, BudgetPeriod::Hour, BudgetPeriod::Once];
const UNITS: [(PeriodUnit, &str); 4] = [
    (PeriodUnit::Month, "month"),
    (PeriodUnit::Week, "week"),
    (PeriodUnit::Day, "day"),
    (PeriodUnit::Hour, "hour"),
];

#[derive(Template)]
#[template(path = "budget_form.html")]
struct Page {
    shell: Shell,
    /// The budget that is changed; `None` for a new one.
    id: Option<String>,
    version: u64,
    /// Who holds the one that is changed.
    holder: String,
    projects: Vec<String>,
    draft: Draft,
    errors: Errors,
}

/// What was typed, kept whatever is wrong with it.
pub(crate) struct Draft {
    /// Empty for the whole tenant.
    pub(crate) project: String,
    pub(crate) consumer: String,
    pub(crate) key: String,
    pub(crate) currency: String,
    pub(crate) amount: String,
    pub(crate) period: &'static str,
    pub(crate) time_zone: String,
    pub(crate) thresholds: String,
    pub(crate) is_hard: bool,
    pub(crate) refill_amount: String,
    pub(crate) refill_every: &'static str,
    pub(crate) refill_up_to: String,
}

impl Draft {
    pub(super) fn of(spec: &BudgetSpec) -> Self {
        let percent = spec.thresholds.as_deref().unwrap_or(&THRESHOLDS);
        let refill = spec.refill.as_ref();
        let every = refill.and_then(|refill| UNITS.iter().find(|(unit, _)| *unit == refill.every));
        Self {
            project: spec.project.clone().unwrap_or_default(),
            consumer: spec.consumer.clone().unwrap_or_default(),
            key: spec.key.map(|key| key.to_string()).unwrap_or_default(),
            currency: spec.currency.to_string(),
            amount: spec.amount.clone(),
            period: spec.period.name(),
            time_zone: spec.time_zone.clone().unwrap_or_default(),
            thresholds: percent.iter().map(u8::to_string).collect::<Vec<_>>().join(", "),
            is_hard: spec.mode == BudgetMode::Hard,
            refill_amount: refill.map(|refill| refill.amount.clone()).unwrap_or_default(),
            refill_every: every.map_or("month", |(_, word)| word),
            refill_up_to: refill.and_then(|refill| refill.up_to.clone()).unwrap_or_default(),
        }
    }

    fn read(fields: &Fields) -> Self {
        let word = |name: &str| fields.owned(name).unwrap_or_default();
        let period = PERIODS.into_iter().find(|period| Some(period.name()) == fields.text("period"));
        let every = UNITS.iter().find(|(_, word)| Some(*word) == fields.text("refill_every"));
        Self {
            project: word("project"),
            consumer: word("consumer"),
            key: word("key"),
            currency: word("currency"),
            amount: word("amount"),
            period: period.map_or("month", BudgetPeriod::name),
            time_zone: word("time_zone"),
            thresholds: word("thresholds"),
            is_hard: fields.text("mode") != Some("observe"),
            refill_amount: word("refill_amount"),
            refill_every: every.map_or("month", |(_, word)| word),
            refill_up_to: word("refill_up_to"),
        }
    }

    /// What it says, held by whom the draft names.
    fn spec(&self, tenant: &str) -> Result<BudgetSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let own = |text: &String| (!text.is_empty()).then(|| text.clone());
        let key = own(&self.key).map(|key| key.parse()).transpose();
        let key = key.unwrap_or_else(|error: tollgate_core::id::IdError| {
            errors.push(FieldError::new("key", error));
            None
        });
        let currency = self.currency.parse();
        if let Err(error) = &currency {
            errors.push(FieldError::new("currency", error));
        }
        let mut thresholds = Vec::new();
        for word in self.thresholds.split([',', ' ']).filter(|word| !word.is_empty()) {
            match word.trim_end_matches('%').parse() {
                Ok(percent) => thresholds.push(percent),
                Err(_) => errors.push(FieldError::new(
                    "thresholds",
                    format!("`{word}` is no percent; write `50, 80, 100`"),
                )),
            }
        }
        let (Ok(currency), true) = (currency, errors.is_empty()) else { return Err(errors) };
        let project =
            own(&self.project).map(|name| if name.contains('/') { name } else { format!("{tenant}/{name}") });
        let holds_alone = project.is_none() && key.is_none();
        let every =
            UNITS.iter().find(|(_, word)| *word == self.refill_every).map_or(PeriodUnit::Month, |own| own.0);
        Ok(BudgetSpec {
            tenant: holds_alone.then(|| tenant.to_owned()),
            project: project.filter(|_| key.is_none()),
            consumer: own(&self.consumer),
            key,
            currency,
            amount: self.amount.clone(),
            period: PERIODS
                .into_iter()
                .find(|period| period.name() == self.period)
                .unwrap_or(BudgetPeriod::Month),
            time_zone: own(&self.time_zone),
            refill: own(&self.refill_amount).map(|amount| RefillSpec {
                amount,
                every,
                up_to: own(&self.refill_up_to),
            }),
            thresholds: (thresholds != THRESHOLDS).then_some(thresholds),
            mode: if self.is_hard { BudgetMode::Hard } else { BudgetMode::Observe },
        })
    }
}

pub(crate) async fn blank(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let mut draft = Draft::read(&visit.query);
    draft.currency = "USD".to_owned();
    draft.thresholds = "50, 80, 100".to_owned();
    new(&visit, draft, Errors::default()).await
}

async fn new(visit: &Visit, draft: Draft, errors: Errors) -> Result<Response, Trouble> {
    let projects = projects(visit).await?;
    let shell = visit.shell("New budget");
    html(&Page { shell, id: None, version: 0, holder: String::new(), projects, draft, errors })
}

pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = Draft::read(&fields);
    let made = async {
        let spec = draft.spec(&visit.who.tenant.name).map_err(Refused::Invalid)?;
        Ok::<_, Trouble>(visit.store().create_budget(&permit, spec, visit.now_us).await?)
    };
    match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/budgets/{}?done=created", done.value.id)).into_response())
        }
        Err(trouble) => new(&visit, draft, Errors::from(trouble)?).await,
    }
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Result<Response, Trouble> {
    visit.permit(Action::ChangeResources)?;
    let found = seen(&visit, &id).await?;
    let draft = Draft::of(&found.spec);
    change(&visit, (found.id.to_string(), found.version, found.holder), draft, Errors::default())
}

fn change(
    visit: &Visit,
    (id, version, holder): (String, u64, String),
    draft: Draft,
    errors: Errors,
) -> Result<Response, Trouble> {
    let shell = visit.shell("Edit budget");
    html(&Page { shell, id: Some(id), version, holder, projects: Vec::new(), draft, errors })
}

pub(crate) async fn save(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let found = seen(&visit, &id).await?;
    // Holder, currency and period stay.
    let own = Draft::of(&found.spec);
    let typed = Draft::read(&fields);
    let draft = Draft {
        project: own.project,
        consumer: own.consumer,
        key: own.key,
        currency: own.currency,
        period: own.period,
        ..typed
    };
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = BudgetAt { tenant: visit.tenant(), id: found.id, version };
    let saved = async {
        let spec = draft.spec(&visit.who.tenant.name).map_err(Refused::Invalid)?;
        Ok::<_, Trouble>(visit.store().replace_budget(&permit, at, spec, visit.now_us).await?)
    };
    match saved.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to(&format!("/budgets/{}?done=saved", found.id)).into_response())
        }
        Err(trouble) => {
            let errors = Errors::from(trouble)?;
            change(&visit, (found.id.to_string(), found.version, found.holder), draft, errors)
        }
    }
}
