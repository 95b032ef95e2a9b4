//! Reading and changing from inside of one tenant.

use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    id::TenantId,
    resource::{ConsumerSpec, ProjectSpec},
};
use tollgate_store::{
    AnswerKept, ApplyMode, BulkEdit, Claim, Entity, JobProgress, JobStep, KeyEdit, KeyFilter, NewJobRow,
    NewKey, PageRequest, RequestName, ResourceAt, ResourceFilter, ResourceSpec, Scope, StoreError,
};

use crate::world::{NOW, SECOND, World, new_key, permit, resources};

const DAY: i64 = 86_400 * SECOND;

/// The tenant `acme`, and beside it another with a project of the same name.
pub(crate) async fn tenants(world: &World) -> (TenantId, TenantId) {
    let beside = resources(serde_json::json!({
        "tenant": [{"name": "other"}],
        "project": [{"tenant": "other", "name": "maps"}],
        "consumer": [{"project": "other/maps", "name": "app"}],
    }));
    world.apply(&beside, ApplyMode::default()).await.unwrap();
    let snapshot = tollgate_core::tables::Snapshot::with_capacity(1);
    world.store.load(&snapshot).await.unwrap();
    let of = |name: &str| {
        snapshot.tables().tenants.iter().find(|(_, tenant)| &*tenant.name == name).map(|(id, _)| *id).unwrap()
    };
    (of("acme"), of("other"))
}

pub(crate) fn inside(tenant: TenantId, action: Action) -> Permit {
    authorise(&Actor::OsUser("test".into()), action, Some(tenant)).unwrap()
}

fn consumer(project: &str, name: &str) -> ResourceSpec {
    ResourceSpec::Consumer(ConsumerSpec {
        project: project.into(),
        name: name.into(),
        kind: Default::default(),
        external_id: None,
        metadata: Default::default(),
    })
}

pub(crate) async fn one_resource_is_created_replaced_and_deleted(world: World) {
    let world = world.furnished().await;
    let (acme, other) = tenants(&world).await;
    let permit = inside(acme, Action::ChangeResources);
    // The short name is that of the own tenant, though another has it too.
    let made = world.store.create_resource(&permit, consumer("maps", "tv"), NOW).await.unwrap();
    assert_eq!((made.value.version, made.value.project.name.as_str()), (1, "maps"));
    let twice = world.store.create_resource(&permit, consumer("maps", "tv"), NOW).await;
    assert!(matches!(twice, Err(StoreError::Conflict(_))), "{twice:?}");
    let foreign = world.store.create_resource(&permit, consumer("other/maps", "spy"), NOW).await;
    assert!(matches!(foreign, Err(StoreError::Invalid(_))), "{foreign:?}");

    let at = |tenant, version| ResourceAt { tenant, id: made.value.id, version };
    let elsewhere = world.store.replace_resource(&permit, at(other, None), consumer("maps", "tv"), NOW).await;
    assert!(matches!(elsewhere, Err(StoreError::NotFound { .. })), "{elsewhere:?}");
    let same =
        world.store.replace_resource(&permit, at(acme, Some(1)), consumer("maps", "tv"), NOW).await.unwrap();
    assert_eq!((same.value.version, same.seq), (1, made.seq), "what is so already is no change");
    let renamed = world.store.replace_resource(&permit, at(acme, None), consumer("maps", "radio"), NOW).await;
    assert!(matches!(renamed, Err(StoreError::Invalid(_))), "{renamed:?}");
    let stale = world.store.delete_resource(&permit, at(acme, Some(9)), NOW).await;
    assert!(matches!(stale, Err(StoreError::Outdated { version: 1, .. })), "{stale:?}");
    world.store.delete_resource(&permit, at(acme, Some(1)), NOW).await.unwrap();
    let gone = world.store.resource(&Scope::whole(acme), made.value.id).await;
    assert!(matches!(gone, Err(StoreError::NotFound { .. })), "{gone:?}");
    world.store.audit_verify().await.unwrap().unwrap();
}

