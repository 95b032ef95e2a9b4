//! The ends of ports that lead from one room to another: quotas from the store to the counters,
//! hashes to replace from the gateway to the workers.

use std::sync::Arc;

use tokio::sync::mpsc;
use tollgate_control::{Mail, SmtpCourier};
use tollgate_core::{counters::RuleId, period::Window, secret::Secret};
use tollgate_counters::{LocalCounters, Part};
use tollgate_gateway::slow_hash;
use tollgate_store::{QuotaKey, QuotaTotal, Rehash};
use tollgate_workers::QuotaGranted;

/// Hashes that may wait to be replaced; more are offered again at the next use of their key.
pub(super) const REHASHES_MAX: usize = 1024;

/// Tells the counters what quotas have taken over all nodes.
pub(super) struct Quotas(pub(super) Arc<LocalCounters>);

impl tollgate_workers::QuotaSink for Quotas {
    fn merge(&self, totals: &[QuotaTotal]) {
        let mut refused = 0u64;
        for total in totals {
            let window = Window { start_us: total.period_start_us, end_us: total.period_end_us };
            let seeded = self.0.seed(total.rule, total.subject, window, total.used);
            refused += u64::from(seeded.is_err());
        }
        if refused > 0 {
            tracing::warn!(refused, "there is no room to count more quotas; their subjects are refused");
        }
    }
}

impl tollgate_workers::QuotaCells for Quotas {
    fn grant(&self, key: QuotaKey, window: Window, granted: QuotaGranted) -> bool {
        let QuotaGranted { amount, given, rest, ask_from_ns, is_elsewhere } = granted;
        let part = Part { amount, given, rest, ask_from_ns, is_elsewhere };
        self.0.grant(RuleId(key.rule), key.subject, window, &part)
    }

    fn take_back(&self, key: QuotaKey, window: Window) -> u64 {
        self.0.take_back(RuleId(key.rule), key.subject, window)
    }

    fn free(&self, key: QuotaKey, window: Window) -> u64 {
        self.0.free(RuleId(key.rule), key.subject, window)
    }
}

/// Hands the workers' mails to what sends them.
pub(super) struct Post(pub(super) Arc<SmtpCourier>);

impl tollgate_workers::Postman for Post {
    fn room(&self) -> usize {
        self.0.room_for_digests()
    }

    fn post(&self, letter: tollgate_workers::Letter) -> bool {
        let tollgate_workers::Letter { to, subject, text } = letter;
        self.0.take_digest(Mail { to, subject, text: Secret::new(text) })
    }
}

/// Hands hashes to replace to the workers.
pub(super) struct Rehashes(pub(super) mpsc::Sender<Rehash>);

impl slow_hash::RehashSink for Rehashes {
    fn offer(&self, rehash: slow_hash::Rehash) {
        let slow_hash::Rehash { key, generation, digest } = rehash;
        // A full queue drops it: the next use of the key offers it again.
        let _offered = self.0.try_send(Rehash { key, generation, digest });
    }
}
