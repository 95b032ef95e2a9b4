//! What one tenant of several writes reaches the public internet alone; what the operator writes reaches anywhere.

use tollgate_core::{
    authz::Action,
    id::TenantId,
    predict_spec::ModelSpec,
    reach::Hold,
    resource::{Resources, ServiceSpec},
};
use tollgate_store::{ApplyMode, OpenOptions, ResourceAt, ResourceId, ResourceSpec, Store, StoreError};

use crate::{
    tenants::{inside, tenants},
    world::{NOW, World, resources},
};

fn service(name: &str, upstream: &str) -> ServiceSpec {
    serde_json::from_value(serde_json::json!({
        "project": "maps", "name": name, "kind": "proxy", "match": {"path_prefix": format!("/{name}")},
        "upstreams": [upstream],
    }))
    .unwrap()
}

/// Creates a service as a tenant does; whether it is held to the public internet where there are several.
async fn create(store: &Store, tenant: TenantId, new: ServiceSpec) -> Result<(ResourceAt, bool), StoreError> {
    let permit = inside(tenant, Action::ChangeResources);
    let made = store.create_resource(&permit, ResourceSpec::Service(Box::new(new)), NOW).await?.value;
    Ok((ResourceAt { tenant, id: made.id, version: None }, held(&made.spec)))
}

async fn replace(store: &Store, at: ResourceAt, new: ServiceSpec) -> Result<bool, StoreError> {
    let permit = inside(at.tenant, Action::ChangeResources);
    let made = store.replace_resource(&permit, at, ResourceSpec::Service(Box::new(new)), NOW).await?.value;
    Ok(held(&made.spec))
}

fn held(spec: &ResourceSpec) -> bool {
    match spec {
        ResourceSpec::Service(spec) => spec.marks().hold(2) == Hold::Internet,
        ResourceSpec::Model(spec) => {
            spec.remote.as_ref().is_some_and(|remote| remote.marks().hold(2) == Hold::Internet)
        }
        _ => false,
    }
}

fn fields<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> Vec<String> {
    match outcome.unwrap_err() {
        StoreError::Invalid(errors) => {
            assert!(
                errors.iter().all(|error| error.problem.contains("upstreams.allow_private")),
                "{errors:?}"
            );
            errors.into_iter().map(|error| error.field).collect()
        }
        other => panic!("{other:?}"),
    }
}

async fn operator(world: &World, services: &[ServiceSpec]) {
    let services =
        services.iter().map(|spec| ServiceSpec { project: "acme/maps".into(), ..spec.clone() }).collect();
    let all = Resources { services, ..Resources::default() };
    world.apply(&all, ApplyMode::default()).await.unwrap();
}

pub(crate) async fn a_tenant_alone_may_reach_its_own_network(world: World) {
    let world = world.furnished().await;
    let snapshot = tollgate_core::tables::Snapshot::with_capacity(1);
    world.store.load(&snapshot).await.unwrap();
    let acme = *snapshot.tables().tenants.keys().next().unwrap();
    let (at, is_held) = create(&world.store, acme, service("own", "http://127.0.0.1:9000")).await.unwrap();
    // But no metadata; and it will be held when others come, whatever else is changed of it.
    assert!(is_held);
    assert_eq!(
        fields(create(&world.store, acme, service("meta", "http://169.254.169.254")).await),
        ["upstreams[0]"]
    );
    let same = |retries| ServiceSpec { retries, ..service("own", "http://127.0.0.1:9000") };
    assert!(replace(&world.store, at, same(2)).await.unwrap());
    tenants(&world).await;
    assert!(replace(&world.store, at, same(3)).await.unwrap());
    assert_eq!(
        fields(replace(&world.store, at, service("own", "http://127.0.0.1:9001")).await),
        ["upstreams[0]"]
    );
    assert!(replace(&world.store, at, service("own", "http://inside.example.com")).await.unwrap());
}

