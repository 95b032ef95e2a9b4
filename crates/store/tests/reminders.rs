//! Reminders are made once, and end when they are so no longer; digests go to whom they are for.

use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{
    Digest, KeyFilter, NewKey, PageRequest, Reminder, ReminderFilter, ReminderKind, ReminderRules, Rotation,
};

use crate::world::{NOW, SECOND, World, new_key, permit, random};

const DAY: i64 = 86_400 * SECOND;
const RULES: ReminderRules =
    ReminderRules { expiring: true, rotation_after_us: Some(365 * DAY), unused_after_us: Some(90 * DAY) };

async fn open(world: &World) -> Vec<Reminder> {
    let filter = ReminderFilter { open_only: true, ..ReminderFilter::default() };
    world.store.reminders(&filter, &PageRequest::default()).await.unwrap().items
}

async fn listed(world: &World, kind: ReminderKind) -> usize {
    let filter = KeyFilter { attention: Some(kind), ..KeyFilter::default() };
    world.store.list_keys(&filter, &PageRequest::default()).await.unwrap().items.len()
}

pub(crate) async fn each_is_made_once_and_ends_when_it_is_so_no_longer(world: World) {
    let world = world.furnished().await;
    let key = world.create(NewKey { expires_us: Some(NOW + 400 * DAY), ..new_key() }, 1).await.value;
    let remind = |days: i64| world.store.remind(&RULES, NOW + days * DAY);
    assert_eq!(remind(89).await.unwrap(), 0);
    assert_eq!((remind(90).await.unwrap(), remind(90).await.unwrap()), (1, 0));
    assert_eq!(remind(366).await.unwrap(), 1, "old");
    assert_eq!(remind(370).await.unwrap(), 1, "and it expires");
    let found = open(&world).await;
    assert_eq!(found.iter().map(|one| one.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(
        (found[0].kind, found[0].days, found[0].due_us),
        (ReminderKind::Expiring, Some(30), NOW + 400 * DAY)
    );
    assert_eq!((found[1].kind, found[1].due_us), (ReminderKind::RotationDue, NOW + 365 * DAY));
    assert_eq!((found[2].kind, found[2].due_us), (ReminderKind::Unused, NOW + 90 * DAY));
    assert_eq!((found[0].project.name.as_str(), found[0].consumer.name.as_str()), ("maps", "app"));
    for kind in ReminderKind::ALL {
        assert_eq!(listed(&world, kind).await, 1, "{kind:?}");
    }
    let rotation = Rotation { id: key.id, overlap_us: SECOND };
    world.store.rotate_key(&permit(Action::ChangeKeys), rotation, &random(2), NOW + 370 * DAY).await.unwrap();
    assert_eq!(remind(371).await.unwrap(), 0);
    assert_eq!(listed(&world, ReminderKind::RotationDue).await, 0);
    assert_eq!(remind(395).await.unwrap(), 1);
    assert_eq!(open(&world).await.iter().filter(|one| one.kind == ReminderKind::Expiring).count(), 1);
    let state = KeyState::Revoked;
    world.store.set_key_state(&permit(Action::ChangeKeys), key.id, state, NOW + 396 * DAY).await.unwrap();
    assert_eq!(remind(396).await.unwrap(), 0);
    assert!(open(&world).await.is_empty());
    let all = world.store.count_reminders(&ReminderFilter::default()).await.unwrap();
    assert_eq!(all, 4, "what was said stays");
    let never = ReminderRules { expiring: false, rotation_after_us: None, unused_after_us: None };
    assert_eq!(world.store.remind(&never, NOW + 1000 * DAY).await.unwrap(), 0);
}

/// An owner, two developers of whom one is mapped to the consumer `app`, an auditor.
async fn people(world: &World) {
    for (id, role) in [(1, "owner"), (2, "developer"), (3, "developer"), (4, "auditor")] {
        person(world, (id, role), &format!("{role}{id}@example.com")).await;
    }
    world
        .raw("INSERT INTO member_consumers (account, tenant, consumer) SELECT 2, t.id, c.id FROM tenants t, consumers c WHERE c.name = 'app'")
        .await;
}

async fn person(world: &World, (id, role): (u32, &str), email: &str) {
    world
        .raw(&format!(
            "INSERT INTO accounts (id, email, login, name, totp_step, created_us, version) \
             VALUES ({id}, '{email}', 'login{id}', 'N', 0, 0, 1)"
        ))
        .await;
    world
        .raw(&format!(
            "INSERT INTO members (account, tenant, role, source, created_us, version) \
             SELECT {id}, id, '{role}', 'local', 0, 1 FROM tenants"
        ))
        .await;
}

/// Takes the digests of all tenants and hands them over.
async fn mailed(world: &World, now_us: i64) -> Vec<Digest> {
    let mut letters = Vec::new();
    for tenant in world.store.digests_due(now_us).await.unwrap() {
        let digests = world.store.take_digests(tenant, now_us).await.unwrap();
        world.store.digests_mailed(&digests.numbers, now_us).await.unwrap();
        letters.extend(digests.letters);
    }
    letters
}

fn to(digests: &[Digest]) -> Vec<&str> {
    digests.iter().map(|digest| digest.to.as_str()).collect()
}

pub(crate) async fn a_digest_is_taken_once_a_day(world: World) {
    let world = world.furnished().await;
    people(&world).await;
    world.create(new_key(), 1).await;
    let first = NOW + 90 * DAY;
    assert_eq!(world.store.remind(&RULES, first).await.unwrap(), 1);
    let digests = mailed(&world, first).await;
    assert_eq!(to(&digests), ["owner1@example.com", "developer2@example.com"]);
    assert!(digests.iter().all(|digest| digest.reminders.len() == 1 && digest.tenant_name == "acme"));
    assert!(mailed(&world, first + 2 * DAY).await.is_empty(), "nothing is said twice");
    // Another within the day waits for the end of it.
    world.create(NewKey { expires_us: Some(first + 30 * DAY), ..new_key() }, 2).await;
    let soon = first + 3600 * SECOND;
    assert_eq!(world.store.remind(&RULES, soon).await.unwrap(), 2, "it expires, and is not used");
    assert!(mailed(&world, soon).await.is_empty(), "one a day");
    assert!(mailed(&world, first + DAY - 1).await.is_empty(), "one a day");
    let second = mailed(&world, first + DAY).await;
    assert_eq!(to(&second), ["owner1@example.com", "developer2@example.com"]);
    assert_eq!(second[0].reminders.len(), 2, "the new ones alone");
}

pub(crate) async fn what_was_not_handed_over_is_in_the_next_digest(world: World) {
    let world = world.furnished().await;
    people(&world).await;
    world.create(new_key(), 1).await;
    let first = NOW + 90 * DAY;
    world.store.remind(&RULES, first).await.unwrap();
    let tenant = world.store.digests_due(first).await.unwrap()[0];
    assert_eq!(world.store.take_digests(tenant, first).await.unwrap().letters.len(), 2);
    assert!(world.store.take_digests(tenant, first).await.unwrap().letters.is_empty(), "another has the day");
    assert_eq!(mailed(&world, first + DAY).await.len(), 2);
    assert!(mailed(&world, first + 2 * DAY).await.is_empty());
}

pub(crate) async fn nobody_takes_over_the_mail_of_another_account(world: World) {
    let world = world.furnished().await;
    people(&world).await;
    // Their provider says this of them; it is somebody else's address, or none.
    person(&world, (5, "developer"), "owner1@example.com").await;
    person(&world, (6, "admin"), "").await;
    world.create(new_key(), 1).await;
    world.store.remind(&RULES, NOW + 90 * DAY).await.unwrap();
    let digests = mailed(&world, NOW + 90 * DAY).await;
    assert_eq!(to(&digests), ["owner1@example.com", "developer2@example.com"]);
}

pub(crate) async fn what_expires_does_not_wait_behind_a_backlog(world: World) {
    let world = world.furnished().await;
    people(&world).await;
    world.create(NewKey { expires_us: Some(NOW + 100 * DAY), ..new_key() }, 1).await;
    let now = NOW + 89 * DAY;
    assert_eq!(world.store.remind(&RULES, now).await.unwrap(), 1);
    world.raw("UPDATE reminders SET number = 9000").await;
    world
        .raw(
            "INSERT INTO reminders (number, key, kind, due_us, step, tenant, project, consumer, at_us) \
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) \
             SELECT n.i, r.key, 2, n.i, 0, r.tenant, r.project, r.consumer, r.at_us FROM n, reminders r",
        )
        .await;
    let digests = mailed(&world, now).await;
    assert_eq!((digests[0].reminders[0].number, digests[0].reminders.len()), (9000, 1000));
    let later = mailed(&world, now + DAY).await;
    assert_eq!(later[0].reminders.len(), 501, "the rest, each once");
}
