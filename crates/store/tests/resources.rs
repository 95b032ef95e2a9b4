//! `apply`, `export`, pruning.

use serde_json::json;
use tollgate_core::{
    authz::{Action, Actor, authorise},
    id::TenantId,
    keyring::KeyState,
};
use tollgate_store::{ApplyMode, Entity, Op, StoreError};

use crate::world::{NOW, World, furniture, new_key, permit, resources};

const PRUNE: ApplyMode = ApplyMode { dry_run: false, prune: true };

fn fields(error: StoreError) -> Vec<String> {
    match error {
        StoreError::Invalid(errors) => errors.into_iter().map(|error| error.field).collect(),
        other => panic!("{other}"),
    }
}

pub(crate) async fn applying_twice_changes_nothing(world: World) {
    let first = world.apply(&furniture(), ApplyMode::default()).await.unwrap();
    assert_eq!(first.changes.len(), 7);
    assert!(first.changes.iter().all(|change| change.op == Op::Create));
    assert_eq!(first.changes[0].name, "acme");
    assert_eq!(first.seq, 7, "one number a change");
    let second = world.apply(&furniture(), PRUNE).await.unwrap();
    assert_eq!(second.changes, []);
    assert_eq!((second.seq, world.store.head().await.unwrap()), (0, 7));
}

pub(crate) async fn applying_an_export_changes_nothing(world: World) {
    let world = world.furnished().await;
    let exported = world.store.export().await.unwrap();
    assert_eq!(exported.services[0].project, "maps");
    assert_eq!(exported.consumers[0].metadata["tier"], "gold");
    assert_eq!(world.apply(&exported, PRUNE).await.unwrap().changes, []);
}

pub(crate) async fn a_dry_run_changes_nothing(world: World) {
    let dry = ApplyMode { dry_run: true, prune: false };
    let plan = world.apply(&furniture(), dry).await.unwrap();
    assert_eq!((plan.changes.len(), plan.seq), (7, 0));
    assert_eq!(world.store.export().await.unwrap(), resources(json!({})));
    assert_eq!(world.store.head().await.unwrap(), 0);
}

pub(crate) async fn everything_wrong_is_said_at_once(world: World) {
    let bad = resources(json!({
        "tenant": [{"name": "acme"}, {"name": "no spaces"}],
        "project": [{"tenant": "acme", "name": "maps"}, {"tenant": "nobody", "name": "x", "key_prefix": "UP"}],
        "service": [{"project": "maps", "name": "tiles", "kind": "proxy", "match": {}, "upstreams": ["ftp://x"]}],
        "policy": [
            {"project": "maps", "name": "a"},
            {"project": "elsewhere", "name": "b"},
            {"project": "maps", "name": "c", "services": ["absent"],
             "limit": [{"name": "l", "amount": 0, "window": "1m"}]},
            {"project": "maps", "name": "a"},
        ],
        "consumer": [{"project": "maps", "name": "x", "external_id": "a\nb"}],
    }));
    let mut fields = fields(world.apply(&bad, ApplyMode::default()).await.unwrap_err());
    fields.sort();
    assert_eq!(
        fields,
        [
            "consumer[0].external_id",
            "policy[1].project",
            "policy[2].limit[0].amount",
            "policy[2].services[0]",
            "policy[3].name",
            "project[1].key_prefix",
            "project[1].tenant",
            "service[0].match",
            "service[0].upstreams[0]",
            "tenant[1].name",
        ]
    );
    assert_eq!(world.store.head().await.unwrap(), 0, "nothing was changed");
}

pub(crate) async fn services_that_tie_are_refused(world: World) {
    let world = world.furnished().await;
    let tie = resources(json!({
        "project": [{"tenant": "acme", "name": "other"}],
        "service": [{"project": "other", "name": "again", "kind": "proxy", "match": {"path_prefix": "/tiles/"},
                     "upstreams": ["http://127.0.0.1:9000"]}],
    }));
    // Another spelling of the prefix, in another project, still takes the same requests.
    let fields = fields(world.apply(&tie, ApplyMode::default()).await.unwrap_err());
    assert!(fields.contains(&"service[0].match".to_owned()), "{fields:?}");
}

pub(crate) async fn an_update_names_its_fields(world: World) {
    let world = world.furnished().await;
    let mut changed = furniture();
    changed.policies[0].scopes = Some(vec!["read".into()]);
    changed.policies[0].limits.clear();
    changed.projects[0].key_prefix = "new".into();
    let plan = world.apply(&changed, ApplyMode::default()).await.unwrap();
    let said: Vec<_> = plan
        .changes
        .iter()
        .map(|change| (change.op, change.kind, change.name.as_str(), &change.fields))
        .collect();
    assert_eq!(
        said,
        [
            (Op::Update, Entity::Project, "acme/maps", &vec!["key_prefix".to_owned()]),
            (
                Op::Update,
                Entity::Policy,
                "acme/maps/standard",
                &vec!["limit".to_owned(), "scopes".to_owned()]
            ),
        ]
    );
    assert_eq!(world.store.export().await.unwrap().policies[1], changed.policies[0]);
}

