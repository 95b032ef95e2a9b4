//! What was there before a meter, against a naive recomputation: each event once, whatever comes in between, however
//! often it comes, and wherever counting is killed (I13).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tollgate_core::{
    code::Code,
    id::ProjectId,
    meter::{number::Number, window::WindowUnit},
};
use tollgate_journal::{Entry, Extent, StoredRecord, Tokens};
use tollgate_store::{
    ApplyMode, Counting, DecisionFilter, Engine, Ingester, Intake, LastUses, MeterView, PassedOver, Taken,
    With,
};

use crate::{
    meters::{DAY, HOUR, Numbers, Tile, batch, count, ingester, project, values},
    world::{NOW, SECOND, World, resources},
};

const BOOT: u64 = 0xABCD;
const SPAN: (i64, i64) = (NOW - 40 * DAY, NOW + 2 * DAY);

/// A meter of records and two of requests; which of their definitions counts.
fn meters(round: u64) -> Value {
    let group = |other: &str| if round.is_multiple_of(2) { json!([]) } else { json!([other]) };
    json!({"meter": [
        {"project": "maps", "name": "bytes", "event_type": "tile.served", "value": "$.bytes", "aggregate": "sum",
         "group_by": group("$.zoom")},
        {"project": "maps", "name": "users", "event_type": "tile.served", "value": "$.user", "aggregate": "unique",
         "group_by": group("$.zoom")},
        {"project": "maps", "name": "requests", "event_type": "tollgate.request", "aggregate": "count",
         "group_by": group("$.code")},
        {"project": "maps", "name": "read", "event_type": "tollgate.request", "value": "$.tokens_in",
         "aggregate": "sum", "group_by": group("$.model")},
        {"project": "maps", "name": "slow", "event_type": "tollgate.request", "value": "$.latency_ms",
         "aggregate": "sum", "group_by": group("@key")},
    ]})
}

/// The request at a position of a lane; the same each time.
fn request(project: ProjectId, lane: u16, position: u64) -> StoredRecord {
    let mut numbers = Numbers(position * 31 + u64::from(lane));
    let is_call = numbers.below(3) == 0;
    StoredRecord {
        position,
        // Numbers are drawn before records are written, in another order.
        decision: position ^ 1,
        entry: Entry {
            at_us: NOW - numbers.below(30 * 24) as i64 * HOUR + numbers.below(3_600) as i64 * SECOND,
            key: 21 + numbers.below(3),
            consumer: 3,
            project: project.0,
            tenant: 5,
            service: 6,
            code: if numbers.below(4) == 0 { Code::RateLimited.number() } else { Code::Valid.number() },
            latency_us: 1_000 * numbers.below(50) as u32,
            ..Entry::default()
        },
        model: if is_call { "gpt-5".into() } else { Default::default() },
        tokens: Tokens { input: if is_call { 1 + numbers.below(900) } else { 0 }, ..Tokens::default() },
        ..StoredRecord::default()
    }
}

struct Model {
    world: World,
    project: ProjectId,
    ingester: Ingester,
    numbers: Numbers,
    tiles: BTreeMap<u64, Tile>,
    /// By lane: positions in the journal, and an intake that reads it.
    lanes: [u64; 2],
    intake: Option<Intake>,
    rounds: u64,
}

impl Model {
    async fn ingest(&mut self) {
        let some = (0..20).map(|_| {
            let id = self.numbers.below(600);
            let new = Tile {
                id,
                // Late ones too.
                at_us: NOW - self.numbers.below(30 * 24) as i64 * HOUR,
                zoom: self.numbers.below(4),
                tenths: self.numbers.below(10_000) as i64,
                user: self.numbers.below(40),
            };
            self.tiles.entry(id).or_insert(new).clone()
        });
        let some: Vec<Tile> = some.collect();
        self.ingester.submit(batch(self.project, &some)).await.unwrap();
    }