pub(crate) async fn a_project_goes_only_when_it_is_empty(world: World) {
    let world = world.furnished().await;
    let (acme, _) = tenants(&world).await;
    let permit = inside(acme, Action::ChangeResources);
    let maps = world.store.project_of(acme, "maps").await.unwrap();
    let at = |id| ResourceAt { tenant: acme, id: tollgate_store::ResourceId::Project(id), version: None };
    let full = world.store.delete_resource(&permit, at(maps.id), NOW).await;
    assert!(matches!(full, Err(StoreError::Conflict(_))), "{full:?}");
    let spec = ProjectSpec { tenant: "acme".into(), name: "empty".into(), key_prefix: "em".into() };
    world.store.create_resource(&permit, ResourceSpec::Project(spec), NOW).await.unwrap();
    let empty = world.store.project_of(acme, "acme/empty").await.unwrap();
    world.store.delete_resource(&permit, at(empty.id), NOW).await.unwrap();
    assert!(world.store.project_of(acme, "empty").await.is_err());
}

pub(crate) async fn a_tenant_is_read_without_the_others(world: World) {
    let world = world.furnished().await;
    let (acme, other) = tenants(&world).await;
    for (tenant, count) in [(acme, 1), (other, 1)] {
        for kind in [Entity::Project, Entity::Consumer] {
            let filter = ResourceFilter::all(Scope::whole(tenant), kind);
            let page = world.store.list_resources(&filter, &PageRequest::default()).await.unwrap();
            assert_eq!(page.items.len(), count, "{kind}");
        }
    }
    let export = world.store.export_of(other).await.unwrap();
    assert_eq!((export.services.len(), export.consumers.len()), (0, 1));
    let nobody = Scope { tenant: acme, consumers: Some(Vec::new()) };
    let filter = ResourceFilter::all(nobody, Entity::Policy);
    assert!(world.store.list_resources(&filter, &PageRequest::default()).await.unwrap().items.is_empty());
    assert!(matches!(world.store.service_of(other, "tiles").await, Err(StoreError::NotFound { .. })));
}

pub(crate) async fn keys_are_edited_one_and_many(world: World) {
    let mut world = world.furnished().await;
    let permit = permit(Action::ChangeKeys);
    let id = world.create(new_key(), 1).await.value.id;
    for seed in 2..=5 {
        world.create(new_key(), seed).await;
    }
    let edit = |version, name: Option<&str>| KeyEdit {
        id,
        version,
        name: Some(name.map(str::to_owned)),
        policy: Some(Some("open".into())),
        expires_us: None,
        metadata: None,
    };
    let done = world.store.edit_key(&permit, edit(Some(1), Some("n")), NOW).await.unwrap().value;
    assert_eq!((done.version, done.policy.unwrap().name.as_str()), (2, "open"));
    let stale = world.store.edit_key(&permit, edit(Some(1), None), NOW).await;
    assert!(matches!(stale, Err(StoreError::Outdated { version: 2, .. })), "{stale:?}");
    world.catch_up().await;
    let tag = BulkEdit::Tag { set: [("wave".to_owned(), "1".to_owned())].into(), remove: Vec::new() };
    let all = KeyFilter { project: Some("acme/maps".into()), ..KeyFilter::default() };
    let tenant = tenants(&world).await.0;
    let begun = async |run| {
        let new = NewJobRow { tenant, actor: "usr_a".into(), request: "{}".into(), total: 5, run };
        world.store.begin_job(&permit, new, NOW).await.unwrap()
    };
    let (first, second) = (begun(7).await, begun(7).await);
    let step = async |job, run| world.store.step_job(&permit, (job, run), (&all, &tag), NOW).await.unwrap();
    assert_eq!(step(first, 8).await, JobStep::NotOurs, "another run's");
    assert_eq!(step(first, 7).await, JobStep::Done);
    assert_eq!(step(first, 7).await, JobStep::NotOurs, "it has ended");
    let row = world.store.job(tenant, first, NOW).await.unwrap();
    assert_eq!((row.done, row.changed, row.progress), (5, 5, JobProgress::Done));
    let tagged = KeyFilter { metadata: Some(("wave".into(), "1".into())), ..all.clone() };
    assert_eq!(world.store.count_keys_of(&tagged).await.unwrap(), 5);
    assert_eq!(step(second, 7).await, JobStep::Done);
    assert_eq!(world.store.job(tenant, second, NOW).await.unwrap().changed, 0, "they were so already");
    let of = |job| KeyFilter { job: Some(job), ..all.clone() };
    assert_eq!(world.store.count_keys_of(&of(first)).await.unwrap(), 5);
    assert_eq!(world.store.count_keys_of(&of(second)).await.unwrap(), 0);
    let preview = world.store.preview_keys(&all, 0).await.unwrap();
    assert_eq!((preview.keys, preview.live, preview.used, preview.addresses), (5, 5, 0, 0));
    world.store.audit_verify().await.unwrap().unwrap();
}

