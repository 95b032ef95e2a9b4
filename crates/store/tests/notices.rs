//! What happens is told once, in the transaction of the thing itself, in one order without gaps.

use tollgate_core::{authz::Action, keyring::KeyState};
use tollgate_store::{NewKey, NoticeFilter, NoticeRow, PageRequest, ReminderRules, Rotation};

use crate::world::{NOW, SECOND, World, new_key, permit, random};

const DAY: i64 = 86_400 * SECOND;

/// All notices, oldest first.
async fn told(world: &World) -> Vec<NoticeRow> {
    let page = PageRequest { limit: 1000, cursor: None };
    let mut items = world.store.notices(&NoticeFilter::default(), &page).await.unwrap().items;
    items.reverse();
    items
}

pub(crate) async fn changes_of_keys_are_told_with_what_they_are_about(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await.value;
    let may = permit(Action::ChangeKeys);
    let rotation = Rotation { id: key.id, overlap_us: SECOND };
    world.store.rotate_key(&may, rotation, &random(2), NOW + 1).await.unwrap();
    for state in [KeyState::Disabled, KeyState::Disabled, KeyState::Active, KeyState::Revoked] {
        world.store.set_key_state(&may, key.id, state, NOW + 2).await.unwrap();
    }
    // What is refused tells nothing, and takes no position.
    world.store.set_key_state(&may, key.id, KeyState::Active, NOW + 3).await.unwrap_err();
    let told = told(&world).await;
    let kinds: Vec<&str> = told.iter().map(|one| one.kind.as_str()).collect();
    assert_eq!(kinds, ["key.created", "key.rotated", "key.disabled", "key.enabled", "key.revoked"]);
    assert_eq!(told.iter().map(|one| one.position).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(world.store.notices_end().await.unwrap(), 6);
    let body: serde_json::Value = serde_json::from_str(&told[0].body).unwrap();
    assert_eq!((told[0].key, told[0].at_us), (Some(key.id), NOW));
    assert!(told[0].project.is_some() && told[0].consumer.is_some());
    assert_eq!((body["project"].as_str(), body["consumer"].as_str()), (Some("maps"), Some("app")));
    assert_eq!(body["key_id"], key.id.to_string());
    assert!(body["key"].as_str().unwrap().contains("_…"), "{body}");
    assert!(!told[0].body.contains(key.key.expose()), "never the key");
}

pub(crate) async fn reminders_are_told_once_each(world: World) {
    let world = world.furnished().await;
    let key = world.create(NewKey { expires_us: Some(NOW + 60 * DAY), ..new_key() }, 1).await.value;
    let rules = ReminderRules { expiring: true, rotation_after_us: None, unused_after_us: Some(40 * DAY) };
    for _ in 0..3 {
        world.store.remind(&rules, NOW + 54 * DAY).await.unwrap();
    }
    let filter = NoticeFilter { key: Some(key.id), from_us: Some(NOW + DAY), ..NoticeFilter::default() };
    let found = world.store.notices(&filter, &PageRequest::default()).await.unwrap().items;
    let mut kinds: Vec<&str> = found.iter().map(|one| one.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["key.expiring", "key.unused"]);
    let filter = NoticeFilter { kind: Some("key.expiring".to_owned()), ..NoticeFilter::default() };
    assert_eq!(world.store.count_notices(&filter).await.unwrap(), 1);
    let found = world.store.notices(&filter, &PageRequest::default()).await.unwrap().items;
    let body: serde_json::Value = serde_json::from_str(&found[0].body).unwrap();
    assert_eq!(body["days"], 7);
    assert!(body["expires_at"].as_str().unwrap().ends_with('Z'), "{body}");
}

pub(crate) async fn what_is_old_is_forgotten_and_positions_go_on(world: World) {
    let world = world.furnished().await;
    for number in 1..=5 {
        world.create(new_key(), number).await;
    }
    assert_eq!(world.store.forget_notices_before(NOW).await.unwrap(), 0);
    assert_eq!(world.store.forget_notices_before(NOW + 1).await.unwrap(), 5);
    assert!(told(&world).await.is_empty());
    world.create(new_key(), 6).await;
    assert_eq!(told(&world).await.first().map(|one| one.position), Some(6));
}

pub(crate) async fn pages_of_notices_hold_each_once(world: World) {
    let world = world.furnished().await;
    for number in 1..=5 {
        world.create(new_key(), number).await;
    }
    let (mut seen, mut page) = (Vec::new(), PageRequest { limit: 2, cursor: None });
    loop {
        let part = world.store.notices(&NoticeFilter::default(), &page).await.unwrap();
        seen.extend(part.items.into_iter().map(|one| one.position));
        page.cursor = part.next;
        if page.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
}
