//! Where batches go, and what all of them share: the end of the port, which the binary wires to the store; memory;
//! compiled schemas. Taking batches apart is the business of `ingest`.

mod room;
mod validators;

use std::{future::Future, pin::Pin};

use tollgate_core::{
    event::{Batch, NotTaken, Taken},
    id::{ServiceId, TenantId},
    usage_report::{Served, Wrong},
};

pub(crate) use self::{
    room::{Room, Share},
    validators::Validators,
};

/// What became of a batch, once it is known.
pub type Receipt = Pin<Box<dyn Future<Output = Result<Taken, NotTaken>> + Send>>;

/// Requests that a service served itself, and what its token may report on.
#[derive(Clone, Debug)]
pub struct UsageReport {
    /// The tenant of the token.
    pub tenant: TenantId,
    /// Its services; all of the tenant when empty.
    pub services: Box<[ServiceId]>,
    /// The requests.
    pub requests: Vec<Served>,
}

/// Why a report was not taken; nothing of it was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotReported {
    /// It is wrong.
    Wrong(Wrong),
    /// It could not be kept.
    NotTaken(NotTaken),
}

/// What became of a report, once it is durable and counted.
pub type ReportReceipt = Pin<Box<dyn Future<Output = Result<Taken, NotReported>> + Send>>;

/// Takes batches and makes them durable.
pub trait Intake: Send + Sync {
    /// Takes a batch. The receipt is answered once the batch is durable, or was not taken; letting go of
    /// the receipt does not take the batch back. Never waits for room: what there is no room for is refused.
    fn submit(&self, batch: Batch) -> Receipt;

    /// Takes a report of usage whole or not at all; answered once it is durable and counted. An intake that
    /// takes none refuses.
    fn report(&self, _report: UsageReport) -> ReportReceipt {
        let why = "this node takes no reports";
        let refused = NotTaken::Overloaded { why, retry_after_s: 60 };
        Box::pin(std::future::ready(Err(NotReported::NotTaken(refused))))
    }
}

/// The intake of a process that takes none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoIntake;

impl Intake for NoIntake {
    fn submit(&self, _batch: Batch) -> Receipt {
        let why = "this node takes no records";
        Box::pin(std::future::ready(Err(NotTaken::Overloaded { why, retry_after_s: 60 })))
    }
}
