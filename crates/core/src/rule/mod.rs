//! Rules that block and unblock by themselves: as people write them ([`spec`]), compiled, the sliding
//! sums behind them ([`sliding`]), and the watch that says when one acts ([`watch`]). What one would have done to
//! the past is in [`crate::backtest`].
//!
//! Here is what is decided; where the requests come from and how a block is written down is the
//! business of others. The same code runs on live traffic and on recorded traffic, so that a backtest
//! says what would have happened.

pub mod sliding;
pub mod spec;
pub mod watch;

use crate::{
    code::Code,
    field_error::FieldError,
    id::{ProjectId, ServiceId},
    money::amount::{Amount, Currency},
    name::check_name,
    period::{Period, PeriodUnit},
    rule::spec::{Above, Action, Metric, RuleMode, RuleSpec, ThenSpec, UntilSpec, WhenSpec, Whose},
    time::Span,
};

/// The shortest window.
pub const WINDOW_MIN: Span = Span::from_secs(1);
/// The longest window: 30 days.
pub const WINDOW_MAX: Span = Span::from_secs(30 * 86_400);
/// The longest block that is not `manual`: a year.
pub const BLOCK_MAX: Span = Span::from_secs(366 * 86_400);
/// Requests that there must be before an error rate means anything.
pub const AT_LEAST: u64 = 20;
/// The most addresses that a rule can count.
pub const ADDRESSES_MAX: u64 = 10_000;
/// A whole, in the parts that error rates are compared in: 0.01 %.
const WHOLE_PARTS: u64 = 10_000;

/// A rule ready to watch.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its id.
    pub id: u64,
    /// Its project.
    pub project: ProjectId,
    /// Its name.
    pub name: Box<str>,
    /// What is counted.
    pub metric: Metric,
    /// Only requests to this service.
    pub service: Option<ServiceId>,
    /// Only requests that ended with this code.
    pub code: Option<Code>,
    /// Whose are counted together.
    pub per: Whose,
    /// Above this it acts: a count, atoms of money, or hundredths of a percent.
    pub above: u64,
    /// Of which money `above` is.
    pub currency: Currency,
    /// Over how long, microseconds.
    pub window_us: i64,
    /// Requests before an error rate means anything.
    pub at_least: u64,
    /// What is done.
    pub action: Action,
    /// What is closed; all when `None`.
    pub closes: Option<ServiceId>,
    /// Until when.
    pub until: Until,
    /// Whether it is done.
    pub mode: RuleMode,
}

/// Until when a block holds.
#[derive(Clone, Debug)]
pub enum Until {
    /// Until this calendar period ends.
    End(Period),
    /// For so many microseconds.
    For(i64),
    /// Until somebody takes it away.
    Manual,
}

impl Until {
    /// The moment, in wall microseconds, until which a block holds that begins at `wall_us`; `None`
    /// until somebody takes it away.
    #[must_use]
    pub fn after(&self, wall_us: i64) -> Option<i64> {
        match self {
            Self::End(period) => Some(period.window_at(wall_us).end_us),
            Self::For(length_us) => Some(wall_us.saturating_add(*length_us)),
            Self::Manual => None,
        }
    }
}

/// Whose rule it is and which row: what a spec does not say of itself.
#[derive(Clone, Copy, Debug)]
pub struct RuleRow {
    /// Its id.
    pub id: u64,
    /// Its project.
    pub project: ProjectId,
}

