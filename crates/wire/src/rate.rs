//! Rate headers: `RateLimit-Policy` and `RateLimit` (IETF draft `ratelimit-headers`, state of
//! 2025-09), the old `X-RateLimit-*`, and `Retry-After` (RFC 9110 §10.2.3).
//!
//! The parameters: `q` the amount, `w` the window in seconds (at least 1), `qu` the unit, left out
//! for requests; `r` what remains, `t` seconds until it is whole again, never a moment. A refusal
//! names only the limit that refused, with the `t` of its `Retry-After`, so that the two can never
//! disagree.

use tollgate_core::{
    admit::{Charged, Decision},
    counters::{Measure, Rule, Standing},
    policy::Policy,
    resource::{RateHeaders, Unit},
};

use smallvec::SmallVec;

use crate::{
    codes::{Retry, entry},
    headers,
    text::push_number,
};

/// The largest integer of a structured field (RFC 9651 §3.3.1).
const SF_INTEGER_MAX: u64 = 999_999_999_999_999;

/// `RateLimit-Policy` as it was written last for a policy: it is the same on answer after answer, but for
/// quotas whose next period has another length, and refusals.
#[derive(Debug, Default)]
pub struct LastPolicy {
    /// The rules in it, with the lengths of their periods.
    of: SmallVec<[(u8, i64); 4]>,
    text: Vec<u8>,
}

impl LastPolicy {
    /// What it says of the rules that were charged; `policy` must be the same each time.
    fn of(&mut self, decision: &Decision, policy: &Policy) -> &[u8] {
        let length = |standing: &Standing| {
            standing.window.map_or(0, |window| window.end_us.saturating_sub(window.start_us))
        };
        let charged = decision.charged.iter().map(|charged| charged.rule);
        let now = charged.zip(decision.standings.iter().map(length));
        if !now.clone().eq(self.of.iter().copied()) {
            self.of = now.collect();
            self.text.clear();
            write_policy(decision, policy, &mut self.text);
        }
        &self.text
    }
}

/// Gives `put` every rate header of an answer, allowed or refused: its name, and what writes its value behind
/// what there is. `Retry-After` is not among them (see [`retry_after_s`]).
pub fn each_field(
    decision: &Decision,
    policy: &Policy,
    (choice, last): (RateHeaders, &mut LastPolicy),
    mut put: impl FnMut(&'static str, &dyn Fn(&mut Vec<u8>)),
) {
    if decision.charged.is_empty() || choice == RateHeaders::None {
        return;
    }
    if matches!(choice, RateHeaders::Ietf | RateHeaders::Both) {
        let text = last.of(decision, policy);
        put(headers::RATELIMIT_POLICY, &|out| out.extend_from_slice(text));
        if standings(decision, policy).next().is_some() {
            put(headers::RATELIMIT, &|out| write_limit(decision, policy, out));
        }
    }
    if matches!(choice, RateHeaders::Legacy | RateHeaders::Both)
        && let Some((rule, standing)) = tightest(decision, policy)
    {
        let reset = reset_s(decision, standing);
        let pairs = [
            (headers::X_RATELIMIT_LIMIT, rule.amount),
            (headers::X_RATELIMIT_REMAINING, standing.remaining),
            (headers::X_RATELIMIT_RESET, reset),
        ];
        for (name, number) in pairs {
            put(name, &|out| push_number(out, number));
        }
    }
}

/// Seconds to name in `Retry-After`, at least 1: what the limit says, else what the catalogue says
/// of the code; `None` where waiting does not help.
#[must_use]
pub fn retry_after_s(decision: &Decision) -> Option<u64> {
    if decision.is_allowed() {
        return None;
    }
    match (decision.retry_after_ns, entry(decision.code).retry) {
        (Some(wait_ns), _) => Some(seconds_up(wait_ns).max(1)),
        (None, Retry::Wait(seconds)) => Some(seconds),
        (None, Retry::Never | Retry::BackOff) => None,
    }
}

/// Each rule that was charged, with where it stands; those of one decision in their order.
pub(crate) fn standings<'p>(
    decision: &'p Decision,
    policy: &'p Policy,
) -> impl DoubleEndedIterator<Item = (&'p Rule, &'p Standing)> {
    let pair = |(charged, standing): (&'p Charged, &'p Standing)| {
        policy.rules.get(usize::from(charged.rule)).map(|rule| (rule, standing))
    };
    // Both lists are short and of one length; the zip is written out so that it can run backwards.
    let length = decision.charged.len().min(decision.standings.len());
    (0..length).filter_map(move |at| pair((decision.charged.get(at)?, decision.standings.get(at)?)))
}

