//! Prices of models: the tenant's own with their versions, the operator's, and those that Tollgate ships with.

use askama::Template;
use axum::{
    extract::Path,
    response::{IntoResponse as _, Redirect, Response},
};
use tollgate_core::{
    authz::Action,
    field_error::FieldError,
    id::PriceId,
    money::{
        amount::Rate,
        price::{PriceSpec, Provider, RatesSpec},
        starting::STARTING_PRICES,
    },
};
use tollgate_store::PriceAt;
use tollgate_wire::admin::Price;

use super::{
    consumer_form::Errors,
    form::Fields,
    shell::Shell,
    trouble::{Trouble, html},
    visit::{Posted, Visit},
};
use crate::{
    admin::prices::{known, own},
    problem::Refused,
};

/// Prices of a page.
const ROWS_MAX: usize = 50;
const PROVIDERS: [Provider; 3] = [Provider::OpenAi, Provider::Gemini, Provider::Anthropic];

#[derive(Template)]
#[template(path = "prices.html")]
struct Page {
    shell: Shell,
    rows: Vec<Row>,
    more: Option<String>,
    search: String,
    provider: String,
    ended: bool,
    /// What the shipped table says of itself: its date and source.
    shipped: String,
    may_change: bool,
    draft: Draft,
    errors: Errors,
}

/// A price as a line.
struct Row {
    id: Option<String>,
    version: u64,
    origin: String,
    provider: &'static str,
    model: String,
    tier: Option<String>,
    input: String,
    cached: Option<String>,
    output: String,
    currency: String,
    /// `since …`, `from …` or `ended …`; empty for what always held.
    when: String,
    is_current: bool,
    is_ended: bool,
}

/// What was typed.
struct Draft {
    provider: &'static str,
    model: String,
    input: String,
    cached_input: String,
    cache_write: String,
    output: String,
    output_tokens_max: String,
    effective_from: String,
}

impl Draft {
    fn read(fields: &Fields) -> Self {
        let word = |name: &str| fields.owned(name).unwrap_or_default();
        let provider = PROVIDERS.into_iter().find(|own| Some(own.name()) == fields.text("provider"));
        Self {
            provider: provider.unwrap_or(Provider::OpenAi).name(),
            model: word("model"),
            input: word("input"),
            cached_input: word("cached_input"),
            cache_write: word("cache_write"),
            output: word("output"),
            output_tokens_max: word("output_tokens_max"),
            effective_from: word("effective_from"),
        }
    }