    /// Reads the journal on, and perhaps writes blocks without sums; a process may die between these.
    async fn ship(&mut self) {
        if self.intake.is_none() {
            self.intake = Some(self.world.store.intake(true, LastUses::default()).await.unwrap());
        }
        let Some(intake) = &mut self.intake else { return };
        let marks: BTreeMap<u16, u64> =
            intake.marks().iter().map(|mark| (mark.lane, mark.position)).collect();
        for (lane, ends) in self.lanes.iter_mut().enumerate() {
            let lane = lane as u16;
            *ends += self.numbers.below(30);
            // Everything behind what is summed up, as a reader that begins anew gives it.
            let from = marks.get(&lane).copied().unwrap_or(0);
            let to = from.max(ends.saturating_sub(self.numbers.below(20)));
            for position in from..to {
                intake.add(BOOT, lane, &request(self.project, lane, position).lend());
            }
            intake.reached(&Extent { boot: BOOT, lane, from, to, lost: 0 });
        }
        if self.numbers.below(2) == 0 {
            intake.finish_blocks();
            self.world.store.keep_blocks(intake).await.unwrap();
        }
        if self.numbers.below(3) > 0 {
            self.world.store.take_over(intake, With { uses: true, totals: true }).await.unwrap();
        }
        self.intake = None;
    }

    /// Counts a piece of the past; it may be killed before its commit, or commit twice.
    async fn step(&mut self) -> bool {
        let Some(past) = self.world.store.meters_past(NOW).await.unwrap() else { return false };
        let tally = past.tally();
        match self.numbers.below(4) {
            0 => {}
            1 => {
                self.world.store.count_past(&past, &tally).await.unwrap();
                let again = self.world.store.count_past(&past, &tally).await.unwrap();
                assert_eq!(again, Counting::Lost, "a piece counts once");
            }
            _ => assert_eq!(self.world.store.count_past(&past, &tally).await.unwrap(), Counting::Done),
        }
        true
    }

    async fn change_meters(&mut self) {
        // Some was read and counted for other meters by then.
        let stale = self.world.store.meters_past(NOW).await.unwrap();
        self.rounds += 1;
        self.world.apply(&resources(meters(self.rounds)), ApplyMode::default()).await.unwrap();
        if let Some(past) = stale {
            let tally = past.tally();
            let counted = self.world.store.count_past(&past, &tally).await.unwrap();
            assert_eq!(counted, Counting::Changed, "other meters count nothing");
        }
    }

    async fn finish(&mut self) {
        let mut intake = self.world.store.intake(true, LastUses::default()).await.unwrap();
        let marks: BTreeMap<u16, u64> =
            intake.marks().iter().map(|mark| (mark.lane, mark.position)).collect();
        for (lane, to) in self.lanes.into_iter().enumerate() {
            let lane = lane as u16;
            let from = marks.get(&lane).copied().unwrap_or(0);
            for position in from..to {
                intake.add(BOOT, lane, &request(self.project, lane, position).lend());
            }
            intake.reached(&Extent { boot: BOOT, lane, from, to, lost: 0 });
        }
        let done = self.world.store.take_over(&mut intake, With { uses: true, totals: true }).await.unwrap();
        assert!(matches!(done, Taken::Done(_)));
        count(&self.world).await;
        while self.step().await {}
    }

    /// By window and group, what the meters should have counted.
    async fn compare(&self, seed: u64) {
        let requests: Vec<StoredRecord> = (0..2)
            .flat_map(|lane| (0..self.lanes[usize::from(lane)]).map(move |position| (lane, position)))
            .map(|(lane, position)| request(self.project, lane, position))
            .collect();
        let by_group = !self.rounds.is_multiple_of(2);
        let by: &[usize] = if by_group { &[0] } else { &[] };
        for unit in [WindowUnit::Total, WindowUnit::Day, WindowUnit::Hour] {
            let tenths: i64 = self.tiles.values().map(|tile| tile.tenths).sum();
            let bytes = values(&self.world, "bytes", (unit, SPAN), by).await;
            assert_eq!(bytes.total.events, self.tiles.len() as u64, "{seed} {unit:?}");
            let sum = Number::parse(&format!("{}.{}", tenths / 10, tenths % 10)).unwrap();
            assert_eq!(bytes.total.value, Some(sum), "{seed} {unit:?}");
            for (start, value) in
                bytes.starts_us.iter().zip(&bytes.values).filter(|_| unit == WindowUnit::Hour)
            {
                let own = self.tiles.values().filter(|tile| (*start..start + HOUR).contains(&tile.at_us));
                assert_eq!(value.events, own.count() as u64, "{seed} {start}");
            }
            let counted = values(&self.world, "requests", (unit, SPAN), by).await;
            assert_eq!(counted.total.events, requests.len() as u64, "{seed} {unit:?}");
            for group in counted.groups.iter().filter(|_| by_group) {
                let word = group.words.as_ref().unwrap()[0].as_deref().unwrap();
                let is_it = |own: &&StoredRecord| Code::from_number(own.entry.code).unwrap().name() == word;
                let own = requests.iter().filter(is_it).count();
                assert_eq!(group.total.events, own as u64, "{seed} {word}");
            }
            let read = values(&self.world, "read", (unit, SPAN), by).await;
            let tokens: u64 = requests.iter().map(|own| own.tokens.input).sum();
            assert_eq!(read.total.value, Some(Number::whole(tokens as i64)), "{seed} {unit:?}");
            if by_group {
                let words = |name: Option<&str>| Some(vec![name.map(str::to_owned)]);
                let group = read.groups.iter().find(|group| group.words == words(Some("gpt-5"))).unwrap();
                let calls = requests.iter().filter(|own| !own.model.is_empty()).count();
                assert_eq!(group.total.events, calls as u64, "{seed} {unit:?}");
            }
            let slow = values(&self.world, "slow", (unit, SPAN), by).await;
            let millis: i64 = requests.iter().map(|own| i64::from(own.entry.latency_us / 1_000)).sum();
            assert_eq!(slow.total.value, Some(Number::whole(millis)), "{seed} {unit:?}");
        }
        let users: std::collections::BTreeSet<u64> = self.tiles.values().map(|tile| tile.user).collect();
        let found = values(&self.world, "users", (WindowUnit::Total, SPAN), by).await;
        assert_eq!(found.total.value, Some(Number::whole(users.len() as i64)), "{seed}");
    }
}

