//! A policy compiled: every pattern read, every name resolved, ready to be asked.

use ipnet::IpNet;
use sha2::{Digest as _, Sha256};

use crate::{
    address::parse_network,
    counters::{Measure, Rule, RuleId, WhenGone},
    field_error::FieldError,
    id::{PolicyId, ProjectId, ServiceId},
    limits::Gcra,
    pattern::{Endpoint, TextPattern},
    period::Period,
    resource::{LimitMode, LimitSpec, Per, PolicySpec, QuotaSpec, Unit},
    url_pattern::UrlPattern,
};

/// Limits and quotas a policy may have of each.
pub const RULES_MAX: usize = 8;
/// Entries a list of a policy may have.
pub const LIST_MAX: usize = 1000;
/// The longest window of a limit: 31 days; longer is a quota.
pub const WINDOW_US_MAX: u64 = 31 * 86_400_000_000;

/// The largest amount of a limit or quota: what SQL can hold.
pub const AMOUNT_MAX: u64 = i64::MAX as u64;

/// A policy ready to be asked.
#[derive(Debug)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// Its project; a key of another project cannot have it.
    pub project: ProjectId,
    /// Its name.
    pub name: Box<str>,
    /// The version of its row; a later one replaces an earlier.
    pub version: u64,
    /// Which services it grants.
    pub services: Grant,
    /// Granted scopes; `None` grants all.
    pub scopes: Option<Box<[Box<str>]>>,
    /// Endpoints; `None` allows all.
    pub endpoints: Option<Box<[Endpoint]>>,
    /// Networks; `None` allows all.
    pub networks: Option<Box<[IpNet]>>,
    /// Referers; `None` allows all.
    pub referers: Option<Box<[UrlPattern]>>,
    /// Origins; `None` allows all.
    pub origins: Option<Box<[UrlPattern]>>,
    /// User agents; `None` allows all.
    pub user_agents: Option<Box<[TextPattern]>>,
    /// Mobile apps; `None` allows all.
    pub apps: Option<Box<[App]>>,
    /// Models; `None` allows all.
    pub models: Option<Box<[TextPattern]>>,
    /// Concurrency, limits and quotas, in the order they are charged.
    pub rules: Box<[Rule]>,
}

/// Which services a policy grants.
#[derive(Debug, PartialEq, Eq)]
pub enum Grant {
    /// All of the policy's own project.
    All,
    /// These.
    Only(Box<[ServiceId]>),
}

impl Grant {
    /// Whether the service is granted; the project was compared already.
    #[must_use]
    pub fn covers(&self, service: ServiceId) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&service),
        }
    }
}

/// A mobile app that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum App {
    /// An Android package signed with a certificate.
    Android {
        /// Its package name.
        package: Box<str>,
        /// SHA-1 of its certificate, upper-case hexadecimal without colons.
        certificate: Box<str>,
    },
    /// An iOS bundle.
    Ios {
        /// Its bundle identifier.
        bundle: Box<str>,
    },
}

impl App {
    /// Reads `android:PACKAGE:SHA1` or `ios:BUNDLE`.
    fn parse(text: &str) -> Result<Self, String> {
        let error = || {
            format!("`{text}` is not an app; write `android:com.example.app:SHA1` or `ios:com.example.app`")
        };
        if let Some(bundle) = text.strip_prefix("ios:").filter(|bundle| !bundle.is_empty()) {
            return Ok(Self::Ios { bundle: bundle.into() });
        }
        let (package, fingerprint) =
            text.strip_prefix("android:").and_then(|rest| rest.split_once(':')).ok_or_else(error)?;
        let certificate = certificate(fingerprint).ok_or_else(error)?;
        if package.is_empty() {
            Err(error())
        } else {
            Ok(Self::Android { package: package.into(), certificate })
        }
    }
}

/// A SHA-1 fingerprint in one spelling: 40 upper-case hexadecimal digits; colons may separate
/// bytes. `None` when it is none.
#[must_use]
pub fn certificate(fingerprint: &str) -> Option<Box<str>> {
    let digits: String =
        fingerprint.chars().filter(|sign| *sign != ':').map(|sign| sign.to_ascii_uppercase()).collect();
    let good = digits.len() == 40 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then(|| digits.into())
}

