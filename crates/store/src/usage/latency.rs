//! How long answers took: counts in log-linear buckets, by minute, hour and day and by service, of
//! allowed requests.
//!
//! Eight buckets lie between each power of two and the next, so a bucket's ends are at most an eighth
//! apart; below eight microseconds they are exact. Counts of buckets add up, so percentiles over any
//! span and any set of services come from sums of rows. Inside a bucket a percentile is interpolated:
//! it is off by an eighth of itself at most.
//!
//! Bound: a histogram takes 1 KB of an intake, and [`HISTOGRAMS_MAX`] of them make it heavy.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sqlx::AnyConnection;
use tollgate_core::id::{ServiceId, TenantId};

use super::{
    cubes::Step,
    fold::Folds,
    plan::{Asked, down, pieces},
};
use crate::{
    error::StoreError,
    open::Store,
    sql::{Bulk, Columns as _, all, built, run},
};

/// Histograms beyond this must be written: 4 MB.
pub(super) const HISTOGRAMS_MAX: usize = 4_096;

/// Buckets between one power of two and the next.
const PARTS: u32 = 8;
/// As many as `u32` microseconds need.
const BUCKETS: usize = 240;

/// A table of counts: its name, the column that says when a row's span begins, how rows are added.
struct Counts {
    name: &'static str,
    time: &'static str,
    insert: &'static str,
    add: &'static str,
}

macro_rules! counts {
    ($name:literal, $time:literal) => {
        Counts {
            name: $name,
            time: $time,
            insert: concat!(
                "INSERT INTO ",
                $name,
                " (",
                $time,
                ", service, tenant, bucket, requests) VALUES "
            ),
            add: concat!(
                " ON CONFLICT (",
                $time,
                ", service, tenant, bucket) DO UPDATE SET requests = ",
                $name,
                ".requests + excluded.requests"
            ),
        }
    };
}

const fn table(step: Step) -> Counts {
    match step {
        Step::Minute => counts!("usage_latency", "minute_us"),
        Step::Hour => counts!("usage_latency_hour", "start_us"),
        Step::Day => counts!("usage_latency_day", "start_us"),
    }
}

/// The bucket of a time.
#[inline]
const fn bucket(us: u32) -> usize {
    if us < PARTS {
        return us as usize;
    }
    // Three bits below the highest one choose the part.
    let octave = us.ilog2();
    let part = (us >> (octave - 3)) & (PARTS - 1);
    ((octave - 2) * PARTS + part) as usize
}

/// The times of a bucket: the first that belongs to it, and the first that does not.
const fn ends(bucket: u64) -> (u64, u64) {
    let parts = PARTS as u64;
    if bucket < parts {
        return (bucket, bucket + 1);
    }
    let (octave, part) = (bucket / parts + 2, bucket % parts);
    let width = 1 << (octave - 3);
    let first = (1 << octave) + part * width;
    (first, first + width)
}

/// (minute, service, tenant).
type Place = (i64, i64, i64);

/// Histograms of some records.
#[derive(Default)]
pub(super) struct Histograms {
    places: HashMap<Place, u32, RandomState>,
    counts: Vec<[u32; BUCKETS]>,
}