    fn spec(&self) -> Result<PriceSpec, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut rate = |field: &str, text: &str| -> Option<Rate> {
            let read = (!text.is_empty()).then(|| text.parse()).transpose();
            read.unwrap_or_else(|error: tollgate_core::money::amount::AmountError| {
                errors.push(FieldError::new(field, error));
                None
            })
        };
        let (input, output) = (rate("input", &self.input), rate("output", &self.output));
        let (cached_input, cache_write) =
            (rate("cached_input", &self.cached_input), rate("cache_write", &self.cache_write));
        if self.input.is_empty() {
            errors.push(FieldError::new("input", "say what 1,000,000 tokens of input cost"));
        }
        let most = (!self.output_tokens_max.is_empty()).then(|| self.output_tokens_max.parse()).transpose();
        let output_tokens_max = most.unwrap_or_else(|_| {
            errors.push(FieldError::new("output_tokens_max", "it is no number of tokens"));
            None
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(PriceSpec {
            tenant: None,
            provider: PROVIDERS
                .into_iter()
                .find(|own| own.name() == self.provider)
                .unwrap_or(Provider::OpenAi),
            model: self.model.clone(),
            service_tier: None,
            currency: tollgate_core::money::amount::Currency::USD,
            effective_from: (!self.effective_from.is_empty()).then(|| self.effective_from.clone()),
            rates: RatesSpec {
                input: input.unwrap_or_default(),
                output: output.unwrap_or_default(),
                cached_input,
                cache_write,
                ..RatesSpec::default()
            },
            per_request: None,
            per_search: None,
            input_tokens_max: None,
            output_tokens_max,
            tiers: Vec::new(),
        })
    }
}

pub(crate) async fn list(visit: Visit) -> Result<Response, Trouble> {
    let draft = Draft::read(&visit.query);
    page(&visit, draft, Errors::default()).await
}

async fn page(visit: &Visit, draft: Draft, errors: Errors) -> Result<Response, Trouble> {
    visit.permit(Action::ReadBudgets)?;
    let (search, provider) = (visit.query.owned("search"), visit.query.owned("of"));
    let ended = visit.query.text("ended").is_some();
    let wanted = search.as_deref().unwrap_or_default().to_lowercase();
    let fits = |price: &Price| {
        price.spec.model.to_lowercase().contains(&wanted)
            && provider.as_deref().is_none_or(|own| own == price.spec.provider.name())
    };
    let from: usize = visit.query.text("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
    let all = known(visit.store(), visit.tenant(), (ended, visit.now_us)).await?;
    let mut rest = all.into_iter().filter(fits).skip(from);
    let rows: Vec<Row> = rest.by_ref().take(ROWS_MAX).map(row).collect();
    let next = rest.next().map(|_| (from + ROWS_MAX).to_string());
    html(&Page {
        more: visit.older(next.as_deref()),
        rows,
        search: search.unwrap_or_default(),
        provider: provider.unwrap_or_default(),
        ended,
        shipped: shipped(),
        may_change: visit.may_all(Action::ChangeResources),
        draft,
        errors,
        shell: visit.shell("Prices"),
    })
}

fn row(price: Price) -> Row {
    let text = |rate: Rate| rate.to_string();
    let day = |at: &str| at.split('T').next().unwrap_or(at).to_owned();
    let when = match (&price.ended_at, &price.from) {
        (Some(at), _) => format!("ended {}", day(at)),
        (None, Some(at)) if price.current => format!("since {}", day(at)),
        (None, Some(at)) => format!("from {}", day(at)),
        (None, None) => String::new(),
    };
    Row {
        is_ended: price.ended_at.is_some(),
        is_current: price.current,
        id: price.id,
        version: price.version,
        origin: price.origin,
        provider: price.spec.provider.name(),
        model: price.spec.model,
        tier: price.spec.service_tier,
        input: text(price.spec.rates.input),
        cached: price.spec.rates.cached_input.map(text),
        output: text(price.spec.rates.output),
        currency: price.spec.currency.to_string(),
        when,
    }
}

/// The first lines of the shipped table: what it is, its date and its source.
fn shipped() -> String {
    let lines = STARTING_PRICES.lines().map_while(|line| line.strip_prefix('#')).map(str::trim);
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Adds a price, or a version of one.
pub(crate) async fn create(posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let draft = Draft::read(&fields);
    let made = async {
        let spec = own(draft.spec().map_err(Refused::Invalid)?, &visit.who.tenant.name)?;
        Ok::<_, Trouble>(visit.store().add_price(&permit, spec, visit.now_us).await?)
    };
    match made.await {
        Ok(done) => {
            visit.known_here(done.seq).await;
            Ok(Redirect::to("/prices?done=saved").into_response())
        }
        Err(trouble) => page(&visit, draft, Errors::from(trouble)?).await,
    }
}

/// Ends a price: it counts no more.
pub(crate) async fn end(Path(id): Path<String>, posted: Posted) -> Result<Response, Trouble> {
    let Posted { visit, fields } = posted;
    let permit = visit.permit(Action::ChangeResources)?;
    let id: PriceId = id.parse().map_err(|_| Trouble::absent("price"))?;
    let version = fields.text("version").and_then(|text| text.parse().ok());
    let at = PriceAt { tenant: visit.tenant(), id, version };
    let done = visit.store().end_price(&permit, at, visit.now_us).await?;
    visit.known_here(done.seq).await;
    Ok(Redirect::to("/prices?done=ended-price").into_response())
}
