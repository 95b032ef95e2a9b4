//! Raw decisions in blocks: nothing is lost or doubled at their edges, and what cannot be in a block
//! is not looked for in it.

use tollgate_core::{
    code::Code,
    id::{DecisionId, KeyId},
};
use tollgate_journal::{Entry, Extent, StoredRecord};
use tollgate_store::{DecisionFilter, Intake, LastUses, PageRequest, Store, Taken, UsageFilter, With};

use crate::world::{NOW, SECOND, World};

const BOOT: u64 = 0xABCD;
const ALL: With = With { uses: true, totals: true };

fn record(position: u64) -> StoredRecord {
    StoredRecord {
        position,
        decision: position,
        entry: Entry { at_us: NOW + position as i64 * 1_000, key: 1 + position % 7, ..Entry::default() },
        path: format!("/tiles/{position}"),
        user_agent: "curl/8".into(),
        ..StoredRecord::default()
    }
}

/// Adds positions to an intake as a reader would.
fn add(intake: &mut Intake, lane: u16, positions: std::ops::Range<u64>, change: impl Fn(&mut StoredRecord)) {
    for position in positions.clone() {
        let mut record = record(position);
        change(&mut record);
        intake.add(BOOT, lane, &record.lend());
    }
    intake.reached(&Extent { boot: BOOT, lane, from: positions.start, to: positions.end, lost: 0 });
}

async fn intake(store: &Store) -> Intake {
    store.intake(true, LastUses::default()).await.unwrap()
}

/// Requests counted and decisions kept.
async fn counts(world: &World) -> (u64, u64) {
    let counted = world.store.usage(&[], &UsageFilter::default()).await.unwrap().total.requests;
    (counted, world.store.count_decisions(&DecisionFilter::default()).await.unwrap())
}

async fn write(store: &Store, intake: &mut Intake) -> u64 {
    match store.take_over(intake, ALL).await.unwrap() {
        Taken::Done(shipped) => shipped.records,
        Taken::Overtaken => panic!("nobody else ships"),
    }
}

