//! Webhooks: applied, exported, pruned; secrets; one sender; every notice that is wanted told at least once.

use std::collections::HashMap;

use tollgate_core::{authz::Action, resource::Resources, secret::Secret, webhook::WebhookSpec};
use tollgate_store::{
    ApplyMode, Attempted, AuditFilter, DeliveryFilter, DeliveryState, NoticeFilter, Op, Outgoing,
    PageRequest, SenderLease, StoreError, WebhookAt, WebhookReplay, WebhookView,
};

use crate::world::{NOW, SECOND, World, new_key, permit};

const LEASE: i64 = 15 * SECOND;
const NEVER: i64 = 0;

fn spec(url: &str, events: &[&str]) -> WebhookSpec {
    WebhookSpec {
        tenant: None,
        project: Some("maps".to_owned()),
        url: url.to_owned(),
        events: events.iter().map(|pattern| (*pattern).to_owned()).collect(),
        enabled: true,
        description: String::new(),
    }
}

async fn hook(world: &World, events: &[&str]) -> WebhookView {
    let may = permit(Action::ChangeResources);
    world.store.create_webhook(&may, spec("https://example.com/a", events), NOW).await.unwrap().value.0
}

async fn sender(world: &World) -> SenderLease {
    world.store.take_sender(1, (NOW, NOW + LEASE)).await.unwrap().unwrap()
}

/// Looks at all notices, and gives what is due.
async fn due(world: &World, lease: SenderLease, now_us: i64) -> Vec<Outgoing> {
    while world.store.fan_out_notices(lease, (now_us, now_us + LEASE)).await.unwrap().unwrap() {}
    let due = world.store.due_deliveries(now_us, (1000, &HashMap::new())).await.unwrap();
    due.into_iter().flat_map(|(_, outgoing)| outgoing).collect()
}

fn attempted(one: &Outgoing, is_taken: bool, next_us: Option<i64>) -> Attempted {
    Attempted {
        webhook: one.webhook,
        position: one.position,
        is_taken,
        status: if is_taken { 200 } else { 500 },
        answer: "said".to_owned(),
        at_us: NOW,
        took_us: 5,
        next_us,
        is_gone: false,
    }
}

pub(crate) async fn webhooks_are_applied_exported_and_pruned(world: World) {
    let world = world.furnished().await;
    let may = permit(Action::ChangeResources);
    let mode = ApplyMode::default();
    let resources =
        Resources { webhooks: vec![spec("https://example.com/a", &["key.*"])], ..Resources::default() };
    let plan = world.store.apply(&may, &resources, mode, NOW).await.unwrap();
    assert_eq!(
        plan.changes.iter().map(|change| (change.op, change.name.clone())).collect::<Vec<_>>(),
        [(Op::Create, "acme/maps https://example.com/a".to_owned())]
    );
    assert!(world.store.apply(&may, &resources, mode, NOW).await.unwrap().changes.is_empty());
    let export = world.store.export().await.unwrap();
    assert_eq!(export.webhooks, resources.webhooks);
    let changed = Resources { webhooks: vec![spec("https://example.com/a", &["*"])], ..Resources::default() };
    let plan = world.store.apply(&may, &changed, mode, NOW).await.unwrap();
    assert_eq!(plan.changes.first().map(|change| change.fields.clone()), Some(vec!["events".to_owned()]));
    let twice = Resources { webhooks: vec![changed.webhooks[0].clone(); 2], ..Resources::default() };
    assert!(matches!(world.store.apply(&may, &twice, mode, NOW).await, Err(StoreError::Invalid(_))));
    let whole = world.store.export().await.unwrap();
    let without = Resources { webhooks: Vec::new(), ..whole };
    let plan =
        world.store.apply(&may, &without, ApplyMode { prune: true, dry_run: false }, NOW).await.unwrap();
    assert_eq!(plan.changes.first().map(|change| change.op), Some(Op::Delete));
    assert!(world.store.list_webhooks(None).await.unwrap().is_empty());
}

