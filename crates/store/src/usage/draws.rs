//! What calls of models drew from leases, summed up before it is written, in the transaction that ships.
//!
//! A record that opens a reservation and the record of the call that settles it mostly come in one
//! shipment; then only what was used is written. Else the open one gets a row of its own until its end is
//! shipped, so that whoever ends the leases of a run that died knows what it can have used at most.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::AnyConnection;
use tollgate_core::id::{AccountId, DecisionId};
use tollgate_journal::{Flags, LentRecord};

use super::intake::Lane;
use crate::{
    error::StoreError,
    ledger::{
        TransferId,
        draw::{Drawn, draw},
    },
    sql::{bulk, places, rows_max, run},
};

/// One reservation in one account: (boot, lane, reservation, account).
type Place = (u64, u16, u64, u64);

/// Draws of some records.
#[derive(Default)]
pub(super) struct Draws {
    /// Opened and not settled: how much, and when.
    opened: BTreeMap<Place, (i64, i64)>,
    /// Settled and opened in a shipment before.
    closed: BTreeSet<Place>,
    drawn: BTreeMap<(AccountId, u64), Drawn>,
    /// The latest moment of a record with draws.
    at_us: i64,
}

impl Draws {
    /// How many rows they are, at most.
    pub(super) fn len(&self) -> usize {
        self.opened.len() + self.closed.len() + 3 * self.drawn.len()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Adds the draws of a record, if it has any.
    #[inline]
    pub(super) fn add(&mut self, boot: u64, lane: u16, record: &LentRecord<'_>) {
        for draw in record.draws() {
            self.at_us = self.at_us.max(record.entry.at_us);
            let place = (boot, lane, draw.reservation, draw.account);
            if record.entry.flags.contains(Flags::RESERVATION) {
                let place = (boot, lane, record.decision, draw.account);
                self.opened.insert(place, (draw.reserved.max(0), record.entry.at_us));
                continue;
            }
            if self.opened.remove(&place).is_none() {
                self.closed.insert(place);
            }
            let used = draw.used.max(0);
            if used == 0 {
                continue;
            }
            let drawn = self.drawn.entry((AccountId(draw.account), boot)).or_default();
            let covered = used.min(draw.reserved.max(0));
            drawn.used = drawn.used.saturating_add(covered);
            drawn.over = drawn.over.saturating_add(used - covered);
            drawn.calls += 1;
            let decision = DecisionId { boot, lane, number: record.decision };
            drawn.first = drawn.first.or(Some(decision));
            drawn.last = Some(decision);
        }
    }

    /// Writes them. The lanes say which shipment this is.
    pub(super) async fn write(&self, lanes: &[Lane], conn: &mut AnyConnection) -> Result<(), StoreError> {
        if self.len() == 0 {
            return Ok(());
        }
        let opened: Vec<_> = self.opened.iter().collect();
        for part in opened.chunks(rows_max(6)) {
            let text = format!(
                "INSERT INTO ledger_open (boot, lane, reservation, account, amount, at_us) VALUES {}",
                places(part.len(), 6)
            );
            let insert = part.iter().fold(bulk(text), |insert, (place, (amount, at_us))| {
                bound(insert, place).bind(*amount).bind(*at_us)
            });
            run(insert, conn).await?;
        }
        let closed: Vec<_> = self.closed.iter().collect();
        for part in closed.chunks(rows_max(4)) {
            let text = format!(
                "DELETE FROM ledger_open WHERE (boot, lane, reservation, account) IN (VALUES {})",
                places(part.len(), 4)
            );
            run(part.iter().fold(bulk(text), |delete, place| bound(delete, place)), conn).await?;
        }
        draw(&self.drawn, shipment(lanes), self.at_us, conn).await
    }
}

fn bound(
    statement: crate::sql::Statement,
    (boot, lane, reservation, account): &Place,
) -> crate::sql::Statement {
    statement.bind(*boot as i64).bind(i64::from(*lane)).bind(*reservation as i64).bind(*account as i64)
}

/// What no other shipment is: from where to where which lanes go.
fn shipment(lanes: &[Lane]) -> TransferId {
    let mut spans: Vec<[u64; 4]> = lanes
        .iter()
        .filter(|lane| lane.has_more())
        .map(|lane| [lane.boot, u64::from(lane.lane), lane.stands.upto, lane.reached().upto])
        .collect();
    spans.sort_unstable();
    TransferId::derived("shipment", spans.as_flattened())
}