/// Whose policy it is and which row: what a spec does not say of itself.
#[derive(Clone, Copy, Debug)]
pub struct PolicyRow {
    /// Its id.
    pub id: PolicyId,
    /// Its project.
    pub project: ProjectId,
    /// The version of its row.
    pub version: u64,
}

impl Policy {
    /// Compiles what was written. `service_named` resolves a service name of the same project.
    ///
    /// # Errors
    /// Everything that is wrong, all at once.
    pub fn compile(
        spec: &PolicySpec,
        row: PolicyRow,
        service_named: impl Fn(&str) -> Option<ServiceId>,
    ) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let services = grant(spec, service_named, &mut errors);
        let rules = rules(spec, row.id, &mut errors);
        let policy = Self {
            id: row.id,
            project: row.project,
            name: spec.name.as_str().into(),
            version: row.version,
            services,
            scopes: list("scopes", spec.scopes.as_deref(), &mut errors, scope),
            endpoints: list("endpoints", spec.endpoints.as_deref(), &mut errors, |text| {
                Endpoint::parse(text)
            }),
            networks: list("allow_ips", spec.allow_ips.as_deref(), &mut errors, parse_network),
            referers: list("allow_referers", spec.allow_referers.as_deref(), &mut errors, |text| {
                UrlPattern::parse(text)
            }),
            origins: list("allow_origins", spec.allow_origins.as_deref(), &mut errors, |text| {
                UrlPattern::parse(text)
            }),
            user_agents: list("allow_user_agents", spec.allow_user_agents.as_deref(), &mut errors, |text| {
                TextPattern::parse(text)
            }),
            apps: list("allow_apps", spec.allow_apps.as_deref(), &mut errors, App::parse),
            models: list("models", spec.models.as_deref(), &mut errors, |text| {
                TextPattern::parse_folded(text)
            }),
            rules,
        };
        if errors.is_empty() { Ok(policy) } else { Err(errors) }
    }
}

fn scope(text: &str) -> Result<Box<str>, String> {
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte));
    if good {
        Ok(text.into())
    } else {
        Err(format!("`{text}` is not a scope; use 1 to 64 of a-z, 0-9 and `_-.:/`"))
    }
}

fn grant(
    spec: &PolicySpec,
    service_named: impl Fn(&str) -> Option<ServiceId>,
    errors: &mut Vec<FieldError>,
) -> Grant {
    if spec.services.iter().any(|name| name == "*") {
        if spec.services.len() > 1 {
            errors
                .push(FieldError::new("services", "`*` stands for all services; leave the other names away"));
        }
        return Grant::All;
    }
    let mut ids = Vec::with_capacity(spec.services.len());
    for (index, name) in spec.services.iter().enumerate() {
        match service_named(name) {
            Some(id) => ids.push(id),
            None => errors.push(FieldError::new(
                format!("services[{index}]"),
                format!("the project has no service `{name}`; create it first, or correct the name"),
            )),
        }
    }
    Grant::Only(ids.into())
}

fn list<T, E: std::fmt::Display>(
    field: &str,
    texts: Option<&[String]>,
    errors: &mut Vec<FieldError>,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<Box<[T]>> {
    let texts = texts?;
    if texts.len() > LIST_MAX {
        errors
            .push(FieldError::new(field, format!("{} entries; at most {LIST_MAX} are allowed", texts.len())));
    }
    let mut items = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match read(text) {
            Ok(item) => items.push(item),
            Err(error) => errors.push(FieldError::new(format!("{field}[{index}]"), error)),
        }
    }
    Some(items.into())
}

fn rules(spec: &PolicySpec, policy: PolicyId, errors: &mut Vec<FieldError>) -> Box<[Rule]> {
    let mut rules = Vec::new();
    if let Some(most) = spec.max_concurrency {
        if most == 0 {
            errors.push(FieldError::new("max_concurrency", "0 would refuse every request; use 1 or more"));
        }
        rules.push(Rule {
            id: rule_id(policy, "concurrency", ""),
            name: "concurrency".into(),
            unit: Unit::Requests,
            per: Per::Key,
            amount: u64::from(most),
            measure: Measure::Concurrency,
        });
    }
    for (field, length) in [("limit", spec.limits.len()), ("quota", spec.quotas.len())] {
        if length > RULES_MAX {
            errors.push(FieldError::new(field, format!("{length} of them; at most {RULES_MAX} are allowed")));
        }
    }
    let mut names: Vec<&str> = Vec::new();
    for (index, limit) in spec.limits.iter().enumerate() {
        rules.extend(limit_rule(limit, policy, &format!("limit[{index}]"), errors));
        check_name(&limit.name, &mut names, &format!("limit[{index}].name"), errors);
    }
    for (index, quota) in spec.quotas.iter().enumerate() {
        rules.extend(quota_rule(quota, policy, &format!("quota[{index}]"), errors));
        check_name(&quota.name, &mut names, &format!("quota[{index}].name"), errors);
    }
    rules.into()
}