pub(crate) async fn a_webhook_is_told_what_it_wants_and_nothing_from_before(world: World) {
    let world = world.furnished().await;
    world.create(new_key(), 1).await;
    let hook = hook(&world, &["key.created"]).await;
    let lease = sender(&world).await;
    assert!(due(&world, lease, NOW).await.is_empty(), "what was before is not told");
    let key = world.create(new_key(), 2).await.value;
    let revoked = tollgate_core::keyring::KeyState::Revoked;
    world.store.set_key_state(&permit(Action::ChangeKeys), key.id, revoked, NOW).await.unwrap();
    let found = due(&world, lease, NOW).await;
    assert_eq!(found.iter().map(|one| one.kind.as_str()).collect::<Vec<_>>(), ["key.created"]);
    assert_eq!(due(&world, lease, NOW).await, found, "until it is written down");
    let failed = attempted(&found[0], false, Some(NOW + SECOND));
    world.store.settle_deliveries(lease, &[failed], (NOW, NOW + LEASE, NEVER)).await.unwrap().unwrap();
    assert!(due(&world, lease, NOW).await.is_empty());
    let again = due(&world, lease, NOW + SECOND).await;
    assert_eq!((again[0].notice, again[0].attempts), (found[0].notice, 1));
    let taken = attempted(&found[0], true, None);
    world.store.settle_deliveries(lease, &[taken], (NOW, NOW + LEASE, NEVER)).await.unwrap().unwrap();
    assert!(due(&world, lease, NOW + LEASE).await.is_empty());
    let view = world.store.webhook(hook.tenant, hook.id).await.unwrap();
    assert_eq!((view.pending, view.failed, view.failing_us), (0, 0, None));
}

pub(crate) async fn an_overtaken_sender_writes_nothing(world: World) {
    let world = world.furnished().await;
    hook(&world, &["*"]).await;
    world.create(new_key(), 1).await;
    let old = sender(&world).await;
    let found = due(&world, old, NOW).await;
    assert_eq!(world.store.take_sender(2, (NOW, NOW + LEASE)).await.unwrap(), None, "it is held");
    let later = NOW + 3 * LEASE;
    let new = world.store.take_sender(2, (later, later + LEASE)).await.unwrap().unwrap();
    assert!(new.epoch > old.epoch);
    let taken = [attempted(&found[0], true, None)];
    let settled = world.store.settle_deliveries(old, &taken, (later, later + LEASE, NEVER)).await.unwrap();
    assert!(settled.is_err());
    world.create(new_key(), 2).await;
    assert!(world.store.fan_out_notices(old, (later, later + LEASE)).await.unwrap().is_err());
    assert_eq!(due(&world, new, later).await.len(), 2, "both are told by the new one");
}

pub(crate) async fn a_receiver_that_is_gone_or_fails_for_days_is_switched_off_and_resumed(world: World) {
    let world = world.furnished().await;
    let hook = hook(&world, &["key.created"]).await;
    let lease = sender(&world).await;
    world.create(new_key(), 1).await;
    let found = due(&world, lease, NOW).await;
    let failed = attempted(&found[0], false, Some(NOW + SECOND));
    let since = NOW - SECOND;
    world
        .store
        .settle_deliveries(lease, std::slice::from_ref(&failed), (NOW, NOW + LEASE, since))
        .await
        .unwrap()
        .unwrap();
    assert!(world.store.webhook(hook.tenant, hook.id).await.unwrap().disabled.is_none(), "not for long yet");
    let now = NOW + 10 * SECOND;
    world.store.settle_deliveries(lease, &[failed], (now, now + LEASE, now - SECOND)).await.unwrap().unwrap();
    let view = world.store.webhook(hook.tenant, hook.id).await.unwrap();
    assert!(view.disabled.is_some());
    let page = PageRequest { limit: 1, cursor: None };
    let last = world.store.audit_list(&AuditFilter::default(), &page).await.unwrap().items.remove(0);
    assert_eq!((&*last.actor, &*last.action), ("worker:webhooks", "webhook.disable"), "I20");
    let filter = NoticeFilter { kind: Some("webhook.disabled".to_owned()), ..NoticeFilter::default() };
    let told = world.store.notices(&filter, &PageRequest::default()).await.unwrap().items;
    assert_eq!((told.len(), told[0].project), (1, hook.project));
    assert!(due(&world, lease, now + LEASE).await.is_empty());
    let may = permit(Action::ChangeResources);
    let refused = world.store.test_webhook(&may, hook.id, now).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))));
    world.store.resume_webhook(&may, hook.id, now).await.unwrap();
    let again = due(&world, lease, now).await;
    assert_eq!(again.len(), 1, "what was on its way goes on");
    let gone = Attempted { is_gone: true, next_us: None, ..attempted(&again[0], false, None) };
    world.store.settle_deliveries(lease, &[gone], (now, now + LEASE, NEVER)).await.unwrap().unwrap();
    assert!(world.store.webhook(hook.tenant, hook.id).await.unwrap().disabled.is_some());
}

