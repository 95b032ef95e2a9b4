//! Changes and decisions as messages: CloudEvents 1.0 in Kafka's binary mode, as records are.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use serde_json::{Value, json};
use tollgate_core::{
    code::Code,
    id::{ConsumerId, KeyId, PolicyId, ProjectId, ServiceId, TenantId},
};
use tollgate_journal::Flags;
use tollgate_store::{AuditRow, Recorded};

/// The key of messages that are about the whole installation.
const INSTALLATION: &str = "installation";

/// A message before it is sent.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) key: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) data: Vec<u8>,
}

impl Said {
    /// What it is told apart by.
    pub(super) fn event_id(&self) -> &str {
        self.header("event_id").unwrap_or_default()
    }

    /// The same without what was before and after, of a change that has these: what a broker does not take whole
    /// still says who changed what. `None` of everything else.
    pub(super) fn shortened(&self) -> Option<Self> {
        let mut data: Value = serde_json::from_slice(&self.data).ok()?;
        let members = data.as_object_mut().filter(|members| !members.contains_key("shortened"))?;
        let parts = ["before", "after"].map(|part| members.insert(part.to_owned(), Value::Null));
        parts.iter().flatten().find(|part| !part.is_null())?;
        members.insert("shortened".to_owned(), Value::Bool(true));
        let (key, headers) = (self.key.clone(), self.headers.clone());
        Some(Self { key, headers, data: data.to_string().into_bytes() })
    }

    /// Its place, of what has places.
    pub(super) fn seq(&self) -> Option<u64> {
        self.header("seq")?.parse().ok()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

/// Which decisions are handed on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sampling {
    /// Of allowed ones one in so many.
    pub(super) one_in: u64,
}

impl Sampling {
    /// Told by the decision itself, so that it is the same each time it is read.
    fn takes(self, recorded: &Recorded) -> bool {
        if self.one_in <= 1 || Code::from_number(recorded.entry.code) != Some(Code::Valid) {
            return true;
        }
        let mixed = (recorded.id.number ^ recorded.id.boot).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32).is_multiple_of(self.one_in)
    }
}

/// Each change of the audit. Its hash is its event id: it is of this change and of all before it.
pub(super) fn of_changes(rows: &[AuditRow]) -> Vec<Said> {
    rows.iter().map(change).collect()
}

fn change(row: &AuditRow) -> Said {
    let hash: String = row.hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let value =
        |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let data = json!({
        "seq": row.seq,
        "time": time(row.at_us),
        "actor": row.actor,
        "action": row.action,
        "kind": row.entity,
        "subject": row.subject,
        "version": row.version,
        "before": value(&row.before),
        "after": value(&row.after),
        "hash": hash,
    });
    let tenant = row.tenant.map(|tenant| tenant.to_string());
    let mut headers = headers(&hash, &format!("tollgate.change.{}", row.action), row.at_us);
    headers.push(("ce_source", "urn:tollgate:audit".to_owned()));
    headers.push(("ce_subject", row.subject.clone()));
    headers.push(("seq", row.seq.to_string()));
    headers.extend(tenant.clone().map(|tenant| ("ce_tenantid", tenant)));
    Said {
        key: tenant.unwrap_or_else(|| INSTALLATION.to_owned()),
        headers,
        data: data.to_string().into_bytes(),
    }
}

/// Each decision that is to be handed on. What only opened a reservation is none.
pub(super) fn of_decisions(rows: &[Recorded], sampling: Sampling) -> Vec<Said> {
    let decided = rows.iter().filter(|row| !row.entry.flags.contains(Flags::RESERVATION));
    decided.filter(|row| sampling.takes(row)).map(decision).collect()
}

