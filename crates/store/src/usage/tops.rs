//! Lists of the keys with the most requests, one for each hour, each day and tenant: made once the hour
//! or day is folded, kept true while late records come.
//!
//! A list holds some keys, and by how much each is above the rest: any other key has `rest` requests at
//! most. Records that come after it was made may belong to anybody; they are counted as `late`, and all
//! bounds are that much higher. So, for a span of lists, no key has more than the sum of its own entries
//! and all rests (`most`).

use std::collections::BTreeMap;

use sqlx::AnyConnection;

use super::{
    cubes::{Cube, Step},
    fold::Folds,
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Bulk, Columns as _, Row, all, built, one, only, run, sql},
};

const INSERT_TOPS: &str = "INSERT INTO usage_tops (step_us, start_us, tenant, key, above) VALUES ";
const INSERT_RESTS: &str = "INSERT INTO usage_top_rests (step_us, start_us, tenant, rest, late) VALUES ";
/// For a list that is made: what it was made of counts as late no more.
const SET_REST: &str = " ON CONFLICT (step_us, tenant, start_us) DO UPDATE SET rest = excluded.rest, \
     late = usage_top_rests.late + excluded.late";

/// (step, start, tenant, requests): records that came when hours or days held their minute already.
pub(super) type Late = [i64; 4];

impl Store {
    /// Makes the lists of the next hour, and of the next day, that is folded whole, and says how many it
    /// made; call again until it says 0. A list of an hour takes `keys_max` keys of each tenant, that of a
    /// day twice as many: the longer, the more often they tell what is asked, and the more they take.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn rank_usage(&self, keys_max: u32) -> Result<u64, StoreError> {
        let mut made = 0;
        for (step, times) in [(Step::Hour, 1), (Step::Day, 2)] {
            let keys_max = i64::from(keys_max) * times;
            let Some(list) = self.next_list(step, keys_max).await? else { continue };
            let mut tx = self.begin_write().await?;
            let folds = Folds::hold(&mut tx, self.engine().hold_row()).await?;
            if folds.ranked_us(step) == list.after_us {
                list.write(&mut tx, step).await?;
                made += 1;
            }
            tx.commit().await?;
        }
        Ok(made)
    }

    /// The next lists of a step, read without keeping anybody from shipping.
    async fn next_list(&self, step: Step, keys_max: i64) -> Result<Option<List>, StoreError> {
        let table = Cube::Key.table(step).name;
        let mut tx = self.begin_read().await?;
        let folds = Folds::read(&mut tx).await?;
        let after_us = folds.ranked_us(step);
        let next = format!("SELECT start_us FROM {table} WHERE start_us >= $1 ORDER BY start_us LIMIT 1");
        let Some(row) = one(built(next).bind(after_us), &mut tx).await? else { return Ok(None) };
        let start_us = row.int(0)?;
        if start_us.saturating_add(step.length_us()) > folds.place.0 {
            return Ok(None);
        }
        // One more than the list takes: it tells what the rest has at most.
        let text = format!(
            "SELECT tenant, key, requests, place FROM (SELECT tenant, key, requests, ROW_NUMBER() OVER \
             (PARTITION BY tenant ORDER BY requests DESC, key) AS place FROM \
             (SELECT tenant, key, CAST(SUM(requests) AS BIGINT) AS requests FROM {table} WHERE start_us = $1 \
             GROUP BY tenant, key) AS sums) AS places WHERE place <= {} ORDER BY tenant, place",
            keys_max + 1
        );
        let rows = all(built(text).bind(start_us), &mut tx).await?;
        let late = "SELECT tenant, late FROM usage_top_rests WHERE step_us = $1 AND start_us = $2";
        let late = all(sql(late).bind(step.length_us()).bind(start_us), &mut tx).await?;
        tx.rollback().await?;
        List::of((after_us, start_us), keys_max, &rows, &late).map(Some)
    }
}

