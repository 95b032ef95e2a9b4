//! Prices and budgets through `apply`, `export`, pruning and the feed.

use serde_json::{Value, json};
use tollgate_core::{
    authz::{Action, Actor, Role, authorise},
    budget::held::Level,
    id::{KeyId, UserId},
    money::{price::Provider, table::Wanted},
};
use tollgate_store::{ApplyMode, Op, StoreError};

use crate::world::{NOW, SECOND, World, furniture, new_key, permit, resources};

const PRUNE: ApplyMode = ApplyMode { dry_run: false, prune: true };

fn fields(error: StoreError) -> Vec<String> {
    match error {
        StoreError::Invalid(errors) => errors.into_iter().map(|error| error.field).collect(),
        other => panic!("{other}"),
    }
}

fn price(input: &str) -> Value {
    json!({"provider": "openai", "model": "own-*", "input": input})
}

async fn changes(world: &World, file: Value, mode: ApplyMode, now_us: i64) -> Vec<String> {
    let permit = permit(Action::ChangeResources);
    let plan = world.store.apply(&permit, &resources(file), mode, now_us).await.unwrap();
    plan.changes.iter().map(|change| format!("{} {}", change.op.name(), change.name)).collect()
}

pub(crate) async fn a_changed_price_is_a_new_version_and_the_old_one_stays(mut world: World) {
    world.apply(&furniture(), ApplyMode::default()).await.unwrap();
    let file = |input: &str| json!({"price": [price(input)]});
    assert_eq!(changes(&world, file("1"), PRUNE, NOW).await, ["create openai/own-*"]);
    assert_eq!(changes(&world, file("1"), PRUNE, NOW + SECOND).await, [""; 0]);
    assert_eq!(changes(&world, file("2"), PRUNE, NOW + SECOND).await, ["create openai/own-*"]);
    assert_eq!(changes(&world, file("2"), PRUNE, NOW + 2 * SECOND).await, [""; 0]);

    world.catch_up().await;
    let tables = world.snapshot.tables();
    let tenant = *tables.tenants.keys().next().unwrap();
    let wanted = Wanted { provider: Provider::OpenAi, model: "own-1", service_tier: None };
    let input = |wall_us| tables.prices.price(tenant, wanted, wall_us).unwrap().base.input;
    assert_eq!((input(NOW), input(NOW + SECOND)), ("1".parse().unwrap(), "2".parse().unwrap()));

    let exported = world.store.export().await.unwrap();
    assert_eq!(exported.prices.len(), 2, "{:?}", exported.prices);
    let again = world.store.apply(&permit(Action::ChangeResources), &exported, PRUNE, NOW + 3 * SECOND).await;
    assert_eq!(again.unwrap().changes, []);

    let mut begun = exported.clone();
    begun.prices[1].rates.input = "9".parse().unwrap();
    let refused = world.store.apply(&permit(Action::ChangeResources), &begun, PRUNE, NOW + 3 * SECOND).await;
    assert_eq!(fields(refused.unwrap_err()), ["price[1].effective_from"]);

    let other = json!({"price": [{"provider": "gemini", "model": "g", "input": "1"}]});
    let gone = changes(&world, other, PRUNE, NOW + 4 * SECOND).await;
    assert_eq!(gone, ["create gemini/g", "delete openai/own-*", "delete openai/own-*"]);
    world.catch_up().await;
    assert!(world.snapshot.tables().prices.price(tenant, wanted, NOW + 4 * SECOND).is_none());
    assert_eq!(world.raw("UPDATE prices SET version = version WHERE withdrawn_us IS NOT NULL").await, 2);
}

pub(crate) async fn a_version_to_come_can_be_changed_until_it_begins(world: World) {
    world.apply(&furniture(), ApplyMode::default()).await.unwrap();
    let file = |input: &str| {
        let mut later = price(input);
        later["effective_from"] = json!("2026-02-01T00:00:00Z");
        json!({"price": [price("1"), later]})
    };
    assert_eq!(changes(&world, file("2"), PRUNE, NOW).await.len(), 2);
    assert_eq!(changes(&world, file("3"), PRUNE, NOW).await, ["update openai/own-*"]);
    let only_now = json!({"price": [price("1")]});
    assert_eq!(changes(&world, only_now, PRUNE, NOW).await, ["delete openai/own-*"]);
}

pub(crate) async fn people_price_their_own_tenant_only(world: World) {
    let world = world.furnished().await;
    let tenant = *world_tables(&world).await.tenants.keys().next().unwrap();
    let actor = Actor::member(UserId(1), tenant, Role::Admin);
    let permit = authorise(&actor, Action::ChangeResources, Some(tenant)).unwrap();
    // A member that has no row has no right any more: this is about what a permit for a tenant may name.
    let written =
        json!({"price": [price("1"), {"tenant": "other", "provider": "openai", "model": "m", "input": "1"}]});
    let refused = world.store.apply(&permit, &resources(written), PRUNE, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotAuthorised(_) | StoreError::Invalid(_))), "{refused:?}");
}