async fn meter(world: &World, name: &str) -> MeterView {
    world.store.meter_of(None, name).await.unwrap()
}

pub(crate) async fn the_past_of_a_meter_counts_once_whatever_comes_between(world: World) {
    let world = world.furnished().await;
    let project = project(&world).await;
    let ingester = ingester(&world.store);
    let mut model = Model {
        world,
        project,
        ingester,
        numbers: Numbers(0),
        tiles: BTreeMap::new(),
        lanes: [0, 0],
        intake: None,
        rounds: 0,
    };
    for seed in 1..=6 {
        model.numbers = Numbers(seed);
        for turn in 0..60 {
            match model.numbers.below(12) {
                0..=2 => model.ingest().await,
                3..=5 => model.ship().await,
                6 => count(&model.world).await,
                7..=9 => drop(model.step().await),
                10 => drop(model.world.store.merge_blocks().await.unwrap()),
                _ if turn > 15 => model.change_meters().await,
                _ => {}
            }
        }
        // At the latest here with all of it before it.
        model.change_meters().await;
        for _ in 0..model.numbers.below(6) {
            model.step().await;
        }
        model.ingest().await;
        model.finish().await;
        let kept = model.world.store.count_decisions(&DecisionFilter::default()).await.unwrap();
        assert_eq!(kept, model.lanes.iter().sum::<u64>(), "raw decisions are all kept, each once");
        model.compare(seed).await;
        let past = meter(&model.world, "bytes").await.past.unwrap();
        assert!(past.is_done && past.left == 0 && past.percent() == 100, "{past:?}");
    }
}

pub(crate) async fn progress_of_the_past_is_seen_and_what_is_forgotten_is_passed_over(world: World) {
    let world = world.furnished().await;
    let project = project(&world).await;
    let ingester = ingester(&world.store);
    let tile = |id| Tile { id, at_us: NOW, zoom: 1, tenths: 10, user: 1 };
    for id in 0..8 {
        ingester.submit(batch(project, &[tile(2 * id), tile(2 * id + 1)])).await.unwrap();
    }
    world.apply(&resources(meters(0)), ApplyMode::default()).await.unwrap();
    let before = meter(&world, "bytes").await.past.unwrap();
    assert_eq!((before.events, before.left, before.is_done, before.percent()), (16, 16, false, 0));
    let past = world.store.meters_past(NOW).await.unwrap().unwrap();
    let tally = past.tally();
    assert_eq!(world.store.count_past(&past, &tally).await.unwrap(), Counting::Done);
    let between = meter(&world, "bytes").await.past.unwrap();
    assert_eq!((between.left, between.percent()), (12, 25));
    // The rest is forgotten before it is counted.
    world.raw("DELETE FROM event_blocks WHERE starts > 0").await;
    while let Some(past) = world.store.meters_past(NOW).await.unwrap() {
        let tally = past.tally();
        assert_eq!(world.store.count_past(&past, &tally).await.unwrap(), Counting::Done);
    }
    let after = meter(&world, "bytes").await.past.unwrap();
    assert_eq!((after.left, after.percent()), (0, 100));
    assert_eq!(values(&world, "bytes", (WindowUnit::Total, SPAN), &[]).await.total.events, 4);
    // Nothing is left of what counted for meters that are gone.
    world.apply(&resources(meters(1)), ApplyMode::default()).await.unwrap();
    let gone = "UPDATE meter_series SET backfill = NULL";
    world.raw(gone).await;
    while let Some(past) = world.store.meters_past(NOW).await.unwrap() {
        assert!(past.is_empty(), "nobody counts it any more");
        world.store.count_past(&past, &past.tally()).await.unwrap();
    }
    while world.store.forget_meters_before(0, 0).await.unwrap() > 0 {}
    assert_eq!(world.count("SELECT COUNT(*) FROM meter_backfills").await, 0);
    assert_eq!(world.count("SELECT COUNT(*) FROM meter_backfill_lanes").await, 0);
}