impl Rule {
    /// Compiles what was written. `service_named` resolves a service name of the same project.
    ///
    /// # Errors
    /// Everything that is wrong, each with its field and remedy.
    pub fn compile(
        spec: &RuleSpec,
        row: RuleRow,
        service_named: impl Fn(&str) -> Option<ServiceId>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        if let Err(problem) = check_name(&spec.name) {
            errors.push(FieldError::new("name", problem));
        }
        let mut named = |field: &str, name: &Option<String>| {
            let name = name.as_deref()?;
            let found = service_named(name);
            if found.is_none() {
                let problem =
                    format!("the project has no service `{name}`; create it first, or correct the name");
                errors.push(FieldError::new(field, problem));
            }
            found
        };
        let service = named("when.service", &spec.when.service);
        let closes = named("then.service", &spec.then.service);
        let code = code(&spec.when, &mut errors);
        let currency = currency(&spec.when, &mut errors);
        let above = above(&spec.when, currency, &mut errors);
        check_window(&spec.when, &mut errors);
        let until = until(&spec.then, &mut errors);
        match (above, until) {
            (Some(above), Some(until)) if errors.is_empty() => Ok(Self {
                id: row.id,
                project: row.project,
                name: spec.name.as_str().into(),
                metric: spec.when.metric,
                service,
                code,
                per: spec.when.per,
                above,
                currency,
                window_us: i64::try_from(spec.when.window.as_micros()).unwrap_or(i64::MAX),
                at_least: spec.when.at_least.unwrap_or(AT_LEAST),
                action: spec.then.action,
                closes,
                until,
                mode: spec.mode,
            }),
            _ => Err(errors),
        }
    }

    /// The value in words, as it stands beside a threshold.
    #[must_use]
    pub fn in_words(&self, value: u64) -> String {
        match self.metric {
            Metric::Requests => format!("{value} requests"),
            Metric::Denials => format!("{value} denials"),
            Metric::Tokens => format!("{value} tokens"),
            Metric::DistinctAddresses => format!("{value} addresses"),
            Metric::ErrorRate => format!("{}.{:02} % errors", value / 100, value % 100),
            Metric::Cost => {
                let amount = i64::try_from(value).ok().and_then(Amount::from_atoms).unwrap_or(Amount::MAX);
                format!("{} {}", amount.to_text(self.currency), self.currency)
            }
        }
    }
}

fn code(when: &WhenSpec, errors: &mut Vec<FieldError>) -> Option<Code> {
    let name = when.code.as_deref()?;
    let found = Code::ALL.iter().copied().find(|code| code.name() == name);
    match found {
        None => errors.push(FieldError::new(
            "when.code",
            format!("`{name}` is not a code; write one such as `rate_limited` or `key_expired`"),
        )),
        Some(Code::KeyBlocked) => errors.push(FieldError::new(
            "when.code",
            "requests of a blocked key never count, or a block would keep itself alive; name another code",
        )),
        Some(_) if when.metric == Metric::ErrorRate => {
            errors.push(FieldError::new("when.code", "an error rate is over all codes; leave it away"));
        }
        Some(Code::Valid) if when.metric == Metric::Denials => {
            errors.push(FieldError::new("when.code", "`valid` is no denial; use `metric = \"requests\"`"));
        }
        Some(_) => {}
    }
    found
}

fn currency(when: &WhenSpec, errors: &mut Vec<FieldError>) -> Currency {
    if when.currency.is_some() && when.metric != Metric::Cost {
        errors.push(FieldError::new("when.currency", "only `metric = \"cost\"` is in money; leave it away"));
    }
    when.currency.unwrap_or(Currency::USD)
}

/// The threshold as it is compared.
fn above(when: &WhenSpec, currency: Currency, errors: &mut Vec<FieldError>) -> Option<u64> {
    let refused = |problem: String| FieldError::new("when.above", problem);
    let outcome = match (when.metric, &when.above) {
        (Metric::Cost, above) => {
            let text = match above {
                Above::Count(count) => count.to_string(),
                Above::Decimal(text) => text.clone(),
            };
            Amount::parse(&text, currency).map_err(|error| refused(error.to_string())).and_then(|amount| {
                u64::try_from(amount.atoms()).map_err(|_| refused("it is below zero".into()))
            })
        }
        (Metric::ErrorRate, above) => parts(above).ok_or_else(|| {
            refused("an error rate is in percent, from 0 to below 100: `5` or `\"0.25\"`".to_owned())
        }),
        (Metric::DistinctAddresses, Above::Count(count)) if *count > ADDRESSES_MAX => {
            Err(refused(format!("{count} is over the bound of {ADDRESSES_MAX} addresses")))
        }
        (_, Above::Count(count)) => Ok(*count),
        (_, Above::Decimal(text)) => {
            Err(refused(format!("`{text}` is no whole number; write it without quotes")))
        }
    };
    outcome.map_err(|error| errors.push(error)).ok()
}