async fn world_tables(world: &World) -> std::sync::Arc<tollgate_core::tables::Tables> {
    let snapshot = tollgate_core::tables::Snapshot::with_capacity(16);
    world.store.load(&snapshot).await.unwrap();
    snapshot.tables()
}

fn budget(holder: Value, amount: &str) -> Value {
    let mut budget = json!({"currency": "USD", "amount": amount, "period": "month"});
    let (target, holder) = (budget.as_object_mut().unwrap(), holder.as_object().unwrap().clone());
    target.extend(holder);
    budget
}

pub(crate) async fn budgets_reach_every_holder(mut world: World) {
    world = world.furnished().await;
    let made = world.create(new_key(), 1).await.value;
    let key = made.id;
    let file = json!({
        "consumer": [{"project": "maps", "name": "fresh"}],
        "budget": [
            budget(json!({"tenant": "acme"}), "400"),
            budget(json!({"project": "maps"}), "300"),
            budget(json!({"project": "acme/maps", "consumer": "app"}), "200"),
            budget(json!({"project": "maps", "consumer": "fresh"}), "50"),
            budget(json!({"key": key.to_string()}), "100"),
        ],
    });
    let plan = changes(&world, file.clone(), ApplyMode::default(), NOW).await;
    assert_eq!(plan.len(), 6, "{plan:?}");
    assert!(plan.contains(&"create acme/maps/fresh USD month".to_owned()), "{plan:?}");
    assert_eq!(changes(&world, file, ApplyMode::default(), NOW).await, [""; 0]);

    world.catch_up().await;
    let tables = world.snapshot.tables();
    let record = world.record(made.key.expose()).unwrap();
    let tenant = tables.projects[&record.project].tenant;
    let held = tables.budgets.of(key, record.consumer, record.project, tenant);
    let seen: Vec<(Level, &str)> = held.iter().map(|held| (held.level, &*held.holder)).collect();
    let id = key.to_string();
    assert_eq!(
        seen,
        [
            (Level::Key, id.as_str()),
            (Level::Consumer, "acme/maps/app"),
            (Level::Project, "acme/maps"),
            (Level::Tenant, "acme")
        ]
    );
    let exported = world.store.export().await.unwrap();
    assert_eq!(world.apply(&exported, PRUNE).await.unwrap().changes, []);
}

pub(crate) async fn wrong_budgets_name_their_fields(world: World) {
    let world = world.furnished().await;
    let file = resources(json!({"budget": [
        budget(json!({"project": "nowhere"}), "1"),
        budget(json!({"project": "maps", "consumer": "nobody"}), "1"),
        budget(json!({"tenant": "nobody"}), "1"),
        budget(json!({"key": KeyId(7).to_string()}), "1"),
        budget(json!({"project": "maps"}), "-1"),
        budget(json!({"project": "maps"}), "1"),
        budget(json!({"project": "acme/maps"}), "2"),
    ]}));
    let refused = world.apply(&file, ApplyMode::default()).await.unwrap_err();
    assert_eq!(
        fields(refused),
        [
            "budget[0].project",
            "budget[1].consumer",
            "budget[2].tenant",
            "budget[3].key",
            "budget[4].amount",
            "budget[6]"
        ]
    );
}

pub(crate) async fn budgets_change_in_place_and_go_by_pruning(world: World) {
    let world = world.furnished().await;
    let of = |amount: &str| budget(json!({"project": "maps", "consumer": "app"}), amount);
    let both = json!({"budget": [of("1"), budget(json!({"tenant": "acme"}), "5")]});
    changes(&world, both, ApplyMode::default(), NOW).await;
    let plan = world.apply(&resources(json!({"budget": [of("2")]})), ApplyMode::default()).await.unwrap();
    assert_eq!((plan.changes[0].op, plan.changes[0].fields.clone()), (Op::Update, vec!["amount".to_owned()]));
    // The tenant is not named by itself, so its budget stays; the consumer cannot go while it has one.
    let mut file = serde_json::to_value(furniture()).unwrap();
    file["tenant"] = json!([]);
    let gone = changes(&world, file, PRUNE, NOW).await;
    assert_eq!(gone, ["delete acme/maps/app USD month"]);
    assert_eq!(
        changes(&world, json!({"tenant": [{"name": "acme"}]}), PRUNE, NOW).await,
        ["delete acme USD month"]
    );
}