pub(crate) async fn a_step_of_a_job_looks_at_no_more_keys_than_it_may(world: World) {
    let world = world.furnished().await;
    let permit = permit(Action::ChangeKeys);
    let rare = NewKey { metadata: [("wave".to_owned(), "1".to_owned())].into(), ..new_key() };
    world.create(rare, 1).await;
    world
        .raw(
            "INSERT INTO keys (id, project, consumer, environment, state, expires_us, prefix, last4, created_us, \
             version, generation) WITH RECURSIVE many (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 6000) \
             SELECT n, project, consumer, environment, state, expires_us, prefix, last4, created_us + n, 1, 0 \
             FROM keys, many",
        )
        .await;
    let tagged = KeyFilter {
        project: Some("acme/maps".into()),
        metadata: Some(("wave".into(), "1".into())),
        ..KeyFilter::default()
    };
    let edit = BulkEdit::Tag { set: [("wave".to_owned(), "2".to_owned())].into(), remove: Vec::new() };
    let tenant = tenants(&world).await.0;
    let new = NewJobRow { tenant, actor: "usr_a".into(), request: "{}".into(), total: 1, run: 7 };
    let job = world.store.begin_job(&permit, new, NOW).await.unwrap();
    let step = async || world.store.step_job(&permit, (job, 7), (&tagged, &edit), NOW).await.unwrap();
    assert_eq!(step().await, JobStep::More, "the tagged key is behind 6,000 others");
    assert_eq!(world.store.job(tenant, job, NOW).await.unwrap().changed, 0);
    assert_eq!(step().await, JobStep::Done);
    assert_eq!(world.store.job(tenant, job, NOW).await.unwrap().changed, 1);
}

pub(crate) async fn a_named_request_is_claimed_once(world: World) {
    let world = world.furnished().await;
    let (acme, other) = tenants(&world).await;
    let digest = |byte| tollgate_core::key::Digest([byte; 32]);
    let name = RequestName { tenant: acme, actor: "usr_a".into(), name: digest(1), request: digest(2) };
    let store = &world.store;
    assert_eq!(store.claim_request(&name, NOW).await.unwrap(), Claim::New);
    assert_eq!(store.claim_request(&name, NOW).await.unwrap(), Claim::UnderWay);
    store.release_request(&name).await.unwrap();
    assert_eq!(store.claim_request(&name, NOW).await.unwrap(), Claim::New);
    let kept = AnswerKept { status: 201, body: "{}".into() };
    store.keep_answer(&name, kept.clone()).await.unwrap();
    store.release_request(&name).await.unwrap();
    assert_eq!(
        store.claim_request(&name, NOW).await.unwrap(),
        Claim::Answered(kept),
        "an answer is not given back"
    );
    let different = RequestName { request: digest(3), ..name.clone() };
    assert_eq!(store.claim_request(&different, NOW).await.unwrap(), Claim::Other);
    let elsewhere = RequestName { tenant: other, ..name.clone() };
    assert_eq!(store.claim_request(&elsewhere, NOW).await.unwrap(), Claim::New);
    assert_eq!(store.claim_request(&name, NOW + DAY + 1).await.unwrap(), Claim::New, "kept for a day");
}
