//! Rights are those of the moment that changes something, not of the moment that asked for it (I21).

use tollgate_core::{
    authz::{Action, Actor, Role, authorise},
    key::Digest,
    keyring::KeyState,
};
use tollgate_store::{NewInvitation, ResourceAt, ResourceId, StoreError};

use crate::{
    people::{member, own, place},
    world::{NOW, World, new_key, permit},
};

pub(crate) async fn who_lost_the_right_meanwhile_changes_nothing(world: World) {
    let place = place(world).await;
    let admin = place.member("admin@example.com", Role::Admin, 1).await;
    let developer = place.member("dev@example.com", Role::Developer, 2).await;
    let key = place.world.create(new_key(), 3).await.value.id;
    let consumer = place.store().key_of(place.tenant, key).await.unwrap().key.consumer.id;
    let by_owner = place.by(place.owner, Role::Owner, Action::ChangeOwners);
    let store = place.store();
    let mapped = [consumer];
    store.map_member(&by_owner, member(place.tenant, developer), &mapped, NOW).await.unwrap();

    // All of these were given while it was so.
    let invite = place.by(admin, Role::Admin, Action::ChangeMembers);
    let revoke = place.by(admin, Role::Admin, Action::ChangeKeys);
    let actor = Actor::Member {
        user: developer,
        tenant: place.tenant,
        role: Role::Developer,
        consumers: mapped.into(),
    };
    let tend = authorise(&actor, Action::TendKeys, Some(place.tenant)).unwrap();
    store.set_key_state(&tend, key, KeyState::Disabled, NOW).await.unwrap();

    store.map_member(&by_owner, member(place.tenant, developer), &[], NOW).await.unwrap();
    let refused = store.set_key_state(&tend, key, KeyState::Revoked, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotCovered { .. })), "{refused:?}");
    store.set_member_role(&by_owner, member(place.tenant, admin), Role::Auditor, NOW).await.unwrap();
    let refused = store.set_key_state(&revoke, key, KeyState::Revoked, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotAuthorised(_))), "{refused:?}");
    store.remove_member(&by_owner, member(place.tenant, admin), NOW).await.unwrap();
    let head = store.head().await.unwrap();
    let refused = store.invite(&invite, place.invitation("back@example.com", Role::Admin, 9), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotAuthorised(_))), "{refused:?}");
    assert_eq!(store.head().await.unwrap(), head, "nothing was changed");
    assert!(store.list_invitations(place.tenant, NOW).await.unwrap().is_empty());
}

pub(crate) async fn an_invitation_is_good_while_its_sender_may_send_it(world: World) {
    let place = place(world).await;
    let store = place.store();
    let sender = place.member("sender@example.com", Role::Owner, 1).await;
    let guest = place.member("guest@example.com", Role::Auditor, 2).await;
    let invite = place.by(sender, Role::Owner, Action::ChangeOwners);
    store.invite(&invite, place.invitation("new@example.com", Role::Owner, 3), NOW).await.unwrap();
    let digest = Digest::of(&[3]);
    assert!(store.invitation(digest, NOW).await.unwrap().is_some());
    for role in ["admin", "developer"] {
        let text = format!("UPDATE members SET role = '{role}' WHERE account = {}", sender.to_sql());
        place.world.raw(&text).await;
        assert_eq!(store.invitation(digest, NOW).await.unwrap(), None, "{role}");
        let own = own(guest, Action::ChangeOwnAccount);
        assert!(store.join_by_invitation(&own, (digest, guest), NOW).await.unwrap().is_none(), "{role}");
    }
}

pub(crate) async fn a_consumer_deleted_since_an_invitation_is_left_out(world: World) {
    let place = place(world).await;
    let store = place.store();
    let consumer = store.consumer_of(place.tenant, "app").await.unwrap().id;
    let guest = place.member("guest@example.com", Role::Auditor, 1).await;
    let invite = place.by(place.owner, Role::Owner, Action::ChangeOwners);
    let remove = member(place.tenant, guest);
    store.remove_member(&invite, remove, NOW).await.unwrap();
    let invitation = place.invitation("guest@example.com", Role::Developer, 2);
    store.invite(&invite, NewInvitation { consumers: vec![consumer], ..invitation }, NOW).await.unwrap();
    let at = ResourceAt { tenant: place.tenant, id: ResourceId::Consumer(consumer), version: None };
    store.delete_resource(&permit(Action::ChangeResources), at, NOW).await.unwrap();
    let own = own(guest, Action::ChangeOwnAccount);
    store.join_by_invitation(&own, (Digest::of(&[2]), guest), NOW).await.unwrap().unwrap();
    assert_eq!(*store.member(place.tenant, guest).await.unwrap().consumers, []);
}