pub(crate) async fn pruning_deletes_what_is_not_named(mut world: World) {
    world = world.furnished().await;
    world.catch_up().await;
    let more = resources(json!({"project": [{"tenant": "acme", "name": "spare"}],
        "consumer": [{"project": "spare", "name": "stays"}]}));
    world.apply(&more, ApplyMode::default()).await.unwrap();
    let mut fewer = furniture();
    fewer.services.pop();
    fewer.policies.pop();
    fewer.consumers.clear();
    let plan = world.apply(&fewer, PRUNE).await.unwrap();
    let names: Vec<_> = plan.changes.iter().map(|change| (change.op, change.name.as_str())).collect();
    assert_eq!(
        names,
        [(Op::Delete, "acme/maps/app"), (Op::Delete, "acme/maps/open"), (Op::Delete, "acme/maps/search")]
    );
    world.catch_up().await;
    assert_eq!((world.snapshot.tables().services.len(), world.snapshot.tables().policies.len()), (1, 1));
    assert_eq!(
        world.snapshot.consumers.pin().len(),
        1,
        "the deleted consumer is gone, the other project's stays"
    );
    // A service that a policy of the same project still grants cannot go.
    let mut granted = fewer.clone();
    granted.services.clear();
    let fields = fields(world.apply(&granted, PRUNE).await.unwrap_err());
    assert_eq!(fields, ["policy[0].services[0]"]);
}

pub(crate) async fn pruning_spares_what_live_keys_need(world: World) {
    let world = world.furnished().await;
    let key = world.create(new_key(), 1).await.value;
    let mut fewer = furniture();
    fewer.consumers.clear();
    fewer.policies.remove(0);
    let refused = world.apply(&fewer, PRUNE).await.unwrap_err();
    assert_eq!(fields(refused), ["prune", "prune"]);
    world.store.set_key_state(&permit(Action::ChangeKeys), key.id, KeyState::Revoked, NOW).await.unwrap();
    assert_eq!(world.apply(&fewer, PRUNE).await.unwrap().changes.len(), 2);
    let shown = world.store.show_key(&key.id.to_string()).await.unwrap();
    assert_eq!(shown.key.consumer.name, shown.key.consumer.id.to_string(), "the revoked key is still shown");
}

pub(crate) async fn short_names_must_be_clear(world: World) {
    let world = world.furnished().await;
    let twin =
        resources(json!({"tenant": [{"name": "zeta"}], "project": [{"tenant": "zeta", "name": "maps"}]}));
    world.apply(&twin, ApplyMode::default()).await.unwrap();
    let short = resources(json!({"consumer": [{"project": "maps", "name": "x"}]}));
    let error = world.apply(&short, ApplyMode::default()).await.unwrap_err();
    assert!(error.to_string().contains("acme/maps, zeta/maps"), "{error}");
    let full = resources(json!({"consumer": [{"project": "zeta/maps", "name": "x"}]}));
    assert_eq!(world.apply(&full, ApplyMode::default()).await.unwrap().changes.len(), 1);
    let exported = world.store.export().await.unwrap();
    assert_eq!(exported.services[0].project, "acme/maps");
    assert_eq!(world.apply(&exported, PRUNE).await.unwrap().changes, []);
}

pub(crate) async fn a_permit_for_another_tenant_is_refused(world: World) {
    let world = world.furnished().await;
    let foreign = TenantId(42);
    let actor = Actor::OsUser("test".into());
    let permit = authorise(&actor, Action::ChangeResources, Some(foreign)).unwrap();
    // Another tenant's project looks absent, and its services cannot be taken over.
    let policy = resources(json!({"policy": [{"project": "acme/maps", "name": "standard", "services": []}]}));
    let refused = world.store.apply(&permit, &policy, ApplyMode::default(), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::Invalid { .. }), "{refused:?}");
    let refused = world.store.apply(&permit, &furniture(), ApplyMode::default(), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::Invalid { .. }), "{refused:?}");
    let new_tenant = resources(json!({"tenant": [{"name": "mine"}]}));
    let refused = world.store.apply(&permit, &new_tenant, ApplyMode::default(), NOW).await.unwrap_err();
    assert!(matches!(refused, StoreError::NotCovered { .. }), "{refused}");
    assert_eq!(world.store.head().await.unwrap(), 7);
}