fn check_name<'s>(name: &'s str, names: &mut Vec<&'s str>, field: &str, errors: &mut Vec<FieldError>) {
    if let Err(problem) = crate::name::check_name(name) {
        errors.push(FieldError::new(field, problem));
    } else if names.contains(&name) {
        errors
            .push(FieldError::new(field, format!("`{name}` is used twice in this policy; names are unique")));
    }
    names.push(name);
}

fn limit_rule(
    limit: &LimitSpec,
    policy: PolicyId,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Rule> {
    let before = errors.len();
    if limit.amount == 0 {
        errors
            .push(FieldError::new(format!("{field}.amount"), "0 would refuse every request; use 1 or more"));
    }
    if !(1_000..=WINDOW_US_MAX).contains(&limit.window.as_micros()) {
        errors.push(FieldError::new(
            format!("{field}.window"),
            format!("{} is outside 1ms to 31d; for longer periods use a quota", limit.window),
        ));
    }
    if limit.burst == Some(0) {
        errors.push(FieldError::new(format!("{field}.burst"), "0 would refuse every request; use 1 or more"));
    }
    let shared = match (limit.mode, limit.security) {
        (LimitMode::Local, _) => None,
        (LimitMode::Shared, false) => Some(WhenGone::Divides),
        (LimitMode::Shared, true) => Some(WhenGone::Refuses),
    };
    if shared.is_some() && limit.unit == Unit::Tokens {
        errors.push(FieldError::new(
            format!("{field}.mode"),
            "limits of tokens are counted by each node; use `local`, or a quota to bound all nodes together",
        ));
    }
    if shared.is_none() && limit.security {
        errors.push(FieldError::new(
            format!("{field}.security"),
            "a `local` limit never depends on another server; leave it away, or say `mode = \"shared\"`",
        ));
    }
    let gcra = Gcra::new(limit.amount, limit.window.as_nanos(), limit.burst.unwrap_or(limit.amount));
    if limit.amount > AMOUNT_MAX || !gcra.is_sound() {
        errors.push(FieldError::new(
            format!("{field}.amount"),
            format!("amount or burst is too large for a window of {}; use smaller ones", limit.window),
        ));
    }
    (errors.len() == before).then(|| Rule {
        id: rule_id(policy, "limit", &limit.name),
        name: limit.name.as_str().into(),
        unit: limit.unit,
        per: limit.per,
        amount: limit.amount,
        measure: Measure::Rate { gcra, window: limit.window, shared },
    })
}

fn quota_rule(
    quota: &QuotaSpec,
    policy: PolicyId,
    field: &str,
    errors: &mut Vec<FieldError>,
) -> Option<Rule> {
    if quota.amount > AMOUNT_MAX {
        errors.push(FieldError::new(
            format!("{field}.amount"),
            format!("it is over the bound of {AMOUNT_MAX}"),
        ));
    }
    let zone = quota.time_zone.as_deref().unwrap_or("UTC");
    let period = Period::new(quota.period, zone)
        .map_err(|error| errors.push(FieldError::new(format!("{field}.time_zone"), error)))
        .ok()?;
    Some(Rule {
        id: rule_id(policy, "quota", &quota.name),
        name: quota.name.as_str().into(),
        unit: quota.unit,
        per: quota.per,
        amount: quota.amount,
        measure: Measure::Quota(period),
    })
}

fn rule_id(policy: PolicyId, kind: &str, name: &str) -> RuleId {
    let hash = Sha256::new()
        .chain_update(policy.0.to_le_bytes())
        .chain_update(kind.as_bytes())
        .chain_update([0])
        .chain_update(name.as_bytes())
        .finalize();
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash);
    // The sign bit is cleared so that SQL can hold it.
    RuleId(u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 1)
}