pub(crate) async fn tests_go_to_one_webhook_and_replays_send_the_same_again(world: World) {
    let world = world.furnished().await;
    let (may, hook) = (permit(Action::ChangeResources), hook(&world, &["key.created"]).await);
    let other = world.store.create_webhook(&may, spec("https://example.com/b", &["*"]), NOW).await.unwrap();
    let lease = sender(&world).await;
    let test = world.store.test_webhook(&may, hook.id, NOW).await.unwrap().value;
    let found = due(&world, lease, NOW).await;
    assert_eq!(found.iter().map(|one| (one.webhook, one.notice)).collect::<Vec<_>>(), [(hook.id, test)]);
    let gone = attempted(&found[0], false, None);
    world.store.settle_deliveries(lease, &[gone], (NOW, NOW + LEASE, NEVER)).await.unwrap().unwrap();
    let failed = DeliveryFilter { state: Some(DeliveryState::Failed), notice: None };
    let log = world.store.deliveries(hook.id, &failed, &PageRequest::default()).await.unwrap().items;
    assert_eq!((log.len(), log[0].status, log[0].answer.as_str()), (1, 500, "said"));
    for which in [WebhookReplay::FailedSince(NOW), WebhookReplay::One(test)] {
        assert_eq!(world.store.replay_deliveries(&may, (hook.id, which), NOW).await.unwrap().value, 1);
        let again = due(&world, lease, NOW).await;
        assert_eq!((again[0].notice, again[0].attempts), (test, 0));
    }
    let nothing = WebhookReplay::FailedSince(NOW + 1);
    assert_eq!(world.store.replay_deliveries(&may, (hook.id, nothing), NOW).await.unwrap().value, 0);
    let missing = WebhookReplay::One(test);
    let refused = world.store.replay_deliveries(&may, (other.value.0.id, missing), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })));
}

pub(crate) async fn secrets_of_webhooks_overlap_and_are_nowhere_in_the_clear(world: World) {
    let world = world.furnished().await;
    let may = permit(Action::ChangeResources);
    let made =
        world.store.create_webhook(&may, spec("https://example.com/a", &["*"]), NOW).await.unwrap().value;
    let (hook, first) = made;
    assert!(first.secret.expose().starts_with("whsec_"));
    let second = world.store.rotate_webhook_secret(&may, (hook.id, SECOND), NOW).await.unwrap().value;
    assert_ne!(first.secret.expose(), second.secret.expose());
    assert_eq!(second.overlap_until_us, Some(NOW + SECOND));
    let lease = sender(&world).await;
    world.create(new_key(), 1).await;
    assert_eq!(due(&world, lease, NOW).await.len(), 1);
    let signing = |now: i64| {
        let store = world.store.clone();
        async move { store.due_deliveries(now, (10, &HashMap::new())).await.unwrap()[0].0.secrets.len() }
    };
    assert_eq!((signing(NOW).await, signing(NOW + SECOND).await), (2, 1));
    let third =
        world.store.rotate_webhook_secret(&may, (hook.id, 10 * SECOND), NOW + 5 * SECOND).await.unwrap();
    assert_eq!(third.value.overlap_until_us, Some(NOW + 15 * SECOND));
    assert_eq!(signing(NOW + 6 * SECOND).await, 2);
    let wrong = world.store.rotate_webhook_secret(&may, (hook.id, -1), NOW).await;
    assert!(matches!(wrong, Err(StoreError::Invalid(_))));
    world.store.rewrap_secrets(&permit(Action::ChangeProviderCredentials), NOW).await.unwrap();
    assert_eq!(signing(NOW + 6 * SECOND).await, 2, "they are encrypted anew with the others");
}