impl Histograms {
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.counts.clear();
    }

    /// The histogram of a place; to be looked up once for many records.
    pub(super) fn at(&mut self, minute_us: i64, service: i64, tenant: i64) -> u32 {
        let counts = &mut self.counts;
        *self.places.entry((minute_us, service, tenant)).or_insert_with(|| {
            counts.push([0; BUCKETS]);
            // Far fewer than that are held at once.
            u32::try_from(counts.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Counts one answer.
    #[inline]
    pub(super) fn add(&mut self, histogram: u32, latency_us: u32) {
        let counts = self.counts.get_mut(histogram as usize);
        if let Some(count) = counts.and_then(|counts| counts.get_mut(bucket(latency_us))) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds the counts to the rows of minutes, hours and days, in the order of the rows.
    pub(super) async fn write(&self, conn: &mut AnyConnection) -> Result<(), StoreError> {
        let mut rows = Vec::new();
        for ((minute_us, service, tenant), index) in &self.places {
            let Some(counts) = self.counts.get(*index as usize) else { continue };
            let taken = counts.iter().enumerate().filter(|(_, count)| **count > 0);
            rows.extend(
                taken
                    .map(|(bucket, count)| [*minute_us, *service, *tenant, bucket as i64, i64::from(*count)]),
            );
        }
        for step in [Step::Minute, Step::Hour, Step::Day] {
            // Each step is a multiple of the one before, so what was merged can be merged on.
            for row in &mut rows {
                row[0] = down(row[0], step.length_us());
            }
            rows.sort_unstable();
            rows.dedup_by(|later, kept| {
                let is_same = later[..4] == kept[..4];
                if is_same {
                    kept[4] = kept[4].saturating_add(later[4]);
                }
                is_same
            });
            let Counts { insert, add, .. } = table(step);
            let mut insert = Bulk::new(conn, insert, 5, add);
            for part in rows.chunks(insert.rows_max()) {
                let values = part.iter().flatten();
                let statement = values.fold(insert.of(part.len()), |statement, value| statement.bind(*value));
                run(statement, conn).await?;
            }
        }
        Ok(())
    }
}

/// Which answers; what is `None` restricts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct LatencyFilter {
    /// From the minute that holds this moment, wall microseconds.
    pub from_us: Option<i64>,
    /// Up to the minute that holds the last moment before this.
    pub to_us: Option<i64>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// By this service.
    pub service: Option<ServiceId>,
}

/// How long allowed requests took, from head to last byte: counts by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Bucket to count, in their order.
    counts: Vec<(u64, u64)>,
}

impl Latency {
    /// How many answers.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The time, microseconds, that so many of a thousand answers took at most: 500 is the median, 990
    /// the 99th percentile. Off by an eighth of itself at most; `None` without answers.
    #[must_use]
    pub fn per_mille(&self, share: u64) -> Option<u64> {
        let all = self.requests();
        // The rank of the answer that is looked for, counted from one.
        let rank = u128::from(all).saturating_mul(u128::from(share.min(1000))).div_ceil(1000).max(1);
        let mut before = 0u128;
        for (bucket, count) in &self.counts {
            let count = u128::from(*count);
            if before + count >= rank {
                let (first, end) = ends(*bucket);
                let into = u128::from(end - first) * (rank - before - 1) / count.max(1);
                return Some(first + u64::try_from(into).unwrap_or(0));
            }
            before += count;
        }
        None
    }
}

impl Store {
    /// How long answers took, from all nodes, as far as they shipped it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn latency(&self, filter: &LatencyFilter) -> Result<Latency, StoreError> {
        let by_service = self.read_latency(filter, "").await?;
        let counts = by_service.into_iter().map(|(_, bucket, count)| (bucket, count)).collect();
        Ok(Latency { counts })
    }

    /// As [`Store::latency`], for each service.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn latency_by_service(
        &self,
        filter: &LatencyFilter,
    ) -> Result<Vec<(ServiceId, Latency)>, StoreError> {
        let mut services: Vec<(ServiceId, Latency)> = Vec::new();
        for (service, bucket, count) in self.read_latency(filter, "service, ").await? {
            let id = ServiceId::from_sql(service);
            match services.last_mut() {
                Some((last, latency)) if *last == id => latency.counts.push((bucket, count)),
                _ => services.push((id, Latency { counts: vec![(bucket, count)] })),
            }
        }
        Ok(services)
    }

    /// Service (or 0), bucket, count, in their order.
    async fn read_latency(
        &self,
        filter: &LatencyFilter,
        by: &'static str,
    ) -> Result<Vec<(i64, u64, u64)>, StoreError> {
        let (mut wheres, mut values) = (String::new(), Vec::new());
        let asked = [
            ("tenant", filter.tenant.map(TenantId::to_sql)),
            ("service", filter.service.map(ServiceId::to_sql)),
        ];
        for (column, value) in asked {
            if let Some(value) = value {
                values.push(value);
                wheres.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        let mut tx = self.begin_read().await?;
        let folds = Folds::read(&mut tx).await?;
        let (from_us, to_us) = (filter.from_us, filter.to_us);
        let asked = Asked { from_us, to_us, coarsest: Step::Day, folded_us: None };
        let mut parts = Vec::new();
        for piece in pieces(&asked, &folds) {
            let Counts { name, time, .. } = table(piece.step);
            values.extend([piece.from_us, piece.to_us]);
            let (from, to) = (values.len() - 1, values.len());
            parts.push(format!(
                "SELECT {by}bucket, requests FROM {name} WHERE {time} >= ${from} AND {time} < ${to}{wheres}"
            ));
        }
        if parts.is_empty() {
            return Ok(Vec::new());
        }
        let text = format!(
            "SELECT {by}bucket, CAST(SUM(requests) AS BIGINT) FROM ({}) AS parts GROUP BY {by}bucket \
             ORDER BY {by}bucket",
            parts.join(" UNION ALL ")
        );
        let statement = values.into_iter().fold(built(text), |statement, value| statement.bind(value));
        let rows = all(statement, &mut tx).await?;
        tx.rollback().await?;
        rows.iter()
            .map(|row| match by {
                "" => Ok((0, row.count(0)?, row.count(1)?)),
                _ => Ok((row.int(0)?, row.count(1)?, row.count(2)?)),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{BUCKETS, Latency, bucket, ends};

    fn of(times: &[u32]) -> Latency {
        let mut counts = [0u64; BUCKETS];
        for time in times {
            counts[bucket(*time)] += 1;
        }
        let taken = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Latency { counts: taken.map(|(bucket, count)| (bucket as u64, *count)).collect() }
    }

    #[test]
    fn buckets_follow_each_other_without_gaps() {
        let mut end = 0;
        for bucket in 0..BUCKETS as u64 {
            assert_eq!(ends(bucket).0, end, "bucket {bucket}");
            end = ends(bucket).1;
        }
        assert_eq!(end, 1 << 32);
        assert_eq!(bucket(u32::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Latency::default().per_mille(500), None);
        assert_eq!(of(&[7]).per_mille(0), Some(7));
        assert_eq!(of(&[3, 5]).per_mille(1000), Some(5));
    }

    proptest! {
        #[test]
        fn a_time_lies_in_its_bucket(time: u32) {
            let (first, end) = ends(bucket(time) as u64);
            prop_assert!((first..end).contains(&u64::from(time)));
            prop_assert!((end - first - 1) * 8 <= first);
        }

        #[test]
        fn a_percentile_is_off_by_an_eighth_at_most(mut times in proptest::collection::vec(0..100_000_000u32, 1..400), share in 1..=1000u64) {
            let found = of(&times).per_mille(share).unwrap();
            times.sort_unstable();
            let rank = (times.len() as u64 * share).div_ceil(1000).max(1) as usize;
            let exact = u64::from(times[rank - 1]);
            prop_assert!(found.abs_diff(exact) * 8 <= exact, "{} for {}", found, exact);
        }
    }
}