/// The lists of all tenants for one hour or day.
struct List {
    /// Up to where there were lists when these were read.
    after_us: i64,
    start_us: i64,
    /// Tenant, key, by how much it is above the rest.
    tops: Vec<[i64; 3]>,
    /// By tenant: the most that a key has which is not listed, and what of the late is in the list.
    rests: BTreeMap<i64, (i64, i64)>,
}

impl List {
    fn of(
        (after_us, start_us): (i64, i64),
        keys_max: i64,
        rows: &[Row],
        late: &[Row],
    ) -> Result<Self, StoreError> {
        let mut list = Self { after_us, start_us, tops: Vec::new(), rests: BTreeMap::new() };
        for row in late {
            list.rests.insert(row.int(0)?, (0, row.int(1)?));
        }
        for row in rows {
            let (tenant, requests) = (row.int(0)?, row.int(2)?);
            let rest = list.rests.entry(tenant).or_default();
            if row.int(3)? > keys_max {
                rest.0 = requests;
            } else {
                list.tops.push([tenant, row.int(1)?, requests]);
            }
        }
        for [tenant, _, requests] in &mut list.tops {
            *requests -= list.rests.get(tenant).map_or(0, |(rest, _)| *rest);
        }
        list.tops.retain(|[_, _, above]| *above > 0);
        Ok(list)
    }

    async fn write(&self, conn: &mut AnyConnection, step: Step) -> Result<(), StoreError> {
        let length_us = step.length_us();
        let mut insert = Bulk::new(conn, INSERT_TOPS, 5, "");
        for part in self.tops.chunks(insert.rows_max()) {
            let mut statement = insert.of(part.len());
            for [tenant, key, above] in part {
                let row = [length_us, self.start_us, *tenant, *key, *above];
                statement = row.into_iter().fold(statement, |statement, value| statement.bind(value));
            }
            run(statement, conn).await?;
        }
        let rests = self.rests.iter();
        let rests = rests.map(|(tenant, (rest, late))| [length_us, self.start_us, *tenant, *rest, -late]);
        insert_rests(conn, &rests.collect::<Vec<_>>(), SET_REST).await?;
        let column = if step == Step::Hour { "hours_ranked_us" } else { "days_ranked_us" };
        let text = format!("UPDATE usage_folds SET {column} = $1 WHERE id = 1");
        run(built(text).bind(self.start_us.saturating_add(length_us)), conn).await?;
        Ok(())
    }
}

/// Notes late records; in the transaction that adds them to hours and days.
pub(super) async fn note_late(conn: &mut AnyConnection, late: &[Late]) -> Result<(), StoreError> {
    const ADD: &str = " ON CONFLICT (step_us, tenant, start_us) DO UPDATE SET \
         late = usage_top_rests.late + excluded.late";
    let rows = late.iter().map(|[step, start, tenant, requests]| [*step, *start, *tenant, 0, *requests]);
    insert_rests(conn, &rows.collect::<Vec<_>>(), ADD).await
}

async fn insert_rests(
    conn: &mut AnyConnection,
    rows: &[[i64; 5]],
    conflict: &'static str,
) -> Result<(), StoreError> {
    let mut insert = Bulk::new(conn, INSERT_RESTS, 5, conflict);
    for part in rows.chunks(insert.rows_max()) {
        let values = part.iter().flatten();
        run(values.fold(insert.of(part.len()), |statement, value| statement.bind(*value)), conn).await?;
    }
    Ok(())
}

/// What a key of a tenant has at most that is in no list of these spans: step, from, to.
pub(super) async fn rests(
    conn: &mut AnyConnection,
    tenant: i64,
    lists: &[(Step, i64, i64)],
) -> Result<i64, StoreError> {
    let mut sum = 0i64;
    for (step, from_us, to_us) in lists {
        let text = "SELECT CAST(COALESCE(SUM(rest + late), 0) AS BIGINT) FROM usage_top_rests \
                    WHERE step_us = $1 AND start_us >= $2 AND start_us < $3 AND tenant = $4";
        let asked = sql(text).bind(step.length_us()).bind(*from_us).bind(*to_us).bind(tenant);
        sum = sum.saturating_add(only(asked, conn).await?.int(0)?);
    }
    Ok(sum)
}