/// Percent, with at most two decimals, in hundredths of a percent.
fn parts(above: &Above) -> Option<u64> {
    let parts = match above {
        Above::Count(percent) => percent.checked_mul(100)?,
        Above::Decimal(text) => {
            let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            if whole.is_empty() || decimals.len() > 2 || !digits(whole) || !digits(decimals) {
                return None;
            }
            let hundredths: u64 = format!("{decimals:0<2}").parse().ok()?;
            whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(hundredths)?
        }
    };
    (parts < WHOLE_PARTS).then_some(parts)
}

fn check_window(when: &WhenSpec, errors: &mut Vec<FieldError>) {
    if !(WINDOW_MIN..=WINDOW_MAX).contains(&when.window) {
        errors.push(FieldError::new("when.window", format!("{} is outside 1s to 30d", when.window)));
    }
    if when.at_least.is_some() && when.metric != Metric::ErrorRate {
        errors.push(FieldError::new("when.at_least", "only an error rate needs it; leave it away"));
    }
}

fn until(then: &ThenSpec, errors: &mut Vec<FieldError>) -> Option<Until> {
    if then.action == Action::Notify && then.service.is_some() {
        errors.push(FieldError::new("then.service", "`notify` closes nothing; leave it away"));
    }
    let zone = then.time_zone.as_deref().unwrap_or("UTC");
    let mut end_of = |unit| {
        let period = Period::new(unit, zone);
        period.map_err(|error| errors.push(FieldError::new("then.time_zone", error))).ok().map(Until::End)
    };
    match (then.action, then.until) {
        (Action::Block, Some(UntilSpec::NextHour)) => end_of(PeriodUnit::Hour),
        (Action::Block, Some(UntilSpec::NextDay)) => end_of(PeriodUnit::Day),
        (Action::Block, Some(UntilSpec::For(span))) if span <= BLOCK_MAX && span.as_micros() > 0 => {
            Some(Until::For(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
        }
        (Action::Block, Some(UntilSpec::For(span))) => {
            let problem = format!("{span} is outside 1ms to 366d; write `manual` for longer");
            errors.push(FieldError::new("then.until", problem));
            None
        }
        (Action::Block, Some(UntilSpec::Manual)) | (Action::Unblock | Action::Notify, None) => {
            Some(Until::Manual)
        }
        (Action::Block, None) => {
            let problem = "say until when: `next_hour`, `next_day`, a time such as `30m`, or `manual`";
            errors.push(FieldError::new("then.until", problem));
            None
        }
        (Action::Unblock | Action::Notify, Some(_)) => {
            errors.push(FieldError::new("then.until", "only a block has an end; leave it away"));
            None
        }
    }
}

/// Whether what one rule has counted means the same to the other.
fn counts_the_same(one: &Rule, other: &Rule) -> bool {
    one.metric == other.metric
        && one.service == other.service
        && one.code == other.code
        && one.per == other.per
        && one.window_us == other.window_us
        && one.currency == other.currency
}

/// Whether one rule has done what the other would do.
fn does_the_same(one: &Rule, other: &Rule) -> bool {
    (one.mode, one.action, one.closes) == (other.mode, other.action, other.closes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Result<RuleSpec, String> {
        toml::from_str(&format!("project = \"maps\"\nname = \"flood\"\n{text}"))
            .map_err(|error| error.to_string())
    }

    fn compiled(when: &str, then: &str) -> Result<Rule, Vec<String>> {
        let spec = spec(&format!("when = {{ {when} }}\nthen = {{ {then} }}")).map_err(|error| vec![error])?;
        let row = RuleRow { id: 7, project: ProjectId(1) };
        let named = |name: &str| (name == "tiles").then_some(ServiceId(5));
        Rule::compile(&spec, row, named)
            .map_err(|errors| errors.into_iter().map(|error| error.field).collect())
    }

    const BLOCK: &str = r#"action = "block", until = "next_hour""#;

    #[test]
    fn the_rule_of_the_contract_compiles() {
        let when = r#"metric = "requests", service = "tiles", per = "key", above = 100, window = "1m""#;
        let then = r#"action = "block", service = "tiles", until = "next_hour""#;
        let rule = compiled(when, then).unwrap();
        assert_eq!((rule.metric, rule.above, rule.window_us), (Metric::Requests, 100, 60_000_000));
        assert_eq!(
            (rule.service, rule.closes, rule.per),
            (Some(ServiceId(5)), Some(ServiceId(5)), Whose::Key)
        );
        assert_eq!(rule.mode, RuleMode::Enforce);
        // 10:59:59 of some day; the hour ends a second later.
        assert_eq!(rule.until.after(1_700_002_799_000_000), Some(1_700_002_800_000_000));
    }

    #[test]
    fn what_is_wrong_names_its_field() {
        let table = [
            (r#"metric = "requests", above = 1, window = "999ms""#, BLOCK, "when.window"),
            (r#"metric = "requests", above = 1, window = "31d""#, BLOCK, "when.window"),
            (r#"metric = "requests", above = "1.5", window = "1m""#, BLOCK, "when.above"),
            (r#"metric = "cost", above = "0.0000000001", window = "1m""#, BLOCK, "when.above"),
            (r#"metric = "error_rate", above = 100, window = "1m""#, BLOCK, "when.above"),
            (r#"metric = "error_rate", above = "0.125", window = "1m""#, BLOCK, "when.above"),
            (r#"metric = "distinct_addresses", above = 10001, window = "1m""#, BLOCK, "when.above"),
            (r#"metric = "denials", code = "nonsense", above = 1, window = "1m""#, BLOCK, "when.code"),
            (r#"metric = "denials", code = "key_blocked", above = 1, window = "1m""#, BLOCK, "when.code"),
            (r#"metric = "denials", code = "valid", above = 1, window = "1m""#, BLOCK, "when.code"),
            (r#"metric = "requests", at_least = 3, above = 1, window = "1m""#, BLOCK, "when.at_least"),
            (r#"metric = "requests", currency = "EUR", above = 1, window = "1m""#, BLOCK, "when.currency"),
            (r#"metric = "requests", service = "x", above = 1, window = "1m""#, BLOCK, "when.service"),
            (r#"metric = "requests", above = 1, window = "1m""#, r#"action = "block""#, "then.until"),
            (
                r#"metric = "requests", above = 1, window = "1m""#,
                r#"action = "block", until = "400d""#,
                "then.until",
            ),
            (
                r#"metric = "requests", above = 1, window = "1m""#,
                r#"action = "block", until = "next_day", time_zone = "Mars""#,
                "then.time_zone",
            ),
            (
                r#"metric = "requests", above = 1, window = "1m""#,
                r#"action = "notify", until = "30m""#,
                "then.until",
            ),
            (
                r#"metric = "requests", above = 1, window = "1m""#,
                r#"action = "notify", service = "tiles""#,
                "then.service",
            ),
        ];
        for (when, then, field) in table {
            assert_eq!(compiled(when, then).map(|_| ()).unwrap_err(), [field], "{when} {then}");
        }
    }

    #[test]
    fn thresholds_are_read_in_their_own_units() {
        let above = |text: &str| compiled(text, BLOCK).map(|rule| rule.above).unwrap();
        assert_eq!(above(r#"metric = "cost", above = "12.50", window = "1d""#), 12_500_000_000);
        assert_eq!(above(r#"metric = "cost", above = 3, window = "1d""#), 3_000_000_000);
        assert_eq!(above(r#"metric = "error_rate", above = 5, window = "1m""#), 500);
        assert_eq!(above(r#"metric = "error_rate", above = "0.2", window = "1m""#), 20);
    }

    #[test]
    fn a_rule_reads_back_as_it_was_written() {
        for until in ["next_hour", "next_day", "manual", "30m"] {
            let text = format!(
                "when = {{ metric = \"cost\", above = \"1.5\", window = \"1m\" }}\n\
                 then = {{ action = \"block\", until = \"{until}\" }}"
            );
            let first = spec(&text).unwrap();
            let again: RuleSpec = toml::from_str(&toml::to_string(&first).unwrap()).unwrap();
            assert_eq!(again, first);
        }
        let wrong = spec(
            "when = { metric = \"cost\", above = 1, window = \"1m\" }\nthen = { action = \"block\", until = \"soon\" }",
        );
        assert!(wrong.unwrap_err().contains("next_hour"));
    }
}