/// A block of decisions and one of records are damaged, in two ways each: all others count.
pub(crate) async fn damage_of_the_past_is_passed_over_and_named(world: World) {
    let world = world.furnished().await;
    let project = project(&world).await;
    let ingester = ingester(&world.store);
    let tile = |id| Tile { id, at_us: NOW, zoom: 1, tenths: 10, user: 1 };
    for id in 0..5 {
        ingester.submit(batch(project, &[tile(2 * id), tile(2 * id + 1)])).await.unwrap();
    }
    for (from, to) in [(0, 10), (10, 30), (30, 60), (60, 100)] {
        let mut intake = world.store.intake(true, LastUses::default()).await.unwrap();
        for position in from..to {
            intake.add(BOOT, 0, &request(project, 0, position).lend());
        }
        intake.reached(&Extent { boot: BOOT, lane: 0, from, to, lost: 0 });
        let done = world.store.take_over(&mut intake, With { uses: true, totals: true }).await.unwrap();
        assert!(matches!(done, Taken::Done(_)));
    }
    // One does not unpack, one unpacks to what is no record.
    world.raw(&format!("UPDATE event_blocks SET packed = {} WHERE starts = 2", world.blob("01FF"))).await;
    let whole_but_no_records = world.blob("0128B52FFD200109000007");
    world.raw(&format!("UPDATE event_blocks SET packed = {whole_but_no_records} WHERE starts = 6")).await;
    world.raw(&format!("UPDATE decision_blocks SET packed = {} WHERE starts = 10", world.blob("00"))).await;
    world.raw(&cut_short(&world, 60)).await;
    world.apply(&resources(meters(0)), ApplyMode::default()).await.unwrap();
    let mut passed = Vec::new();
    while let Some(past) = world.store.meters_past(NOW).await.unwrap() {
        let tally = past.tally();
        passed.extend_from_slice(tally.passed_over());
        assert_eq!(world.store.count_past(&past, &tally).await.unwrap(), Counting::Done);
    }
    let decisions = |position, decisions| PassedOver::Decisions { boot: BOOT, lane: 0, position, decisions };
    assert_eq!(
        passed,
        [
            PassedOver::Records { position: 2, records: 2 },
            PassedOver::Records { position: 6, records: 2 },
            decisions(10, 20),
            decisions(60, 40)
        ]
    );
    let words = "the block of 20 decision(s) at position 10 of lane 0 of run 000000000000abcd is damaged";
    assert_eq!(passed[2].to_string(), words);
    let past = meter(&world, "bytes").await.past.unwrap();
    assert_eq!((past.left, past.is_done, past.percent()), (0, true, 100));
    for (name, events, damaged) in [("bytes", 6, 4), ("requests", 40, 60)] {
        assert_eq!(meter(&world, name).await.past.unwrap().damaged, damaged, "{name}");
        assert_eq!(values(&world, name, (WindowUnit::Total, SPAN), &[]).await.total.events, events, "{name}");
    }
}

