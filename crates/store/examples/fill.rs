//! Fills a database with keys and with decisions of the past, as shippers would have, in minutes instead of weeks.
//!
//! `cargo run --release -p tollgate-store --example fill -- --database sqlite:///tmp/big/tollgate.db --tenant big
//! --keys 100000 --events 10000000 --days 30`
//!
//! The tenant, and in it a project `big` with services, policies and consumers, must be there; `cargo xtask bench
//! console` makes them. Few keys make most of the calls, as is usual: the busiest hundredth makes a third. A
//! consumer's keys have one of two policies, and call the service that it is for.

use std::{
    collections::BTreeMap,
    io::Write as _,
    net::Ipv4Addr,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    code::Code,
    id::TenantId,
    key::Environment,
    secret::Secret,
};
use tollgate_journal::{Entry, Extent, StoredRecord};
use tollgate_store::{
    Entity, LastUses, NewKey, OpenOptions, PageRequest, ResourceFilter, ResourceId, Scope, Store, Taken, With,
};

type Failure = Box<dyn std::error::Error>;

const PROJECT: &str = "big";
/// Keys that are created in one transaction.
const KEYS_AT_ONCE: u64 = 1_000;
/// Records between two looks whether something must be written.
const PIECE: u64 = 4_096;
const BOOT: u64 = 0x00B1_6B16;
const DAY_US: u64 = 86_400_000_000;
const FOLDED_AFTER_US: i64 = 120_000_000;
const FOLDED_ROWS: u32 = 100_000;
const TOP_KEYS: u32 = 512;

/// What was asked for.
struct Wanted {
    database: String,
    tenant: String,
    keys: u64,
    events: u64,
    days: u64,
}

/// A key as records name it.
struct Holder {
    key: u64,
    consumer: u64,
    policy: u64,
    service: u64,
}

/// What records name besides keys.
struct Place {
    tenant: TenantId,
    project: u64,
    services: Vec<u64>,
    policies: Vec<(String, u64)>,
    consumers: Vec<(String, u64)>,
}

#[expect(clippy::disallowed_methods, reason = "how long it took is said to whoever waits for it")]
fn main() -> Result<(), Failure> {
    let wanted = wanted()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&wanted.database, OpenOptions::default()).await?;
        let place = place(&store, &wanted.tenant).await?;
        let mut out = std::io::stdout();
        let started = Instant::now();
        let holders = keys(&store, &place, &wanted).await?;
        writeln!(out, "{} keys in {:.1} s", holders.len(), started.elapsed().as_secs_f64())?;
        let started = Instant::now();
        events(&store, (&place, &holders), &wanted).await?;
        writeln!(out, "{} events in {:.1} s", wanted.events, started.elapsed().as_secs_f64())?;
        store.close().await;
        Ok(())
    })
}

async fn place(store: &Store, tenant: &str) -> Result<Place, Failure> {
    let tenant = store.tenant_for(Some(tenant)).await?;
    let mut place =
        Place { tenant, project: 0, services: Vec::new(), policies: Vec::new(), consumers: Vec::new() };
    for kind in [Entity::Service, Entity::Policy, Entity::Consumer] {
        let filter = ResourceFilter::all(Scope::whole(tenant), kind);
        let mut page = PageRequest { limit: 1_000, cursor: None };
        loop {
            let found = store.list_resources(&filter, &page).await?;
            for item in found.items {
                place.project = item.project.id.0;
                let name = item.spec.name().to_owned();
                match item.id {
                    ResourceId::Service(id) => place.services.push(id.0),
                    ResourceId::Policy(id) => place.policies.push((name, id.0)),
                    ResourceId::Consumer(id) => place.consumers.push((name, id.0)),
                    ResourceId::Project(_)
                    | ResourceId::Rule(_)
                    | ResourceId::Meter(_)
                    | ResourceId::Model(_) => {}
                }
            }
            let Some(next) = found.next else { break };
            page.cursor = Some(next);
        }
    }
    Ok(place)
}

/// Creates the keys, each by the same way as any other, with its entry in the audit.
async fn keys(store: &Store, place: &Place, wanted: &Wanted) -> Result<Vec<Holder>, Failure> {
    let permit: Permit = authorise(&Actor::OsUser("fill".into()), Action::ChangeKeys, None)
        .map_err(|error| format!("{error:?}"))?;
    let mut holders = Vec::new();
    let mut number = 0;
    while number < wanted.keys {
        let until = (number + KEYS_AT_ONCE).min(wanted.keys);
        let mut new = Vec::new();
        let mut own = Vec::new();
        for number in number..until {
            let consumer = pick(&place.consumers, mixed(number)).ok_or("no consumers")?;
            let chosen = mixed(consumer.1).wrapping_add((mixed(number) >> 20) % 2);
            let policy = pick(&place.policies, chosen).ok_or("no policies")?;
            let service = pick(&place.services, mixed(policy.1)).ok_or("no services")?;
            own.push((consumer.1, policy.1, *service));
            new.push((new_key(wanted, number, (&consumer.0, &policy.0))?, secret(number)));
        }
        let made = store.create_keys(&permit, new, now_us()?).await?.value;
        holders.extend(made.iter().zip(own).map(|(made, (consumer, policy, service))| Holder {
            key: made.id.0,
            consumer,
            policy,
            service,
        }));
        number = until;
    }
    Ok(holders)
}