fn decision(row: &Recorded) -> Said {
    let (entry, id) = (&row.entry, row.id.to_string());
    let code = Code::from_number(entry.code).map_or("unknown", Code::name);
    let named = |number: u64, text: String| (number != 0).then_some(text);
    let tenant = named(entry.tenant, TenantId(entry.tenant).to_string());
    let project = named(entry.project, ProjectId(entry.project).to_string());
    let service = named(entry.service, ServiceId(entry.service).to_string());
    let consumer = named(entry.consumer, ConsumerId(entry.consumer).to_string());
    let key = named(entry.key, KeyId(entry.key).to_string());
    let mut data = json!({
        "decision_id": id,
        "time": time(entry.at_us),
        "code": code,
        "status": entry.status,
        "path": row.path,
        "project_id": project,
        "service_id": service,
        "consumer_id": consumer,
        "key_id": key,
        "policy_id": named(entry.policy, PolicyId(entry.policy).to_string()),
        "generation": entry.generation,
        "address": address(entry.address),
        "user_agent": row.user_agent,
        "units": entry.units,
        "bytes_in": entry.bytes_in,
        "bytes_out": entry.bytes_out,
        "latency_ms": f64::from(entry.latency_us) / 1000.0,
        "upstream_ms": f64::from(entry.upstream_us) / 1000.0,
    });
    if let (false, Some(data)) = (row.used.model.is_empty(), data.as_object_mut()) {
        data.insert("model".to_owned(), row.used.model.clone().into());
        data.insert("tokens".to_owned(), row.used.tokens().into());
    }
    let mut headers = headers(&id, &format!("tollgate.decision.{code}"), entry.at_us);
    headers.push(("ce_source", "urn:tollgate:decisions".to_owned()));
    let ids = [
        ("ce_tenantid", tenant.clone()),
        ("ce_projectid", project),
        ("ce_serviceid", service),
        ("ce_consumerid", consumer),
        ("ce_keyid", key),
    ];
    headers.extend(ids.into_iter().filter_map(|(name, value)| Some((name, value?))));
    Said {
        key: tenant.unwrap_or_else(|| INSTALLATION.to_owned()),
        headers,
        data: data.to_string().into_bytes(),
    }
}

/// What all have.
fn headers(id: &str, kind: &str, at_us: i64) -> Vec<(&'static str, String)> {
    vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", id.to_owned()),
        ("ce_type", kind.to_owned()),
        ("ce_time", time(at_us)),
        ("content-type", "application/json".to_owned()),
        ("event_id", id.to_owned()),
    ]
}

fn time(at_us: i64) -> String {
    Timestamp::from_microsecond(at_us).map(|time| time.to_string()).unwrap_or_default()
}

/// IPv4 stands mapped into IPv6.
fn address(octets: [u8; 16]) -> IpAddr {
    Ipv6Addr::from(octets).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::id::DecisionId;
    use tollgate_store::{Entry, Used};

    fn recorded(number: u64, code: Code) -> Recorded {
        let entry = Entry { code: code.number(), tenant: 7, ..Entry::default() };
        let id = DecisionId { boot: 5, lane: 1, number };
        Recorded { id, entry, path: "/t".into(), user_agent: String::new(), used: Used::default() }
    }

    #[test]
    fn a_sample_of_what_was_allowed_and_all_that_was_denied_is_handed_on() {
        let rows: Vec<Recorded> = (0..10_000)
            .map(|number| recorded(number, if number % 10 == 0 { Code::KeyExpired } else { Code::Valid }))
            .collect();
        let said = of_decisions(&rows, Sampling { one_in: 10 });
        let denied =
            said.iter().filter(|said| said.headers.iter().any(|(_, value)| value.ends_with("key_expired")));
        assert_eq!(denied.count(), 1000);
        assert!((700..1100).contains(&(said.len() - 1000)), "{}", said.len());
        let again = of_decisions(&rows, Sampling { one_in: 10 });
        let ids = |said: &[Said]| said.iter().map(|said| said.event_id().to_owned()).collect::<Vec<_>>();
        assert_eq!(ids(&said), ids(&again), "the same ones each time");
        assert_eq!(of_decisions(&rows, Sampling { one_in: 1 }).len(), 10_000);
    }

    #[test]
    fn a_change_is_shortened_once_and_a_decision_never() {
        let said =
            |data: Value| Said { key: "k".into(), headers: vec![], data: data.to_string().into_bytes() };
        let whole = said(json!({"seq": 1, "before": null, "after": {"name": "a"}}));
        let short = whole.shortened().unwrap();
        let data: Value = serde_json::from_slice(&short.data).unwrap();
        assert_eq!(data, json!({"seq": 1, "before": null, "after": null, "shortened": true}));
        assert!(short.shortened().is_none());
        assert!(said(json!({"code": "valid"})).shortened().is_none());
    }

    #[test]
    fn what_only_opened_a_reservation_is_no_decision() {
        let mut row = recorded(1, Code::Valid);
        row.entry.flags = Flags::RESERVATION;
        assert!(of_decisions(&[row], Sampling { one_in: 1 }).is_empty());
    }
}