pub(crate) async fn a_dead_receiver_keeps_no_more_than_a_bound_and_loses_nothing(world: World) {
    let world = world.furnished().await;
    let hook = hook(&world, &["webhook.disabled", "key.created"]).await;
    for part in 0..2_u64 {
        let secret = |number: u64| {
            let mut bytes = [7; 32];
            bytes[..8].copy_from_slice(&(part * 600 + number).to_le_bytes());
            Secret::new(bytes)
        };
        let keys = (0..600).map(|number| (new_key(), secret(number))).collect();
        world.store.create_keys(&permit(Action::ChangeKeys), keys, NOW).await.unwrap();
    }
    let lease = sender(&world).await;
    let found = due(&world, lease, NOW).await;
    assert_eq!(found.len(), 1_000);
    assert_eq!(world.store.webhook(hook.tenant, hook.id).await.unwrap().pending, 1_000);
    let taken: Vec<Attempted> = found.iter().map(|one| attempted(one, true, None)).collect();
    world.store.settle_deliveries(lease, &taken, (NOW, NOW + LEASE, NEVER)).await.unwrap().unwrap();
    let rest = due(&world, lease, NOW).await;
    assert_eq!((rest.len(), rest[0].position), (200, found[999].position + 1), "the others waited");
}

pub(crate) async fn what_waits_for_a_notice_that_is_forgotten_is_given_up(world: World) {
    let world = world.furnished().await;
    let hook = hook(&world, &["key.created"]).await;
    let lease = sender(&world).await;
    world.create(new_key(), 1).await;
    assert_eq!(due(&world, lease, NOW + LEASE).await.len(), 1);
    assert_eq!(world.store.forget_deliveries_before(NOW).await.unwrap(), 0, "its notice is kept");
    assert!(world.store.forget_notices_before(NOW + SECOND).await.unwrap() > 0);
    assert_eq!(world.store.forget_deliveries_before(NOW).await.unwrap(), 1);
    assert_eq!(world.store.webhook(hook.tenant, hook.id).await.unwrap().pending, 0, "it takes no room");
    let filter = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let page = PageRequest { limit: 10, cursor: None };
    assert_eq!(world.store.deliveries(hook.id, &filter, &page).await.unwrap().items.len(), 1);
    assert_eq!(world.store.forget_deliveries_before(NOW + 2 * LEASE).await.unwrap(), 1, "then it goes");
}

pub(crate) async fn a_deleted_webhook_takes_everything_with_it(world: World) {
    let world = world.furnished().await;
    let hook = hook(&world, &["*"]).await;
    let lease = sender(&world).await;
    world.create(new_key(), 1).await;
    assert_eq!(due(&world, lease, NOW).await.len(), 1);
    let at = WebhookAt { tenant: hook.tenant, id: hook.id, version: Some(hook.version) };
    let may = permit(Action::ChangeResources);
    world.store.delete_webhook(&may, at, NOW).await.unwrap();
    assert!(due(&world, lease, NOW).await.is_empty());
    assert!(matches!(
        world.store.find_webhook("https://example.com/a").await,
        Err(StoreError::NotFound { .. })
    ));
}
