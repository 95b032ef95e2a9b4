//! Each reminder is made once: over restarts, over nodes, over days; and mailed once to those it is for.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tollgate_core::{authz::Action, keyring::KeyState, time::Clock as _};
use tollgate_store::{PageRequest, Reminder, ReminderFilter, ReminderKind, ReminderRules, Rotation};
use tollgate_workers::{Letter, Postman, RemindOptions, Running};

use crate::world::{World, permit, until};

const DAY: Duration = Duration::from_secs(86_400);
const DAY_US: i64 = 86_400_000_000;
const RULES: ReminderRules = ReminderRules {
    expiring: true,
    rotation_after_us: Some(365 * DAY_US),
    unused_after_us: Some(90 * DAY_US),
};

#[derive(Default)]
struct Pile(Mutex<Vec<Letter>>, AtomicBool);

impl Postman for Pile {
    fn room(&self) -> usize {
        if self.1.load(Ordering::SeqCst) { 0 } else { 1_000 }
    }

    fn post(&self, letter: Letter) -> bool {
        self.0.lock().unwrap().push(letter);
        true
    }
}

async fn start(world: &mut World, postman: Option<Arc<Pile>>) -> Running {
    let mut process = world.boot();
    let postman = postman.map(|postman| postman as Arc<dyn Postman>);
    let console = Some("https://gate.example.com".to_owned());
    process.parts.as_mut().unwrap().remind = Some(RemindOptions { rules: RULES, postman, console });
    process.start().await
}

async fn all(world: &World) -> Vec<Reminder> {
    world.store.reminders(&ReminderFilter::default(), &PageRequest::default()).await.unwrap().items
}

async fn open(world: &World) -> Vec<(ReminderKind, Option<u32>)> {
    let filter = ReminderFilter { open_only: true, ..ReminderFilter::default() };
    let page = world.store.reminders(&filter, &PageRequest::default()).await.unwrap();
    page.items.iter().map(|reminder| (reminder.kind, reminder.days)).collect()
}

async fn remind(world: &World) -> u64 {
    world.store.remind(&RULES, world.clock.now().wall_us).await.unwrap()
}

#[tokio::test]
async fn an_expiry_is_said_thirty_seven_and_one_days_before_once_each() {
    let world = World::new().await;
    let now = world.clock.now().wall_us;
    world.create_expiring_key(1, now + 60 * DAY_US).await;
    // A key of a day is not said to expire within thirty.
    world.create_expiring_key(2, now + DAY_US / 2).await;
    let mut said = Vec::new();
    for day in 0..=61 {
        assert!(remind(&world).await <= 1, "day {day}");
        assert_eq!(remind(&world).await, 0, "asked again, day {day}");
        let found = all(&world).await;
        if found.len() > said.len() {
            said.push((day, found[0].days.unwrap()));
            assert!(open(&world).await.len() == 1, "the newest of them is what is shown");
        }
        world.clock.advance(DAY);
    }
    assert_eq!(said, [(30, 30), (53, 7), (59, 1)]);
    assert!(open(&world).await.is_empty(), "what has expired needs no attention");
    let numbers: Vec<u64> = all(&world).await.iter().map(|reminder| reminder.number).collect();
    assert_eq!(numbers, [3, 2, 1], "no gaps");
}

#[tokio::test]
async fn a_moved_expiry_is_another() {
    let world = World::new().await;
    let now = world.clock.now().wall_us;
    let key = world.create_expiring_key(1, now + 60 * DAY_US).await;
    world.clock.advance(DAY * 40);
    assert_eq!(remind(&world).await, 1);
    let edit = tollgate_store::KeyEdit {
        id: key.id,
        version: None,
        name: None,
        policy: None,
        expires_us: Some(Some(now + 100 * DAY_US)),
        metadata: None,
    };
    world.store.edit_key(&permit(Action::ChangeKeys), edit, now).await.unwrap();
    assert_eq!(remind(&world).await, 0);
    assert!(open(&world).await.is_empty());
    world.clock.advance(DAY * 35);
    assert_eq!(remind(&world).await, 1);
    assert_eq!(open(&world).await, [(ReminderKind::Expiring, Some(30))]);
}