/// `RateLimit-Policy`.
fn write_policy(decision: &Decision, policy: &Policy, out: &mut Vec<u8>) {
    for (at, (rule, standing)) in standings(decision, policy).enumerate() {
        push_name(out, at == 0, &rule.name);
        push_parameter(out, b";q=", rule.amount);
        match &rule.measure {
            Measure::Concurrency => out.extend_from_slice(b";qu=\"concurrent-requests\""),
            Measure::Rate { window, .. } => {
                push_unit(out, rule.unit);
                push_parameter(out, b";w=", window.as_micros().div_ceil(1_000_000).max(1));
            }
            Measure::Quota(_) => {
                push_unit(out, rule.unit);
                if let Some(window) = standing.window {
                    let length = window.end_us.saturating_sub(window.start_us).max(0);
                    push_parameter(out, b";w=", length.unsigned_abs().div_ceil(1_000_000).max(1));
                }
            }
        }
    }
}

/// `RateLimit`: all standings of an allowed request, of a refused one only the standing that
/// refused. Concurrency has no time to name and is left out when allowed.
fn write_limit(decision: &Decision, policy: &Policy, out: &mut Vec<u8>) {
    let skip = if decision.is_allowed() { 0 } else { decision.charged.len().saturating_sub(1) };
    for (at, (rule, standing)) in standings(decision, policy).skip(skip).enumerate() {
        push_name(out, at == 0, &rule.name);
        push_parameter(out, b";r=", standing.remaining);
        if decision.is_allowed() && matches!(rule.measure, Measure::Concurrency) {
            continue;
        }
        push_parameter(out, b";t=", reset_s(decision, standing));
    }
}

/// Seconds until the standing is whole again, or, of a refusal, until it is worth trying again.
fn reset_s(decision: &Decision, standing: &Standing) -> u64 {
    retry_after_s(decision).unwrap_or_else(|| seconds_up(standing.reset_after_ns))
}

/// The rule with the smallest share left, concurrency apart; of a refusal the rule that refused.
fn tightest<'p>(decision: &'p Decision, policy: &'p Policy) -> Option<(&'p Rule, &'p Standing)> {
    let mut timed =
        standings(decision, policy).filter(|(rule, _)| !matches!(rule.measure, Measure::Concurrency));
    if !decision.is_allowed() {
        return timed.next_back();
    }
    timed.min_by(|(a, a_stands), (b, b_stands)| {
        // a.remaining / a.amount against b.remaining / b.amount, without division.
        let left = u128::from(a_stands.remaining) * u128::from(b.amount);
        left.cmp(&(u128::from(b_stands.remaining) * u128::from(a.amount)))
    })
}

fn seconds_up(ns: u64) -> u64 {
    ns.div_ceil(1_000_000_000)
}

/// Whether a byte can stand in an sf-string as it is. Names are a few letters: a look at a table for each is
/// quicker than comparing.
static IS_PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        table[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    table
};

/// A name as sf-string (RFC 9651 §3.3.3). Names of rules hold no other character that needs it.
fn push_name(out: &mut Vec<u8>, is_first: bool, name: &str) {
    out.extend_from_slice(if is_first { b"\"" } else { b", \"" });
    // Nearly every name is plain.
    if name.bytes().all(|byte| IS_PLAIN[usize::from(byte)]) {
        out.extend_from_slice(name.as_bytes());
        return out.push(b'"');
    }
    for byte in name.bytes().filter(|byte| (0x20..0x7f).contains(byte)) {
        if byte == b'"' || byte == b'\\' {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

fn push_parameter(out: &mut Vec<u8>, key: &[u8], number: u64) {
    out.extend_from_slice(key);
    push_number(out, number.min(SF_INTEGER_MAX));
}

fn push_unit(out: &mut Vec<u8>, unit: Unit) {
    match unit {
        // The draft's default.
        Unit::Requests => {}
        Unit::Tokens => out.extend_from_slice(b";qu=\"tokens\""),
        Unit::Units => out.extend_from_slice(b";qu=\"units\""),
    }
}
