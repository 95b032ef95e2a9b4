//! An intake in memory: what it is told to answer, and what it was given.

#![expect(clippy::unwrap_used, reason = "a lock that a failed test has poisoned must end the others")]

use std::sync::Mutex;

use tollgate_core::{
    event::{Batch, NotTaken, Taken},
    id::BatchId,
};
use tollgate_gateway::intake::{Intake, Receipt};

/// Takes everything, unless told otherwise.
#[derive(Debug, Default)]
pub(crate) struct TestIntake {
    given: Mutex<Vec<Batch>>,
    refuses: Mutex<Option<NotTaken>>,
    is_replay: Mutex<bool>,
}

impl TestIntake {
    /// What it was given since it was last asked.
    pub(crate) fn take(&self) -> Vec<Batch> {
        std::mem::take(&mut self.given.lock().unwrap())
    }

    /// Answers so from now on.
    pub(crate) fn refuse(&self, with: Option<NotTaken>) {
        *self.refuses.lock().unwrap() = with;
    }

    /// Says from now on that it has taken the batch before.
    pub(crate) fn replay(&self) {
        *self.is_replay.lock().unwrap() = true;
    }
}

impl Intake for TestIntake {
    fn submit(&self, batch: Batch) -> Receipt {
        let answer = match self.refuses.lock().unwrap().clone() {
            Some(refusal) => Err(refusal),
            None => {
                let accepted = batch.records.len() as u64;
                let replayed = *self.is_replay.lock().unwrap();
                Ok(Taken { batch: BatchId(7), accepted, duplicates: 0, replayed })
            }
        };
        self.given.lock().unwrap().push(batch);
        Box::pin(std::future::ready(answer))
    }
}