#[tokio::test]
async fn old_secrets_and_unused_keys_are_said_until_something_is_done() {
    let world = World::new().await;
    let key = world.create_key(1).await;
    world.clock.advance(DAY * 89);
    assert_eq!(remind(&world).await, 0);
    world.clock.advance(DAY);
    assert_eq!(remind(&world).await, 1);
    assert_eq!(open(&world).await, [(ReminderKind::Unused, None)]);
    let mut stranger = world.stranger().await;
    let now = world.clock.now().wall_us;
    stranger
        .run(&format!(
            "INSERT INTO key_uses (key, generation, used_us, address) VALUES ({}, 0, {now}, X'00')",
            key.id.to_sql()
        ))
        .await;
    assert_eq!(remind(&world).await, 0);
    assert!(open(&world).await.is_empty(), "it is used again");
    world.clock.advance(DAY * 90);
    assert_eq!(remind(&world).await, 1, "and then it is not: that is another time");
    world.clock.advance(DAY * 185);
    assert_eq!(remind(&world).await, 1, "a year old");
    assert_eq!(open(&world).await.len(), 2);
    let now = world.clock.now().wall_us;
    let rotation = Rotation { id: key.id, overlap_us: 0 };
    let secret = tollgate_core::secret::Secret::new([9; 32]);
    world.store.rotate_key(&permit(Action::TendKeys), rotation, &secret, now).await.unwrap();
    assert_eq!(remind(&world).await, 0);
    assert_eq!(open(&world).await, [(ReminderKind::Unused, None)]);
    world.store.set_key_state(&permit(Action::ChangeKeys), key.id, KeyState::Disabled, now).await.unwrap();
    assert_eq!(remind(&world).await, 0);
    assert!(open(&world).await.is_empty(), "a key that stands still needs no attention");
}

#[tokio::test]
async fn many_nodes_make_each_reminder_and_take_each_digest_once() {
    let world = World::new().await;
    world.add_owner("owner@example.com").await;
    for seed in 0..20 {
        world.create_key(seed).await;
    }
    world.clock.advance(DAY * 91);
    let now = world.clock.now().wall_us;
    let mut nodes = Vec::new();
    for _ in 0..8 {
        let store = world.other().await;
        nodes.push(tokio::spawn(async move {
            let made = store.remind(&RULES, now).await.unwrap();
            let mut taken = Vec::new();
            for tenant in store.digests_due(now).await.unwrap() {
                taken.extend(store.take_digests(tenant, now).await.unwrap().letters);
            }
            (made, taken)
        }));
    }
    let (mut made, mut digests) = (0, Vec::new());
    for node in nodes {
        let (own, taken) = node.await.unwrap();
        made += own;
        digests.extend(taken);
    }
    assert_eq!((made, all(&world).await.len()), (20, 20));
    assert_eq!(digests.len(), 1);
    assert_eq!(digests[0].reminders.len(), 20);
}

#[tokio::test]
async fn a_digest_goes_out_once_a_day_and_survives_restarts() {
    let mut world = World::new().await;
    world.add_owner("owner@example.com").await;
    let now = world.clock.now().wall_us;
    let key = world.create_expiring_key(1, now + 60 * DAY_US).await;
    world.clock.advance(DAY * 31);
    let letters = Arc::new(Pile::default());
    let running = start(&mut world, Some(letters.clone())).await;
    let count = || async { letters.0.lock().unwrap().len() };
    until("the first digest", || async { count().await == 1 }).await;
    running.stop().await.unwrap();
    let letter = letters.0.lock().unwrap()[0].clone();
    assert_eq!(
        (letter.to.as_str(), letter.subject.as_str()),
        ("owner@example.com", "1 key needs attention in acme")
    );
    let link = format!("https://gate.example.com/keys/{}", key.id);
    assert!(
        letter.text.contains("of app in maps: it expires in 29 days") && letter.text.contains(&link),
        "{letter:?}"
    );
    assert!(!letter.text.contains(key.key.expose().as_str()), "I6");
    // Another reminder the same day waits for the next one.
    world.create_expiring_key(2, world.clock.now().wall_us + 30 * DAY_US + DAY_US / 48).await;
    let running = start(&mut world, Some(letters.clone())).await;
    world.clock.advance(Duration::from_secs(3600));
    until("it is shown", || async { all(&world).await.len() == 2 }).await;
    // Whoever stops has ended the turn that made it.
    running.stop().await.unwrap();
    assert_eq!(count().await, 1, "one a day");
    let running = start(&mut world, Some(letters.clone())).await;
    world.clock.advance(DAY);
    until("the second digest", || async { count().await == 2 }).await;
    running.stop().await.unwrap();
    start(&mut world, Some(letters.clone())).await.stop().await.unwrap();
    assert_eq!(count().await, 2);
}

#[tokio::test]
async fn digests_wait_while_the_postman_has_no_room() {
    let mut world = World::new().await;
    world.add_owner("owner@example.com").await;
    world.create_key(1).await;
    world.clock.advance(DAY * 91);
    let letters = Arc::new(Pile::default());
    letters.1.store(true, Ordering::SeqCst);
    let running = start(&mut world, Some(letters.clone())).await;
    until("it is shown", || async { all(&world).await.len() == 1 }).await;
    running.stop().await.unwrap();
    assert!(letters.0.lock().unwrap().is_empty());
    letters.1.store(false, Ordering::SeqCst);
    let running = start(&mut world, Some(letters.clone())).await;
    until("there is room", || async { letters.0.lock().unwrap().len() == 1 }).await;
    running.stop().await.unwrap();
}