/// Ships what an intake reads of a lane from where it stands; with blocks alone as a process that dies then leaves it.
async fn ship(world: &World, project: ProjectId, to: u64, sums: bool) {
    let mut intake = world.store.intake(true, LastUses::default()).await.unwrap();
    let from = intake.marks().first().map_or(0, |mark| mark.position);
    for position in from..to {
        intake.add(BOOT, 0, &request(project, 0, position).lend());
    }
    intake.reached(&Extent { boot: BOOT, lane: 0, from, to, lost: 0 });
    if sums {
        let done = world.store.take_over(&mut intake, With { uses: true, totals: true }).await.unwrap();
        assert!(matches!(done, Taken::Done(_)));
    } else {
        intake.finish_blocks();
        world.store.keep_blocks(&mut intake).await.unwrap();
    }
}

/// Counts what there is at a moment; gives what was passed over.
async fn steps(world: &World, now_us: i64) -> Vec<PassedOver> {
    let mut passed = Vec::new();
    while let Some(past) = world.store.meters_past(now_us).await.unwrap() {
        let tally = past.tally();
        passed.extend_from_slice(tally.passed_over());
        assert_eq!(world.store.count_past(&past, &tally).await.unwrap(), Counting::Done);
    }
    world.store.note_waiting_past(now_us).await.unwrap();
    passed
}

/// A journal is lost with sums of requests whose raw decisions are kept: they are waited for in vain for an hour, and
/// count once, whether the journal is found again or not.
pub(crate) async fn a_lost_journal_holds_the_past_up_for_an_hour_only(world: World) {
    let world = world.furnished().await;
    let project = project(&world).await;
    ship(&world, project, 40, false).await;
    ship(&world, project, 25, true).await;
    world.apply(&resources(meters(0)), ApplyMode::default()).await.unwrap();
    assert_eq!(steps(&world, NOW).await, []);
    // Its node comes back for a moment: the hour begins anew.
    ship(&world, project, 26, true).await;
    assert_eq!(steps(&world, NOW + HOUR).await, []);
    assert_eq!(steps(&world, NOW + 2 * HOUR - SECOND).await, []);
    let waits = meter(&world, "requests").await.past.unwrap();
    assert!(!waits.is_done && waits.unsummed == 0, "{waits:?}");
    let sums = [PassedOver::Sums { boot: BOOT, lane: 0, from: 26, to: 40 }];
    assert_eq!(steps(&world, NOW + 2 * HOUR).await, sums);
    let words = "positions 26 to 40 of lane 0 of run 000000000000abcd never came out of its journal";
    assert!(sums[0].to_string().starts_with(words), "{}", sums[0]);
    let past = meter(&world, "requests").await.past.unwrap();
    assert_eq!((past.unsummed, past.damaged, past.left, past.is_done), (14, 0, 0, true));
    let total = async |name| values(&world, name, (WindowUnit::Total, SPAN), &[]).await.total;
    let tokens = |to| Number::whole((0..to).map(|at| request(project, 0, at).tokens.input as i64).sum());
    assert_eq!(total("requests").await.events, 40);
    assert_eq!(total("read").await.value, Some(tokens(26)));
    // Another meter need not wait for the same again.
    world.apply(&resources(meters(1)), ApplyMode::default()).await.unwrap();
    assert_eq!(steps(&world, NOW + 2 * HOUR + SECOND).await, []);
    assert_eq!(steps(&world, NOW + 2 * HOUR + SECOND).await, sums);
    assert_eq!(total("requests").await.events, 40);
    // The journal is found after all.
    while world.store.forget_meters_before(0, 0).await.unwrap() > 0 {}
    ship(&world, project, 50, true).await;
    assert_eq!(total("requests").await.events, 50, "each counts once");
    assert_eq!(total("read").await.value.map(|read| read.to_float()), Some(late(project, tokens(26))));
    while world.store.forget_meters_before(0, 0).await.unwrap() > 0 {}
    assert_eq!(world.count("SELECT COUNT(*) FROM meter_backfill_lanes").await, 0);
}

/// What was read with what came after the border.
fn late(project: ProjectId, before: Number) -> f64 {
    let after: u64 = (40..50).map(|at| request(project, 0, at).tokens.input).sum();
    before.to_float() + after as f64
}

/// SQL that takes the last bytes off a block of decisions.
fn cut_short(world: &World, starts: u64) -> String {
    let cut = match world.store.engine() {
        Engine::Sqlite => "SUBSTR(packed, 1, LENGTH(packed) - 40)",
        Engine::Postgres => "SUBSTRING(packed FROM 1 FOR LENGTH(packed) - 40)",
    };
    format!("UPDATE decision_blocks SET packed = {cut} WHERE starts = {starts}")
}
