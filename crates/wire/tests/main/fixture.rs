//! A policy, a key, a consumer and decisions about them.

use smallvec::SmallVec;
use tollgate_core::{
    admit::{Charged, CheckSet, Decision},
    code::Code,
    counters::{Standing, Standings},
    id::{ConsumerId, DecisionId, KeyId, PolicyId, ProjectId},
    key::Environment,
    keyring::{KeyRecord, KeyState},
    period::{PeriodUnit, Window},
    policy::{Policy, PolicyRow},
    resource::{ConsumerKind, LimitMode, LimitSpec, Per, PolicySpec, QuotaSpec, Unit},
    tables::Consumer,
    time::Span,
};

/// 2026-09-01T12:00:00Z in microseconds.
pub(crate) const NOON_US: i64 = 1_788_264_000_000_000;

pub(crate) const ID: DecisionId = DecisionId { boot: 0x1234_5678_9abc, lane: 1, number: 42 };

pub(crate) fn policy() -> Policy {
    let spec = PolicySpec {
        project: "maps".into(),
        name: "standard".into(),
        services: vec!["*".into()],
        scopes: Some(vec!["read".into(), "tiles:export".into()]),
        endpoints: Some(vec!["GET /tiles/**".into()]),
        allow_ips: Some(vec!["10.0.0.0/8".into()]),
        allow_referers: None,
        allow_origins: None,
        allow_user_agents: Some(vec![]),
        allow_apps: None,
        models: None,
        max_concurrency: Some(50),
        limits: vec![limit("burst", Unit::Requests, 100, 60), limit("bytes", Unit::Units, 5000, 10)],
        quotas: vec![QuotaSpec {
            name: "monthly".into(),
            unit: Unit::Requests,
            amount: 1_000_000,
            period: PeriodUnit::Month,
            time_zone: None,
            per: Per::Consumer,
        }],
    };
    let row = PolicyRow { id: PolicyId(7), project: ProjectId(5), version: 1 };
    Policy::compile(&spec, row, |_| None).expect("the policy is good")
}

fn limit(name: &str, unit: Unit, amount: u64, seconds: u64) -> LimitSpec {
    LimitSpec {
        name: name.into(),
        unit,
        amount,
        window: Span::from_secs(seconds),
        burst: None,
        per: Per::Key,
        mode: LimitMode::Local,
        security: false,
    }
}

pub(crate) fn record() -> KeyRecord {
    KeyRecord {
        id: KeyId(123_456_789),
        consumer: ConsumerId(987_654_321),
        project: ProjectId(5),
        policy: Some(PolicyId(7)),
        expires_us: NOON_US + 86_400_000_000,
        secret_until_us: i64::MAX,
        version: 1,
        generation: 0,
        state: KeyState::Active,
        environment: Environment::Live,
        narrowing: None,
    }
}

pub(crate) fn consumer() -> Consumer {
    Consumer {
        id: ConsumerId(987_654_321),
        project: ProjectId(5),
        name: "android-team".into(),
        kind: ConsumerKind::Partner,
        external_id: Some("p-17".into()),
        metadata: Box::new([("plan".into(), "gold \"plus\"".into())]),
    }
}

/// Concurrency, burst, bytes, monthly, in the order of the policy's rules.
pub(crate) fn standings() -> Standings {
    let month = Window { start_us: 1_788_220_800_000_000, end_us: 1_790_812_800_000_000 };
    SmallVec::from_vec(vec![
        Standing { remaining: 49, reset_after_ns: 0, window: None },
        Standing { remaining: 99, reset_after_ns: 600_000_000, window: None },
        Standing { remaining: 4000, reset_after_ns: 2_000_000_001, window: None },
        Standing { remaining: 940, reset_after_ns: 2_548_800_000_000_000, window: Some(month) },
    ])
}

pub(crate) fn allowed() -> Decision {
    Decision {
        code: Code::Valid,
        configured: CheckSet::default(),
        passed: CheckSet::default(),
        failed: None,
        detail: None,
        standings: standings(),
        charged: (0..4).map(|rule| Charged { rule, subject: 1, amount: 1 }).collect(),
        retry_after_ns: None,
        is_short: false,
        shared: Vec::new(),
    }
}

/// Refused by the rule with this index.
pub(crate) fn exhausted(rule: u8, code: Code, retry_after_ns: Option<u64>) -> Decision {
    let mut decision = allowed();
    decision.code = code;
    decision.failed = Some(tollgate_core::admit::Check::Limits);
    decision.detail = Some("limit burst of policy standard allows 100 requests per 1m and key".into());
    decision.charged.truncate(usize::from(rule) + 1);
    decision.standings.truncate(usize::from(rule) + 1);
    if let Some(last) = decision.standings.last_mut() {
        last.remaining = 0;
    }
    decision.retry_after_ns = retry_after_ns;
    decision
}
