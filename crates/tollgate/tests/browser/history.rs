//! A day of decisions written into the database before the node starts, as its shipper would have: so that charts,
//! lists and pages look as they do after a day, not after a minute.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use tollgate_core::code::Code;
use tollgate_journal::{Entry, Extent, StoredRecord};
use tollgate_store::{
    Entity, KeyFilter, KeyView, LastUses, OpenOptions, PageRequest, ResourceFilter, ResourceId, Scope, Store,
    Taken, With,
};
use tollgate_testkit::Tollgate;

const MINUTE_US: i64 = 60_000_000;
/// Minutes before the start that have decisions.
const MINUTES: i64 = 24 * 60;
/// The boot of the node that is said to have decided them.
const BOOT: u64 = 0x00D1_A12E;
/// Records between two shipments.
const SHIPMENT: u64 = 20_000;

/// Which key asks what, how often of a hundred requests, and from where.
const CALLERS: [(&str, &str, u64, &str); 6] = [
    ("Android app, production", "tiles", 46, "/tiles/7/66/"),
    ("Fleet tracker Stockholm", "routes", 22, "/routes/"),
    ("Checkout page", "orders", 13, "/orders/"),
    ("Kiosks in the town hall", "tiles", 12, "/tiles/9/12/"),
    ("Nightly order export", "orders", 5, "/orders/2026-"),
    ("Head office", "orders", 2, "/orders/"),
];

/// Writes the day.
pub(crate) fn write(node: &Tollgate) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let url = format!("sqlite://{}", node.data_dir().join("tollgate.db").display());
        let store = Store::open(&url, OpenOptions::default()).await.expect("open the database");
        let callers = callers(&store).await;
        ship(&store, &callers).await;
        store.close().await;
    });
}

/// Somebody who calls: ids as records have them.
struct Caller {
    entry: Entry,
    path: &'static str,
    share: u64,
}

async fn callers(store: &Store) -> Vec<Caller> {
    let tenant = store.tenant_for(Some("acme")).await.expect("the tenant");
    let page = PageRequest { limit: 100, cursor: None };
    let keys = store.list_keys(&KeyFilter::default(), &page).await.expect("the keys").items;
    let filter = ResourceFilter::all(Scope::whole(tenant), Entity::Service);
    let services = store.list_resources(&filter, &page).await.expect("the services").items;
    let services: BTreeMap<String, u64> = services
        .iter()
        .filter_map(|item| match item.id {
            ResourceId::Service(id) => Some((item.spec.name().to_owned(), id.0)),
            _ => None,
        })
        .collect();
    let of = |name: &str| -> &KeyView {
        keys.iter().find(|key| key.name.as_deref() == Some(name)).expect("a key of the world")
    };
    let caller = |(name, service, share, path): &(&str, &str, u64, &'static str)| {
        let key = of(name);
        let entry = Entry {
            key: key.id.0,
            consumer: key.consumer.id.0,
            project: key.project.id.0,
            tenant: tenant.0,
            service: services.get(*service).copied().unwrap_or_default(),
            policy: key.policy.as_ref().map(|policy| policy.id.0).unwrap_or_default(),
            method: 1,
            units: 1,
            ..Entry::default()
        };
        Caller { entry, path, share: *share }
    };
    CALLERS.iter().map(caller).collect()
}

async fn ship(store: &Store, callers: &[Caller]) {
    let now_us = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_micros());
    let begin = now_us.expect("a clock") / MINUTE_US * MINUTE_US - MINUTES * MINUTE_US;
    let mut intake = store.intake(true, LastUses::default()).await.expect("an intake");
    let (mut position, mut written) = (0, 0);
    for minute in 0..MINUTES - 2 {
        for at in 0..busy(minute) {
            let record = record(callers, position, begin + minute * MINUTE_US + at * 900_000, minute);
            intake.add(BOOT, 0, &record.lend());
            position += 1;
        }
        if position - written > SHIPMENT || minute == MINUTES - 3 {
            intake.reached(&Extent { boot: BOOT, lane: 0, from: written, to: position, lost: 0 });
            let taken = store.take_over(&mut intake, With { uses: true, totals: true }).await;
            assert!(matches!(taken, Ok(Taken::Done(_))), "nobody else ships");
            written = position;
        }
    }
}

/// Requests in a minute: few at night, many in the afternoon, a little uneven.
fn busy(minute: i64) -> i64 {
    let day = (minute as f64 / MINUTES as f64 * std::f64::consts::TAU).sin();
    let noise = i64::try_from(mixed(u64::try_from(minute).unwrap_or_default()) % 7).unwrap_or_default();
    30 + (day * 18.0) as i64 + noise
}

fn record(callers: &[Caller], position: u64, at_us: i64, minute: i64) -> StoredRecord {
    let chance = mixed(position);
    let mut rest = chance % 100;
    let caller = callers
        .iter()
        .find(|caller| {
            let hit = rest < caller.share;
            rest = rest.saturating_sub(caller.share);
            hit
        })
        .or_else(|| callers.first())
        .expect("somebody calls");
    let (code, status) = outcome(chance / 100, minute);
    let took = 3_000 + u32::try_from(chance / 7 % 24_000).unwrap_or_default();
    let [low, ..] = position.to_le_bytes();
    let entry = Entry {
        at_us,
        code: code.number(),
        status,
        latency_us: if code == Code::Valid { took } else { 120 },
        upstream_us: if code == Code::Valid { took - 700 } else { 0 },
        bytes_out: if code == Code::Valid { 2_000 + chance % 30_000 } else { 310 },
        address: Ipv4Addr::new(203, 0, 113, low % 9).to_ipv6_mapped().octets(),
        ..caller.entry
    };
    StoredRecord {
        position,
        decision: position,
        entry,
        path: format!("{}{}.png", caller.path, chance % 64),
        user_agent: "okhttp/4.12".into(),
        ..StoredRecord::default()
    }
}

/// Mostly allowed; for an hour and a half in the evening a partner came from a new network.
fn outcome(chance: u64, minute: i64) -> (Code, u16) {
    let moved = (1_150..1_240).contains(&minute);
    match chance % 1_000 {
        0..=7 => (Code::RateLimited, 429),
        8..=12 => (Code::KeyMissing, 401),
        13..=15 => (Code::ScopeMissing, 403),
        16..=19 => (Code::UpstreamTimeout, 504),
        20..=119 if moved => (Code::IpNotAllowed, 403),
        _ => (Code::Valid, 200),
    }
}

/// SplitMix64: the same day in every run.
fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
