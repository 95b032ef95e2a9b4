//! Tokens of the service API.

use tollgate_core::{authz::Action, key::Digest};
use tollgate_store::{ApplyMode, NewServiceToken, StoreError};

use crate::world::{NOW, World, furniture, permit, random};

pub(crate) async fn a_service_token_lives_and_dies(mut world: World) {
    world = world.furnished().await;
    let permit = permit(Action::ChangeServiceTokens);
    let new = |services: &[&str]| NewServiceToken {
        name: "checker".into(),
        tenant: None,
        services: services.iter().map(|name| (*name).to_owned()).collect(),
    };
    let create = async |services: &[&str], seed| {
        world.store.create_service_token(&permit, new(services), &random(seed), NOW).await
    };
    let created = create(&["maps/tiles"], 1).await.unwrap().value;
    assert!(created.token.expose().starts_with("tgs_"));
    assert!(matches!(create(&[], 2).await, Err(StoreError::Conflict(_))), "the name is taken");
    assert!(matches!(create(&["nothing"], 2).await, Err(StoreError::NotFound { .. })));
    let digest = Digest::of(created.token.expose().as_bytes());
    world.catch_up().await;
    let tables = world.snapshot.tables();
    let token = &tables.service_tokens[&digest];
    assert_eq!((token.id, token.services.len()), (created.id, 1));

    // A deleted service never turns "this one" into "all".
    let mut fewer = furniture();
    fewer.services.remove(0);
    fewer.policies[0].services = vec!["search".into()];
    world.apply(&fewer, ApplyMode { dry_run: false, prune: true }).await.unwrap();
    world.catch_up().await;
    assert_eq!(world.snapshot.tables().service_tokens[&digest].services.len(), 1);

    world.store.revoke_service_token(&permit, created.id, NOW + 1).await.unwrap();
    let head = world.store.head().await.unwrap();
    assert_eq!(world.store.revoke_service_token(&permit, created.id, NOW + 2).await.unwrap().seq, head);
    world.catch_up().await;
    assert!(world.snapshot.tables().service_tokens.is_empty());
    let listed = world.store.list_service_tokens().await.unwrap();
    assert_eq!((listed.len(), listed[0].revoked_us), (1, Some(NOW + 1)));
    let reused = world.store.create_service_token(&permit, new(&[]), &random(3), NOW).await;
    assert!(reused.is_ok(), "the name is free again");
}
