//! Rules: applied and exported, acting once under the watch's epoch, blocks that reach nodes and end, decisions read
//! on and gone through, each once.

use serde_json::json;
use tollgate_core::{
    authz::{Action, Actor, authorise},
    id::BlockId,
    rule::{spec::Whose, watch::Subject},
};
use tollgate_journal::{Entry, Extent, StoredRecord};
use tollgate_store::{
    ApplyMode, AuditFilter, BlockFilter, Cursors, Fired, FiringFilter, LastUses, Outcome, PageRequest, Parts,
    ReplaySpan, StoreError, Taken, WatchLease, With,
};

use crate::world::{NOW, SECOND, World, furniture, permit, resources};

const BOOT: u64 = 0xABCD;
const HOUR: i64 = 3_600 * SECOND;

fn rule(mode: &str, then: serde_json::Value) -> serde_json::Value {
    json!({"rule": [{
        "project": "maps", "name": "flood", "mode": mode,
        "when": {"metric": "requests", "service": "tiles", "above": 100, "window": "1m"}, "then": then,
    }]})
}

fn block() -> serde_json::Value {
    json!({"action": "block", "service": "tiles", "until": "next_hour"})
}

async fn ruled(mode: &str, then: serde_json::Value, world: World) -> World {
    let mut world = world.furnished().await;
    world.apply(&resources(rule(mode, then)), ApplyMode::default()).await.unwrap();
    world.catch_up().await;
    world
}

async fn lease(world: &World) -> WatchLease {
    world.store.take_watch(1, (NOW, NOW + 10 * SECOND)).await.unwrap().unwrap()
}

/// The rule acts upon a key because of a request at this moment.
fn fired(world: &World, key: u64, at_us: i64) -> Fired {
    let tables = world.snapshot.tables();
    let rule = tables.rules[0].clone();
    let until_us = rule.until.after(at_us);
    let tenant = tables.projects[&rule.project].tenant;
    Fired { rule, tenant, subject: Subject { whose: Whose::Key, id: key }, at_us, value: 101, until_us }
}

async fn actions(world: &World) -> Vec<(String, String)> {
    let page = PageRequest { limit: 10, cursor: None };
    let rows = world.store.audit_list(&AuditFilter::default(), &page).await.unwrap().items;
    rows.into_iter().map(|row| (row.actor, row.action)).collect()
}

pub(crate) async fn rules_are_applied_exported_and_pruned(world: World) {
    let world = ruled("enforce", block(), world).await;
    let again = world.apply(&world.store.export().await.unwrap(), ApplyMode::default()).await.unwrap();
    assert!(again.changes.is_empty(), "{again:?}");
    let tables = world.snapshot.tables();
    assert_eq!((tables.rules.len(), &*tables.rules[0].name), (1, "flood"));

    let wrong = json!({"rule": [
        {"project": "maps", "name": "one", "when": {"metric": "requests", "service": "gone", "above": 1, "window": "90d"},
         "then": {"action": "block"}},
        {"project": "nowhere", "name": "two", "when": {"metric": "requests", "above": 1, "window": "1m"},
         "then": {"action": "notify"}},
    ]});
    let error = world.apply(&resources(wrong), ApplyMode::default()).await.unwrap_err();
    let StoreError::Invalid(errors) = error else { panic!("{error}") };
    let fields: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
    for field in ["rule[0].when.service", "rule[0].when.window", "rule[0].then.until", "rule[1].project"] {
        assert!(fields.contains(&field), "{fields:?}");
    }

    // A service that a rule names stays.
    let mut without = serde_json::to_value(furniture()).unwrap();
    without["service"].as_array_mut().unwrap().remove(0);
    without["policy"] = json!([{"project": "maps", "name": "standard", "services": []}]);
    without["rule"] = rule("enforce", block())["rule"].clone();
    let prune = ApplyMode { prune: true, dry_run: false };
    let error = world.apply(&resources(without), prune).await.unwrap_err();
    assert!(error.to_string().contains("rule[0].when.service"), "{error}");
    let plan = world.apply(&furniture(), prune).await.unwrap();
    assert_eq!(
        plan.changes.iter().map(|change| change.name.as_str()).collect::<Vec<_>>(),
        ["acme/maps/flood"]
    );
}

