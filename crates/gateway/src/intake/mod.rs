//! Where batches go, and what all of them share: the end of the port, which the binary wires to the store; memory;
//! compiled schemas. Taking batches apart is the business of `ingest`.

mod room;
mod validators;

use std::{future::Future, pin::Pin};

use tollgate_core::event::{Batch, NotTaken, Taken};

pub(crate) use self::{
    room::{Room, Share},
    validators::Validators,
};

/// What became of a batch, once it is known.
pub type Receipt = Pin<Box<dyn Future<Output = Result<Taken, NotTaken>> + Send>>;

/// Takes batches and makes them durable.
pub trait Intake: Send + Sync {
    /// Takes a batch. The receipt is answered once the batch is durable, or was not taken; letting go of
    /// the receipt does not take the batch back. Never waits for room: what there is no room for is refused.
    fn submit(&self, batch: Batch) -> Receipt;
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