pub(crate) async fn one_tenant_of_several_reaches_the_internet_alone(world: World) {
    let world = world.furnished().await;
    let (acme, _) = tenants(&world).await;
    let store = &world.store;
    for upstream in
        ["http://127.0.0.1:9000", "http://10.0.0.1", "http://169.254.169.254", "http://localhost:8081"]
    {
        assert_eq!(
            fields(create(store, acme, service("in", upstream)).await),
            ["upstreams[0]"],
            "{upstream}"
        );
    }
    // A name is judged when it is connected to, which the mark is for; the tenant cannot take it away.
    let (at, is_held) = create(store, acme, service("out", "https://api.example.com")).await.unwrap();
    assert!(is_held);
    assert!(replace(store, at, service("out", "https://api.example.com")).await.unwrap());
    let whole = resources(serde_json::json!({ "service": [service("doc", "http://192.168.0.1")] }));
    let permit = inside(acme, Action::ChangeResources);
    let applied = store.apply(&permit, &whole, ApplyMode::default(), NOW).await;
    assert_eq!(fields(applied), ["service[0].upstreams[0]"]);
    // The operator writes what there is, and may take the mark away; a tenant keeps what the operator wrote.
    operator(&world, &[service("out", "https://api.example.com"), service("host", "http://10.0.0.1")]).await;
    assert!(!replace(store, at, service("out", "https://api.example.com")).await.unwrap());
    let list = store.export_of(acme).await.unwrap().services;
    assert!(list.iter().all(|spec| !spec.internet_only && !spec.by_tenant), "{list:?}");
}

pub(crate) async fn what_the_only_tenant_wrote_the_operator_may_make_its_own(world: World) {
    let world = world.furnished().await;
    let snapshot = tollgate_core::tables::Snapshot::with_capacity(1);
    world.store.load(&snapshot).await.unwrap();
    let acme = *snapshot.tables().tenants.keys().next().unwrap();
    let (at, is_held) = create(&world.store, acme, service("own", "http://127.0.0.1:9000")).await.unwrap();
    assert!(is_held);
    operator(&world, &[service("own", "http://127.0.0.1:9000")]).await;
    tenants(&world).await;
    let same = ServiceSpec { retries: 3, ..service("own", "http://127.0.0.1:9000") };
    assert!(!replace(&world.store, at, same).await.unwrap());
}

pub(crate) async fn the_operator_allows_networks(world: World) {
    let world = world.furnished().await;
    let (acme, _) = tenants(&world).await;
    let allowed = vec!["10.0.0.0/8".parse().unwrap()];
    let refused = vec!["10.9.0.0/16".parse().unwrap(), "8.8.8.8/32".parse().unwrap()];
    let options =
        OpenOptions { upstreams_allow_private: allowed, egress_deny: refused, ..OpenOptions::default() };
    let store = Store::open(&world.url, options).await.unwrap();
    for upstream in ["http://10.9.0.1", "https://8.8.8.8"] {
        assert_eq!(
            fields(create(&store, acme, service("no", upstream)).await),
            ["upstreams[0]"],
            "{upstream}"
        );
    }
    assert!(create(&store, acme, service("in", "http://10.1.2.3")).await.unwrap().1);
    assert_eq!(fields(create(&store, acme, service("other", "http://192.168.0.1")).await), ["upstreams[0]"]);
}

pub(crate) async fn remote_models_are_held_as_services_are(world: World) {
    let world = world.furnished().await;
    let (acme, _) = tenants(&world).await;
    let permit = inside(acme, Action::ChangeResources);
    let model = |url: &str| -> Box<ModelSpec> {
        serde_json::from_value(serde_json::json!({
            "project": "maps", "name": "fraud", "remote": {"protocol": "kserve-v2", "url": url},
            "input": [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}],
        }))
        .unwrap()
    };
    let inside =
        world.store.create_resource(&permit, ResourceSpec::Model(model("http://127.0.0.1:8000")), NOW).await;
    assert_eq!(fields(inside), ["remote.url"]);
    let new = ResourceSpec::Model(model("https://models.example.com"));
    let made = world.store.create_resource(&permit, new, NOW).await.unwrap().value;
    assert!(held(&made.spec) && matches!(made.id, ResourceId::Model(_)));
}
