//! Reminders are made once, and end when they are so no longer; digests go to whom they are for.

use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{
    KeyFilter, NewKey, PageRequest, Reminder, ReminderFilter, ReminderKind, ReminderRules, Rotation,
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

pub(crate) async fn a_digest_is_taken_once_a_day(world: World) {
    let world = world.furnished().await;
    for (id, role) in [(1, "owner"), (2, "developer"), (3, "developer"), (4, "auditor")] {
        world
            .raw(&format!(
                "INSERT INTO accounts (id, email, login, name, totp_step, created_us, version) \
                 VALUES ({id}, '{role}{id}@example.com', 'login{id}', 'N', 0, 0, 1)"
            ))
            .await;
        world
            .raw(&format!(
                "INSERT INTO members (account, tenant, role, source, created_us, version) \
                 SELECT {id}, id, '{role}', 'local', 0, 1 FROM tenants"
            ))
            .await;
    }
    world
        .raw("INSERT INTO member_consumers (account, tenant, consumer) SELECT 2, t.id, c.id FROM tenants t, consumers c WHERE c.name = 'app'")
        .await;
    world.create(new_key(), 1).await;
    let (first, later) = (NOW + 90 * DAY, NOW + 90 * DAY + 3600 * SECOND);
    assert_eq!(world.store.remind(&RULES, first).await.unwrap(), 1);
    let digests = world.store.take_digests(first).await.unwrap();
    let to: Vec<&str> = digests.iter().map(|digest| digest.to.as_str()).collect();
    assert_eq!(to, ["developer2@example.com", "owner1@example.com"]);
    assert!(digests.iter().all(|digest| digest.reminders.len() == 1 && digest.tenant_name == "acme"));
    assert!(world.store.take_digests(first + 2 * DAY).await.unwrap().is_empty(), "nothing is said twice");
    world.create(NewKey { expires_us: Some(later + 100 * DAY), ..new_key() }, 2).await;
    assert_eq!(world.store.remind(&RULES, later + 75 * DAY).await.unwrap(), 2);
    assert_eq!(world.store.take_digests(later + 75 * DAY).await.unwrap().len(), 2);
    world.create(NewKey { expires_us: Some(later + 300 * DAY), ..new_key() }, 3).await;
    assert!(world.store.take_digests(later + 75 * DAY).await.unwrap().is_empty());
}
