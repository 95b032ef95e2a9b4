//! What shipping costs: appends records at a given rate to a journal while the workers ship them
//! into SQLite, and prints the processor time of each thread per record.
//!
//! ```text
//! cargo run --release -p tollgate-workers --example ship_cost -- [RECORDS] [PER_SECOND] [KEYS] [FOLDER]
//! ```
//!
//! Default: 2,000,000 records, 33,000 a second, 20,000 keys, a folder that is removed afterwards.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement for the terminal; it reads the machine's clocks and ends at the first fault"
)]

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::sync::mpsc;
use tollgate_core::{
    code::Code,
    tables::Snapshot,
    time::{Clock, Now},
};
use tollgate_journal::{Charge, Charges, Entry, Journal, Options as JournalOptions, Reader, Record, Writer};
use tollgate_store::{
    DecisionFilter, LastUses, OpenOptions, PageRequest, QuotaTotal, Store, UsageFilter, With,
};
use tollgate_workers::{Options, Parts, QuotaSink};

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let wall_us = i64::try_from(wall.as_micros()).unwrap();
        Now { wall_us, mono_ns: u64::try_from(self.0.elapsed().as_nanos()).unwrap() + 1_000_000_000_000 }
    }
}

struct Nobody;

impl QuotaSink for Nobody {
    fn merge(&self, _totals: &[QuotaTotal]) {}
}

#[derive(Clone, Copy)]
struct Plan {
    records: u64,
    per_second: u64,
    keys: u64,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut words = std::env::args().skip(1);
    let mut number = |default: u64| words.next().map_or(default, |word| word.parse().unwrap());
    let plan = Plan { records: number(2_000_000), per_second: number(33_000), keys: number(20_000) };
    let temporary = tempfile::tempdir().unwrap();
    let folder = words.next().map_or_else(|| temporary.path().to_owned(), Into::into);
    let url = format!("sqlite://{}/tollgate.db", folder.display());
    let store = Arc::new(Store::open(&url, OpenOptions::default()).await.unwrap());
    let clock: Arc<dyn Clock> = Arc::new(RealClock(Instant::now()));
    let boot = u64::try_from(clock.now().wall_us).unwrap() & 0xFFFF_FFFF_FFFF;
    let (journal, _) = Journal::open(folder.join("journal"), boot, JournalOptions::default()).unwrap();
    let journal = Arc::new(journal);
    let (_rehashes, received) = mpsc::channel(1);
    let parts = Parts {
        store: Arc::clone(&store),
        snapshot: Arc::new(Snapshot::with_capacity(16)),
        journal: Some(Arc::clone(&journal)),
        clock: Arc::clone(&clock),
        quotas: Arc::new(Nobody),
        sweep: Arc::new(|_| {}),
        rehashes: received,
        seal: None,
        remind: None,
        rules: false,
        funds: None,
        quota_leases: None,
        node: 1,
        boot,
        options: Options::default(),
    };
    let running = parts.prepare().await.unwrap().start().await.unwrap();
    let writer = journal.writer(0).unwrap();
    let before = threads();
    let began = Instant::now();
    let records = plan.records;
    let appender = std::thread::Builder::new().name("appender".into());
    let appended = appender.spawn(move || append(&writer, &*clock, &plan)).unwrap();
    let (mut resident, mut slowest) = (0, Duration::ZERO);
    while !appended.is_finished() {
        tokio::time::sleep(Duration::from_millis(500)).await;
        resident = resident.max(resident_kib());
        // What creating a key would wait for.
        let asked = Instant::now();
        drop(store.check().await.unwrap());
        slowest = slowest.max(asked.elapsed());
    }
    let cost = appended.join().unwrap();
    let ending = Instant::now();
    running.stop().await.unwrap();
    println!("{records} records in {:?}, the rest in {:?}", began.elapsed(), ending.elapsed());
    println!("most resident memory {resident} KiB, longest wait to write {slowest:?}");
    let mut total = 0.0;
    for (name, spent) in threads() {
        let spent = spent - before.get(&name).copied().unwrap_or(0.0);
        total += if name == "appender" { 0.0 } else { spent };
        println!("{name:24} {:8.3} µs a record", spent * 1e6 / records as f64);
    }
    println!("{:24} {:8.3} µs a record", "all but appending", total * 1e6 / records as f64);
    println!("{:24} {:8.3} µs a record", "(appending)", cost.as_secs_f64() * 1e6 / records as f64);
    questions(&store, records).await;
    by_part(&plan).await;
}

/// What the parts cost by themselves, for ten seconds of records.
async fn by_part(plan: &Plan) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tollgate.db", folder.path().display());
    let store = Store::open(&url, OpenOptions::default()).await.unwrap();
    let (journal, _) = Journal::open(folder.path().join("journal"), 1, JournalOptions::default()).unwrap();
    let writer = journal.writer(0).unwrap();
    let ten =
        Plan { records: (plan.per_second * 10).min(500_000), per_second: 1_000_000_000, keys: plan.keys };
    append(&writer, &RealClock(Instant::now()), &ten);
    for round in 0..2 {
        let mut reader = Reader::open(journal.dir()).unwrap();
        let began = Instant::now();
        let mut read = 0u64;
        while !reader.read(&[], 16_384, |_, _, _| read += 1).unwrap().is_empty() {}
        let reading = began.elapsed();
        let mut reader = Reader::open(journal.dir()).unwrap();
        let mut intake = store.intake(round == 0, LastUses::default()).await.unwrap();
        let (mut adding, mut keeping) = (Duration::ZERO, Duration::ZERO);
        loop {
            let began = Instant::now();
            let extents =
                reader.read(&[], 16_384, |boot, lane, record| intake.add(boot, lane, record)).unwrap();
            extents.iter().for_each(|extent| intake.reached(extent));
            adding += began.elapsed();
            if extents.is_empty() {
                break;
            }
            if intake.has_blocks() {
                let began = Instant::now();
                store.keep_blocks(&mut intake).await.unwrap();
                keeping += began.elapsed();
            }
        }
        let records = intake.records();
        let began = Instant::now();
        store.take_over(&mut intake, With::default()).await.unwrap();
        let writing = began.elapsed();
        let began = Instant::now();
        store.take_over(&mut intake, With { uses: true, totals: false }).await.unwrap();
        let uses = began.elapsed();
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / read as f64;
        println!(
            "{records} records: reading {:.3}, and adding up {:.3}, blocks {:.3}, sums {:.3} ({writing:?}), last uses {:.3} µs",
            micros(reading),
            micros(adding),
            micros(keeping),
            micros(writing),
            micros(uses)
        );
    }
}