pub(crate) async fn edges_of_blocks_lose_and_double_nothing(world: World) {
    let mut taking = intake(&world.store).await;
    // Whole blocks, a block that is not, two lanes, in pieces that fit no block.
    for piece in 0..10u64 {
        add(&mut taking, 0, piece * 1_000..(piece + 1) * 1_000, |_| {});
        add(&mut taking, 1, piece * 7..(piece + 1) * 7, |_| {});
        if piece == 5 {
            assert_eq!(write(&world.store, &mut taking).await, 6_042);
        }
    }
    assert_eq!(write(&world.store, &mut taking).await, 4_028);
    assert!(taking.is_empty());
    assert_eq!(counts(&world).await, (10_070, 10_070));
    // Each is found by its id, and pages of a size that fits nothing give each once.
    for number in [0, 4_095, 4_096, 5_999, 6_000, 9_999] {
        let id = DecisionId { boot: BOOT, lane: 0, number };
        let row = world.store.decision(id).await.unwrap();
        assert_eq!((row.id, row.path), (id, format!("/tiles/{number}")));
    }
    for oldest_first in [false, true] {
        let filter = DecisionFilter { oldest_first, key: Some(KeyId(3)), ..DecisionFilter::default() };
        let mut page = PageRequest { limit: 333, cursor: None };
        let mut seen = Vec::new();
        loop {
            let part = world.store.decisions(&filter, &page).await.unwrap();
            seen.extend(part.items.iter().map(|row| (row.at_us, row.id.lane, row.id.number)));
            let Some(next) = part.next else { break };
            page.cursor = Some(next);
        }
        let mut expected: Vec<_> = [(0u16, 10_000u64), (1, 70)]
            .into_iter()
            .flat_map(|(lane, count)| (0..count).filter(|n| n % 7 == 2).map(move |n| (lane, n)))
            .map(|(lane, number)| (NOW + number as i64 * 1_000, lane, number))
            .collect();
        expected.sort_unstable();
        if !oldest_first {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

pub(crate) async fn a_shipment_cut_anywhere_counts_once(world: World) {
    // Blocks are written, then the process dies before the sums.
    let mut first = intake(&world.store).await;
    add(&mut first, 0, 0..9_000, |_| {});
    world.store.keep_blocks(&mut first).await.unwrap();
    assert_eq!(counts(&world).await, (0, 8_192), "whole blocks only");
    assert_eq!(world.store.shipped_upto(BOOT, 0).await.unwrap(), 0, "the journal must keep them");
    drop(first);
    // The next one is given all of it again.
    let mut second = intake(&world.store).await;
    add(&mut second, 0, 0..9_500, |_| {});
    world.store.keep_blocks(&mut second).await.unwrap();
    // Somebody else ships a part of it meanwhile: the whole is refused, once and for all.
    let mut other = intake(&world.store).await;
    add(&mut other, 0, 0..9_200, |_| {});
    assert_eq!(write(&world.store, &mut other).await, 9_200);
    assert_eq!(counts(&world).await, (9_200, 9_200));
    for _ in 0..2 {
        assert_eq!(world.store.take_over(&mut second, ALL).await.unwrap(), Taken::Overtaken);
    }
    add(&mut second, 0, 9_500..14_000, |_| {});
    assert_eq!(world.store.keep_blocks(&mut second).await.unwrap(), Taken::Overtaken);
    assert_eq!(counts(&world).await, (9_200, 9_200));
    // Begun anew it goes on behind the other, whatever it is given.
    let mut third = intake(&world.store).await;
    assert_eq!(third.marks().iter().map(|mark| mark.position).collect::<Vec<_>>(), [9_200]);
    add(&mut third, 0, 9_000..14_000, |_| {});
    assert_eq!(write(&world.store, &mut third).await, 4_800);
    assert_eq!(write(&world.store, &mut third).await, 0, "what is written is not written again");
    assert_eq!(counts(&world).await, (14_000, 14_000));
}

pub(crate) async fn a_rare_key_is_found_without_unpacking_the_others(world: World) {
    const RARE: [u64; 3] = [77, 60_000, 99_990];
    let mut taking = intake(&world.store).await;
    for piece in 0..20u64 {
        add(&mut taking, 0, piece * 5_000..(piece + 1) * 5_000, |record| {
            if RARE.contains(&record.position) {
                (record.entry.key, record.entry.code) = (4_711, Code::KeyBlocked.number());
            }
        });
        world.store.keep_blocks(&mut taking).await.unwrap();
    }
    write(&world.store, &mut taking).await;
    // Any look inside a block without it would fail.
    let lists = RARE.map(|position| format!("{position} BETWEEN number_min AND number_max")).join(" OR ");
    let spoilt =
        world.raw(&format!("UPDATE decision_blocks SET records = records WHERE NOT ({lists})")).await;
    assert!(spoilt >= 20, "{spoilt}");
    let nothing = if world.url.starts_with("sqlite") { "x'00'" } else { "'\\x00'::bytea" };
    world.raw(&format!("UPDATE decision_blocks SET packed = {nothing} WHERE NOT ({lists})")).await;
    let filters = [
        DecisionFilter { key: Some(KeyId(4_711)), ..DecisionFilter::default() },
        DecisionFilter { code: Some(Code::KeyBlocked), ..DecisionFilter::default() },
        DecisionFilter { key: Some(KeyId(4_711)), oldest_first: true, ..DecisionFilter::default() },
    ];
    for filter in filters {
        let rows = world.store.decisions(&filter, &PageRequest::default()).await.unwrap().items;
        let mut numbers: Vec<u64> = rows.iter().map(|row| row.id.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, RARE);
        assert_eq!(world.store.count_decisions(&filter).await.unwrap(), 3);
    }
    // Nor is a block outside the time that is asked for.
    let around = DecisionFilter {
        from_us: Some(NOW + 60_000 * 1_000 - 2),
        to_us: Some(NOW + 60_000 * 1_000 + 2),
        ..DecisionFilter::default()
    };
    assert_eq!(world.store.count_decisions(&around).await.unwrap(), 1);
    let latest = PageRequest { limit: 5, cursor: None };
    let rows = world.store.decisions(&DecisionFilter::default(), &latest).await.unwrap().items;
    assert_eq!(
        rows.iter().map(|row| row.id.number).collect::<Vec<_>>(),
        [99_999, 99_998, 99_997, 99_996, 99_995]
    );
    // And damage is said, not passed over.
    assert!(
        world
            .store
            .decisions(
                &DecisionFilter { to_us: Some(NOW + 50 * SECOND), ..DecisionFilter::default() },
                &latest
            )
            .await
            .is_err()
    );
}

pub(crate) async fn small_blocks_are_merged_and_nothing_else_changes(world: World) {
    for piece in 0..300u64 {
        let mut taking = intake(&world.store).await;
        add(&mut taking, 0, piece * 20..(piece + 1) * 20, |_| {});
        write(&world.store, &mut taking).await;
    }
    let all = PageRequest { limit: 1_000, cursor: None };
    let before = world.store.decisions(&DecisionFilter::default(), &all).await.unwrap().items;
    let mut fewer = 0;
    loop {
        match world.store.merge_blocks().await.unwrap() {
            0 => break,
            merged => fewer += merged,
        }
    }
    assert!((285..300).contains(&fewer), "{fewer}");
    assert_eq!(counts(&world).await, (6_000, 6_000));
    assert_eq!(world.store.decisions(&DecisionFilter::default(), &all).await.unwrap().items, before);
    // Half of what was merged is old enough to go.
    let half = NOW + 3_000 * 1_000;
    let mut gone = 0;
    loop {
        match world.store.forget_decisions_before(half).await.unwrap() {
            0 => break,
            some => gone += some,
        }
    }
    assert_eq!((gone, world.store.oldest_decision_us().await.unwrap()), (3_000, Some(half)));
    let mut taking = intake(&world.store).await;
    add(&mut taking, 0, 0..6_100, |_| {});
    assert_eq!(write(&world.store, &mut taking).await, 100, "what is forgotten does not come back");
    assert_eq!(counts(&world).await, (6_100, 3_100));
}

pub(crate) async fn asks_are_counted(world: World) {
    let other = world.other().await;
    assert_eq!(world.store.ship_asks().await.unwrap(), 0);
    other.ask_to_ship().await.unwrap();
    world.store.ask_to_ship().await.unwrap();
    assert_eq!(other.ship_asks().await.unwrap(), 2);
}