fn new_key(wanted: &Wanted, number: u64, (consumer, policy): (&str, &str)) -> Result<NewKey, Failure> {
    let days = 20 + i64::try_from(mixed(number) % 400)?;
    Ok(NewKey {
        project: format!("{}/{PROJECT}", wanted.tenant),
        consumer: consumer.to_owned(),
        policy: Some(policy.to_owned()),
        environment: if number % 10 == 9 { Environment::Test } else { Environment::Live },
        name: Some(format!("program {number}")),
        expires_us: (!number.is_multiple_of(3)).then_some(now_us()? + days * i64::try_from(DAY_US)?),
        bind_host: None,
        allow_ips: None,
        metadata: BTreeMap::new(),
    })
}

async fn events(store: &Store, of: (&Place, &[Holder]), wanted: &Wanted) -> Result<(), Failure> {
    let with = With { uses: true, totals: true };
    let end_us = u64::try_from(now_us()?)?;
    let span_us = wanted.days * DAY_US;
    let step_us = (span_us / wanted.events.max(1)).max(1);
    let begin_us = end_us - step_us * wanted.events;
    let mut intake = store.intake(true, LastUses::default()).await?;
    let mut position = 0;
    while position < wanted.events {
        let until = (position + PIECE).min(wanted.events);
        for number in position..until {
            let at_us = i64::try_from(begin_us + number * step_us)?;
            intake.add(BOOT, 0, &record(of, number, at_us).ok_or("nothing to name")?.lend());
        }
        intake.reached(&Extent { boot: BOOT, lane: 0, from: position, to: until, lost: 0 });
        position = until;
        if intake.is_heavy() || position == wanted.events {
            let taken = store.take_over(&mut intake, with).await?;
            if taken == Taken::Overtaken {
                return Err("somebody else ships into this database".into());
            }
            // As the retention task does, minutes after.
            let folded = i64::try_from(begin_us + position * step_us)? - FOLDED_AFTER_US;
            while store.fold_usage_before(folded, FOLDED_ROWS).await? > 0 {}
            while store.rank_usage(TOP_KEYS).await? > 0 {}
        }
        if position.is_multiple_of(PIECE * 256) {
            writeln!(std::io::stdout(), "{position} events")?;
        }
    }
    Ok(())
}

fn record((place, holders): (&Place, &[Holder]), position: u64, at_us: i64) -> Option<StoredRecord> {
    let chance = mixed(position);
    // The fourth power of an even chance: few callers make most of the calls.
    let even = (chance >> 40) as f64 / (1_u64 << 24) as f64;
    let holder = holders.get((even.powi(4) * holders.len() as f64) as usize)?;
    let (code, status) = match chance % 100 {
        0 => (Code::RateLimited, 429),
        1 => (Code::IpNotAllowed, 403),
        2 => (Code::ScopeMissing, 403),
        _ => (Code::Valid, 200),
    };
    let [low, high, ..] = chance.to_le_bytes();
    let entry = Entry {
        at_us,
        key: holder.key,
        consumer: holder.consumer,
        project: place.project,
        tenant: place.tenant.0,
        service: holder.service,
        policy: holder.policy,
        code: code.number(),
        method: 1,
        status,
        latency_us: 2_000 + u32::from(low) * 100,
        upstream_us: 1_500 + u32::from(low) * 90,
        bytes_out: 500 + chance % 20_000,
        units: 1,
        address: Ipv4Addr::new(10, 0, high, low).to_ipv6_mapped().octets(),
        ..Entry::default()
    };
    Some(StoredRecord {
        position,
        decision: position,
        entry,
        path: format!("/s{}/items/{}", chance % 10, chance % 5_000),
        user_agent: "okhttp/4.12".into(),
        ..StoredRecord::default()
    })
}

fn pick<T>(from: &[T], chance: u64) -> Option<&T> {
    let count = u64::try_from(from.len()).ok().filter(|count| *count > 0)?;
    from.get(usize::try_from(chance % count).ok()?)
}

/// 32 bytes that differ for each number. Nothing here is a secret.
fn secret(number: u64) -> Secret<[u8; 32]> {
    let mut bytes = [0; 32];
    for (index, piece) in bytes.chunks_exact_mut(8).enumerate() {
        piece.copy_from_slice(&mixed(number.wrapping_mul(4).wrapping_add(index as u64)).to_le_bytes());
    }
    Secret::new(bytes)
}

/// SplitMix64: the same in every run.
fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[expect(clippy::disallowed_methods, reason = "what is filled in shall be of the days before now")]
fn now_us() -> Result<i64, Failure> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?)
}

fn wanted() -> Result<Wanted, Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |name: &str| {
        let index = arguments.iter().position(|argument| argument == name);
        index.and_then(|index| arguments.get(index + 1)).cloned()
    };
    let number = |name: &str, otherwise: u64| text(name).map_or(Ok(otherwise), |text| text.parse());
    Ok(Wanted {
        database: text("--database").ok_or("--database URL is needed")?,
        tenant: text("--tenant").unwrap_or_else(|| PROJECT.to_owned()),
        keys: number("--keys", 100_000)?,
        events: number("--events", 10_000_000)?,
        days: number("--days", 30)?,
    })
}