fn append(writer: &Writer, clock: &dyn Clock, plan: &Plan) -> Duration {
    const DAY_US: i64 = 86_400_000_000;
    let (began, mut spent) = (Instant::now(), Duration::ZERO);
    let mut seed = 1u64;
    let mut path = String::new();
    for number in 0..plan.records {
        if number % 256 == 0 {
            let due = Duration::from_secs_f64(number as f64 / plan.per_second as f64);
            std::thread::sleep(due.saturating_sub(began.elapsed()));
        }
        let started = Instant::now();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = seed >> 33;
        let key = (random % plan.keys + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let at_us = clock.now().wall_us;
        let start = at_us - at_us % DAY_US;
        let denied = random % 50 == 7;
        let entry = Entry {
            at_us,
            key,
            consumer: key ^ 0x55,
            project: 77,
            tenant: 78,
            service: 79,
            policy: 80,
            code: if denied { Code::RateLimited.number() } else { Code::Valid.number() },
            method: 1,
            status: if denied { 429 } else { 200 },
            latency_us: 200 + random as u32 % 3000,
            upstream_us: 150 + random as u32 % 2000,
            bytes_in: 0,
            bytes_out: 200,
            units: 1,
            checks_passed: 0x3F,
            checks_configured: 0x3F,
            address: std::net::Ipv4Addr::from(0x0A00_0000 | (random as u32 % 60_000))
                .to_ipv6_mapped()
                .octets(),
            ..Entry::default()
        };
        let quota = Charge {
            rule: 5,
            subject: key,
            period_start_us: start,
            period_end_us: start + DAY_US,
            amount: 1,
        };
        path.clear();
        path.push_str("/tiles/14/");
        path.push_str(&(random % 9_000).to_string());
        path.push('/');
        path.push_str(&(random % 7_000).to_string());
        let charges = [quota];
        let detail = if denied { "the limit `burst` allows 100 requests in 1m" } else { "" };
        let record = Record {
            entry,
            charges: Charges::new(if denied { &[] } else { &charges }).unwrap(),
            path: &path,
            detail,
            user_agent: "okhttp/4.12.0",
            ..Record::default()
        };
        let ticket = loop {
            match writer.reserve() {
                Ok(ticket) => break ticket,
                Err(_) => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        writer.append(ticket, &record).unwrap();
        spent += started.elapsed();
    }
    spent
}

/// Checks that all is there, and how long the usual questions take.
async fn questions(store: &Store, records: u64) {
    let counted = store.usage(&[], &UsageFilter::default()).await.unwrap().total.requests;
    let kept = store.count_decisions(&DecisionFilter::default()).await.unwrap();
    println!("counted {counted}, kept {kept}, appended in this run {records}");
    let page = PageRequest { limit: 50, cursor: None };
    let some = store.decisions(&DecisionFilter::default(), &page).await.unwrap().items;
    let (first, last) = (some.first().unwrap().clone(), some.last().unwrap().clone());
    let of = |change: fn(&mut DecisionFilter)| {
        let mut filter = DecisionFilter::default();
        change(&mut filter);
        filter
    };
    let middle = (store.oldest_decision_us().await.unwrap().unwrap() + last.at_us) / 2;
    let filters = [
        ("latest 50", DecisionFilter::default()),
        ("50 of a key", DecisionFilter { key: first.key, ..DecisionFilter::default() }),
        (
            "50 of a key that is not there",
            DecisionFilter { key: Some(tollgate_core::id::KeyId(12345)), ..DecisionFilter::default() },
        ),
        ("50 denied", of(|filter| filter.code = Some(Code::RateLimited))),
        ("50 of an outcome that is not there", of(|filter| filter.code = Some(Code::KeyRevoked))),
        ("50 before the middle", DecisionFilter { to_us: Some(middle), ..DecisionFilter::default() }),
        ("50 oldest", of(|filter| filter.oldest_first = true)),
    ];
    for (name, filter) in filters {
        let asked = Instant::now();
        let rows = store.decisions(&filter, &page).await.unwrap().items.len();
        println!("{name:36} {rows:3} rows in {:?}", asked.elapsed());
    }
    let asked = Instant::now();
    let key = DecisionFilter { key: first.key, ..DecisionFilter::default() };
    let count = store.count_decisions(&key).await.unwrap();
    println!("{:36} {count:3} in {:?}", "count of a key", asked.elapsed());
    let asked = Instant::now();
    store.decision(last.id).await.unwrap();
    println!("{:36}     in {:?}", "one decision", asked.elapsed());
}

/// Processor seconds of the threads of this process, by name.
fn threads() -> BTreeMap<String, f64> {
    let mut spent = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let stat = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let nanos: f64 = stat.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0.0);
        *spent.entry(name.trim().to_owned()).or_default() += nanos / 1e9;
    }
    spent
}

/// Memory of its own, without mapped files.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