pub(crate) async fn a_rule_acts_once_and_its_block_reaches_nodes_and_ends_by_time(world: World) {
    let mut world = ruled("enforce", block(), world).await;
    let (held, act) = (lease(&world).await, fired(&world, 7, NOW + SECOND));
    let store = world.store.clone();
    let done = async |now: i64| store.act(held, &act, now).await.unwrap().unwrap();
    assert_eq!(done(NOW + SECOND).await, Outcome::Done);
    assert_eq!(done(NOW + 2 * SECOND).await, Outcome::Nothing, "again is no second time");
    let later = fired(&world, 7, NOW + 5 * SECOND);
    assert_eq!(world.store.act(held, &later, NOW + 5 * SECOND).await.unwrap().unwrap(), Outcome::Nothing);
    world.catch_up().await;
    let blocks = world.snapshot.blocks();
    let one = blocks.iter().next().unwrap();
    assert_eq!((blocks.iter().count(), one.subject.id, one.until_us), (1, 7, Some(NOW + HOUR)));
    assert_eq!(actions(&world).await[0], ("rule:flood".to_owned(), "block.create".to_owned()));

    assert_eq!(world.store.end_blocks(NOW + HOUR - 1).await.unwrap(), 0);
    assert_eq!(world.store.end_blocks(NOW + HOUR).await.unwrap(), 1);
    assert_eq!(world.store.end_blocks(NOW + HOUR).await.unwrap(), 0);
    world.catch_up().await;
    assert!(world.snapshot.blocks().is_empty());
    assert_eq!(actions(&world).await[0], ("rule:flood".to_owned(), "block.end".to_owned()));
    assert_eq!(world.count("SELECT COUNT(*) FROM notices WHERE kind LIKE 'key.%blocked'").await, 2);
    assert_eq!(world.count("SELECT COUNT(*) FROM notices WHERE kind = 'rule.fired'").await, 1);
    // What would be over already is not set at all.
    let late = fired(&world, 8, NOW + SECOND);
    assert_eq!(world.store.act(held, &late, NOW + 2 * HOUR).await.unwrap().unwrap(), Outcome::Nothing);
}

pub(crate) async fn a_watch_that_was_overtaken_changes_nothing(world: World) {
    let world = ruled("enforce", block(), world).await;
    let old = lease(&world).await;
    assert_eq!(world.store.take_watch(2, (NOW, NOW + SECOND)).await.unwrap(), None, "it is held");
    let new = world.store.take_watch(2, (NOW + 10 * SECOND, NOW + 20 * SECOND)).await.unwrap().unwrap();
    assert!(world.store.act(old, &fired(&world, 7, NOW), NOW).await.unwrap().is_err());
    assert!(world.store.keep_watch(old, NOW + 99 * SECOND, &Cursors::default()).await.unwrap().is_err());
    assert_eq!(world.store.act(new, &fired(&world, 7, NOW), NOW).await.unwrap(), Ok(Outcome::Done));
    world.store.leave_watch(old).await.unwrap();
    assert_eq!(
        world.store.take_watch(3, (NOW, NOW + SECOND)).await.unwrap(),
        None,
        "the new one has it still"
    );
    world.store.leave_watch(new).await.unwrap();
    assert!(world.store.take_watch(3, (NOW, NOW + SECOND)).await.unwrap().is_some());
}

pub(crate) async fn what_only_observes_is_noted_and_a_lift_by_hand_is_known(world: World) {
    let mut world = ruled("observe", block(), world).await;
    let held = lease(&world).await;
    let seq = world.store.head().await.unwrap();
    assert_eq!(world.store.act(held, &fired(&world, 7, NOW), NOW).await.unwrap(), Ok(Outcome::Observed));
    assert_eq!(world.store.head().await.unwrap(), seq, "it changed nothing");
    let page = PageRequest::default();
    let noted = world.store.list_firings(&FiringFilter::default(), &page).await.unwrap().items;
    assert_eq!((noted.len(), noted[0].observed), (1, true));

    world.apply(&resources(rule("enforce", block())), ApplyMode::default()).await.unwrap();
    world.catch_up().await;
    assert_eq!(
        world.store.act(held, &fired(&world, 7, NOW + SECOND), NOW + SECOND).await.unwrap(),
        Ok(Outcome::Done)
    );
    let filter = BlockFilter { scope: None, held: Some(true), key: None, rule: None };
    let id = world.store.list_blocks(&filter, &page).await.unwrap().items[0].id;
    let tenant = world.snapshot.tables().tenants.keys().next().copied();
    let rule_alone = authorise(&Actor::Worker("retention".into()), Action::ChangeBlocks, tenant);
    assert!(rule_alone.is_err(), "only people and rules lift blocks");
    let lifted = world.store.lift_block(&permit(Action::ChangeBlocks), id, NOW + 2 * SECOND).await.unwrap();
    assert_eq!(lifted.value.ended_by.as_deref(), Some("os:test"));
    let again = world.store.lift_block(&permit(Action::ChangeBlocks), id, NOW + 3 * SECOND).await.unwrap();
    assert_eq!((again.seq, again.value), (lifted.seq, lifted.value), "it had ended already");
    let lifts = world.store.lifts_since(NOW).await.unwrap();
    assert_eq!((lifts.len(), lifts[0].block, lifts[0].at_us), (1, id, NOW + 2 * SECOND));
    let unknown = world.store.lift_block(&permit(Action::ChangeBlocks), BlockId(1), NOW).await;
    assert!(matches!(unknown, Err(StoreError::NotFound { .. })));
}

