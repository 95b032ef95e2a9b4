//! What was decided, as the service reads it.

use tollgate_core::{
    admit::Decision,
    code::Code,
    counters::{Measure, Rule, Standing},
    id::KeyId,
    keyring::KeyRecord,
    policy::Policy,
    tables::Consumer,
};

use crate::{
    codes::{Entry, Retry, entry},
    rate::standings,
    text::{DecisionText, push_id, push_json_string, push_number, push_rfc3339},
};

/// `{"valid":true,…}`
#[derive(Clone, Copy)]
pub struct Allowed<'a> {
    /// The decision's id.
    pub id: DecisionText,
    /// The key.
    pub record: &'a KeyRecord,
    /// The name of its tenant.
    pub tenant: &'a str,
    /// The name of its project.
    pub project: &'a str,
    /// Who holds it; `null` when unknown.
    pub consumer: Option<&'a Consumer>,
    /// Its policy.
    pub policy: Option<&'a Policy>,
    /// The decision, for where limits stand.
    pub decision: &'a Decision,
}

/// `{"valid":false,…}`
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// The decision's id.
    pub id: DecisionText,
    /// Why.
    pub code: Code,
    /// Why, in words; the catalogue's remedy when empty.
    pub detail: &'a str,
    /// The key, when it was recognised and the asker may know it.
    pub key: Option<KeyId>,
    /// Nanoseconds until it is worth trying again, when that is known.
    pub retry_after_ns: Option<u64>,
}

impl Allowed<'_> {
    /// Writes the answer. `expires_at` is the earlier of the key's expiry and the end of this
    /// secret's overlap, so that who remembers the answer never remembers it too long; `null` is
    /// never. `scopes` is `["*"]` when the policy restricts none.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"valid\":true,\"code\":\"valid\",\"decision_id\":\"");
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(b"\",\"key_id\":\"");
        push_id(out, "key", self.record.id.0);
        out.extend_from_slice(b"\",\"tenant\":");
        push_json_string(out, self.tenant);
        out.extend_from_slice(b",\"project\":");
        push_json_string(out, self.project);
        out.extend_from_slice(b",\"consumer\":");
        push_consumer(out, self.consumer);
        out.extend_from_slice(b",\"environment\":\"");
        out.extend_from_slice(self.record.environment.name().as_bytes());
        out.extend_from_slice(b"\",\"scopes\":");
        push_scopes(out, self.policy);
        out.extend_from_slice(b",\"expires_at\":");
        push_moment(out, self.record.expires_us.min(self.record.secret_until_us));
        out.extend_from_slice(b",\"limits\":");
        self.push_standings(out, |rule| matches!(rule.measure, Measure::Rate { .. }));
        out.extend_from_slice(b",\"quotas\":");
        self.push_standings(out, |rule| matches!(rule.measure, Measure::Quota(_)));
        out.push(b'}');
    }

    fn push_standings(&self, out: &mut Vec<u8>, wanted: impl Fn(&Rule) -> bool) {
        out.push(b'[');
        if let Some(policy) = self.policy {
            let mut separator = None;
            for (rule, standing) in standings(self.decision, policy).filter(|(rule, _)| wanted(rule)) {
                out.extend(separator);
                separator = Some(b',');
                push_standing(out, rule, standing);
            }
        }
        out.push(b']');
    }
}

impl Refused<'_> {
    /// Writes the answer. `key_id` is there when the key is known, `retry_after_ms` when waiting
    /// helps.
    pub fn write(&self, out: &mut Vec<u8>) {
        let entry = entry(self.code);
        out.extend_from_slice(b"{\"valid\":false,\"code\":\"");
        out.extend_from_slice(entry.name.as_bytes());
        out.extend_from_slice(b"\",\"detail\":");
        push_json_string(out, if self.detail.is_empty() { entry.remedy } else { self.detail });
        out.extend_from_slice(b",\"decision_id\":\"");
        out.extend_from_slice(self.id.as_bytes());
        out.push(b'"');
        if let Some(key) = self.key {
            out.extend_from_slice(b",\"key_id\":\"");
            push_id(out, "key", key.0);
            out.push(b'"');
        }
        if let Some(wait_ms) = self.wait_ms(entry) {
            out.extend_from_slice(b",\"retry_after_ms\":");
            push_number(out, wait_ms);
        }
        out.push(b'}');
    }
}

impl Refused<'_> {
    /// A limit or quota that knows no time is one that the cost can never pass: waiting does not
    /// help, and none is named.
    fn wait_ms(&self, entry: &Entry) -> Option<u64> {
        match (self.retry_after_ns, self.code, entry.retry) {
            (Some(wait_ns), ..) => Some(wait_ns.div_ceil(1_000_000)),
            (None, Code::RateLimited | Code::QuotaExhausted, _) => None,
            (None, _, Retry::Wait(seconds)) => Some(seconds.saturating_mul(1000)),
            (None, _, Retry::Never | Retry::BackOff) => None,
        }
    }
}

fn push_consumer(out: &mut Vec<u8>, consumer: Option<&Consumer>) {
    let Some(consumer) = consumer else {
        out.extend_from_slice(b"null");
        return;
    };
    out.extend_from_slice(b"{\"id\":\"");
    push_id(out, "con", consumer.id.0);
    out.extend_from_slice(b"\",\"name\":");
    push_json_string(out, &consumer.name);
    out.extend_from_slice(b",\"external_id\":");
    match &consumer.external_id {
        Some(id) => push_json_string(out, id),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(b",\"metadata\":{");
    for (index, (name, value)) in consumer.metadata.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json_string(out, name);
        out.push(b':');
        push_json_string(out, value);
    }
    out.extend_from_slice(b"}}");
}

/// A key without policy has no scope, a policy without a list of scopes all of them.
fn push_scopes(out: &mut Vec<u8>, policy: Option<&Policy>) {
    let Some(policy) = policy else {
        out.extend_from_slice(b"[]");
        return;
    };
    let Some(scopes) = &policy.scopes else {
        out.extend_from_slice(b"[\"*\"]");
        return;
    };
    out.push(b'[');
    for (index, scope) in scopes.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_json_string(out, scope);
    }
    out.push(b']');
}

fn push_moment(out: &mut Vec<u8>, wall_us: i64) {
    if wall_us == i64::MAX {
        out.extend_from_slice(b"null");
        return;
    }
    out.push(b'"');
    push_rfc3339(out, wall_us);
    out.push(b'"');
}

fn push_standing(out: &mut Vec<u8>, rule: &Rule, standing: &Standing) {
    out.extend_from_slice(b"{\"name\":");
    push_json_string(out, &rule.name);
    out.extend_from_slice(b",\"limit\":");
    push_number(out, rule.amount);
    out.extend_from_slice(b",\"remaining\":");
    push_number(out, standing.remaining);
    out.extend_from_slice(b",\"reset_after_ms\":");
    push_number(out, standing.reset_after_ns.div_ceil(1_000_000));
    out.push(b'}');
}
