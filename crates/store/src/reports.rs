//! Usage that services report of requests they served themselves: kept as records, and counted in the same commit.
//!
//! A report is a batch of the intake, so that each of its requests is kept once by its id and all are kept or none.
//! What is new in it is counted into sums of usage, and into quotas whether there is room or not, in the
//! transaction that keeps it (I13). What must never be here: who may report, and what a report looks like.

use std::pin::Pin;

use sqlx::AnyConnection;
use tollgate_core::{
    code::Code,
    event::{Batch, NotTaken, Taken},
    id::{ConsumerId, KeyId, PolicyId, ProjectId, TenantId},
    usage_report::Counted,
};
use tollgate_journal::{Charge, Entry, Flags, StoredRecord, Tokens};

use crate::{
    error::StoreError,
    ingest::{Beside, Ingester},
    open::Store,
    sql::{Columns as _, all, built, list, rows_max},
    usage::write_reported,
};

/// The model of tokens that are reported.
const REPORTED: &str = "reported";

/// Whose a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyOwner {
    /// The key.
    pub key: KeyId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its project.
    pub project: ProjectId,
    /// Who holds it.
    pub consumer: ConsumerId,
    /// Its policy.
    pub policy: Option<PolicyId>,
}

/// What a report counts: one for each of its records.
struct Reported {
    counted: Vec<Counted>,
    share: &'static str,
}

impl Beside for Reported {
    fn write<'w>(
        &'w self,
        conn: &'w mut AnyConnection,
        is_new: &'w [bool],
    ) -> Pin<Box<dyn Future<Output = Result<(), StoreError>> + Send + 'w>> {
        let new = self.counted.iter().zip(is_new).filter(|(_, is_new)| **is_new);
        let records: Vec<StoredRecord> = new.map(|(counted, _)| record(counted)).collect();
        Box::pin(async move { write_reported(conn, &records, self.share).await })
    }
}

impl Store {
    /// Whose keys these are; those that do not exist are left out. At most some thousands at once.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn key_owners(&self, keys: &[KeyId]) -> Result<Vec<KeyOwner>, StoreError> {
        let mut conn = self.reader().await?;
        let mut owners = Vec::new();
        for part in keys.chunks(rows_max(1)) {
            let text = format!(
                "SELECT k.id, p.tenant, k.project, k.consumer, k.policy FROM keys k \
                 JOIN projects p ON p.id = k.project WHERE k.id IN ({})",
                list(1, part.len())
            );
            let select = part.iter().fold(built(text), |select, key| select.bind(key.to_sql()));
            for row in all(select, &mut conn).await? {
                owners.push(KeyOwner {
                    key: KeyId::from_sql(row.int(0)?),
                    tenant: TenantId::from_sql(row.int(1)?),
                    project: ProjectId::from_sql(row.int(2)?),
                    consumer: ConsumerId::from_sql(row.int(3)?),
                    policy: row.opt_int(4)?.map(PolicyId::from_sql),
                });
            }
        }
        Ok(owners)
    }

    /// Keeps a report and counts what is new in it, in one commit; answers once it is durable, with which of its
    /// records were new. `counted` has one for each record of the batch, which says whose it is.
    ///
    /// # Errors
    /// [`NotTaken`]; nothing of it was kept, but where that is not known.
    pub async fn take_report(
        &self,
        ingester: &Ingester,
        mut batch: Batch,
        counted: Vec<Counted>,
    ) -> Result<(Taken, Vec<bool>), NotTaken> {
        batch.senders = (0..).zip(&counted).map(|(index, counted)| (index, counted.sender)).collect();
        let beside = Reported { counted, share: self.engine().share_row() };
        ingester.submit_beside(batch, Box::new(beside)).await
    }
}

/// A request as it would lie in a journal.
fn record(counted: &Counted) -> StoredRecord {
    let sender = counted.sender;
    let charges = counted.charges.iter().map(|charge| Charge {
        rule: charge.rule.0,
        subject: charge.subject,
        period_start_us: charge.window.start_us,
        period_end_us: charge.window.end_us,
        amount: charge.amount,
    });
    StoredRecord {
        entry: Entry {
            at_us: counted.at_us,
            key: sender.key.0,
            consumer: sender.consumer.0,
            project: sender.project.0,
            tenant: sender.tenant.0,
            service: sender.service.0,
            policy: counted.policy,
            code: Code::Valid.number(),
            status: counted.status,
            units: counted.units,
            flags: Flags::VERIFIED,
            ..Entry::default()
        },
        charges: charges.collect(),
        // Tokens are sums of models; these have no other name.
        model: if counted.tokens > 0 { REPORTED.to_owned() } else { String::new() },
        tokens: Tokens { input: u64::from(counted.tokens), ..Tokens::default() },
        ..StoredRecord::default()
    }
}