pub(crate) async fn blocks_have_room_for_every_tenant_and_end_with_their_subject(world: World) {
    let mut world = ruled("enforce", block(), world).await;
    let held = lease(&world).await;
    let key = world.create(crate::world::new_key(), 1).await.value.id.0;
    for subject in [key, 7] {
        let outcome = world.store.act(held, &fired(&world, subject, NOW), NOW).await.unwrap();
        assert_eq!(outcome, Ok(Outcome::Done));
    }
    assert_eq!(world.store.end_blocks_of_the_gone(NOW).await.unwrap(), 1, "there is no key 7");
    assert_eq!(world.store.end_blocks_of_the_gone(NOW).await.unwrap(), 0);
    world.catch_up().await;
    assert_eq!(world.snapshot.blocks().iter().map(|block| block.subject.id).collect::<Vec<_>>(), [key]);
    assert_eq!(actions(&world).await[0].1, "block.gone");

    // One tenant takes half of the room at most, and leaves the other half to others.
    let copies = |tenant: &str, first: i64, count: i64| {
        format!(
            "INSERT INTO blocks (id, tenant, project, rule, rule_name, whose, subject, from_us, reason, version) \
             WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {count}) \
             SELECT {first} + n, {tenant}, 1, 1, 'r', 0, 1000 + n, 0, '', 1 FROM n"
        )
    };
    let own = fired(&world, 8, NOW).tenant.to_sql().to_string();
    world.raw(&copies(&own, 1_000_000, 9_999)).await;
    assert_eq!(world.store.act(held, &fired(&world, 8, NOW), NOW).await.unwrap(), Ok(Outcome::NoRoom));
    world.raw("UPDATE blocks SET tenant = tenant + 1 WHERE id > 1000000 AND id < 1011000").await;
    assert_eq!(world.store.act(held, &fired(&world, 8, NOW), NOW).await.unwrap(), Ok(Outcome::Done));
}

fn record(position: u64) -> StoredRecord {
    let entry = Entry { at_us: NOW + position as i64 * 1_000, key: 1 + position % 7, ..Entry::default() };
    StoredRecord { position, decision: position, entry, ..StoredRecord::default() }
}

/// Ships positions of a lane; without their sums, as for rules, or with them.
async fn ship(world: &World, lane: u16, positions: std::ops::Range<u64>, sums: bool) {
    let mut intake = world.store.intake(true, LastUses::default()).await.unwrap();
    for position in positions.clone() {
        intake.add(BOOT, lane, &record(position).lend());
    }
    intake.reached(&Extent { boot: BOOT, lane, from: 0, to: positions.end, lost: 0 });
    let taken = if sums {
        world.store.take_over(&mut intake, With { uses: true, totals: true }).await
    } else {
        assert!(intake.finish_blocks());
        world.store.keep_blocks(&mut intake).await
    };
    assert_ne!(taken.unwrap(), Taken::Overtaken);
}

pub(crate) async fn shipped_decisions_are_read_on_once_each_even_while_blocks_are_merged(world: World) {
    let world = ruled("enforce", block(), world).await;
    let held = lease(&world).await;
    let mut cursors = Cursors::default();
    let mut seen = Vec::new();
    for round in 0..40u64 {
        // Blocks of ten, whose sums come later: the next intake begins before them again.
        ship(&world, 0, 0..(round + 1) * 10, round % 4 == 3).await;
        if round == 20 {
            ship(&world, 1, 0..5_000, true).await;
        }
        assert_eq!(
            world.store.merge_blocks().await.unwrap(),
            0,
            "nothing is known to be read, round {round}"
        );
        loop {
            // The last one is summed up, so that it is whole either way.
            let part = world.store.read_on(&mut cursors, round % 2 == 0).await.unwrap();
            if part.is_empty() {
                break;
            }
            seen.extend(part.iter().map(|seen| (seen.at_us, seen.key)));
        }
    }
    let mut expected: Vec<(i64, u64)> =
        (0..400).chain(0..5_000).map(|at| (record(at).entry.at_us, record(at).entry.key)).collect();
    seen.sort_unstable();
    expected.sort_unstable();
    assert!(seen == expected, "{} were seen, {} are there", seen.len(), expected.len());
    // What is read may be merged, and is read no second time.
    assert!(world.store.keep_watch(held, NOW + SECOND, &cursors).await.unwrap().is_ok());
    assert!(world.store.merge_blocks().await.unwrap() > 0);
    assert!(world.store.read_on(&mut cursors, false).await.unwrap().is_empty());

    // Gone through in the order of time, over both lanes; a cursor from there finds nothing new.
    let parts = Parts::default();
    let span =
        ReplaySpan { from_us: NOW + SECOND, to_us: i64::MAX, tenant: None, parts, records_max: u64::MAX };
    let mut replay = world.store.replay(span).await.unwrap();
    let mut moments = Vec::new();
    loop {
        let part = replay.next().await.unwrap();
        if part.is_empty() {
            break;
        }
        moments.extend(part.iter().map(|recorded| recorded.entry.at_us));
    }
    assert!(moments.is_sorted());
    assert_eq!(moments.len(), expected.iter().filter(|(at_us, _)| *at_us >= NOW + SECOND).count());
    let mut on = replay.cursors().clone();
    drop(replay);
    assert!(world.store.read_on(&mut on, false).await.unwrap().is_empty());
}
