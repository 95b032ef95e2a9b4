//! People: the last owner stays (I21), tokens are kept hashed, links are good once, and the audit
//! knows everything but secrets (I20).

use std::{net::Ipv4Addr, sync::Arc};

use tollgate_core::{
    authz::{Action, Actor, Permit, Role, authorise},
    id::{ConsumerId, SessionId, TenantId, UserId},
    key::Digest,
    secret::Secret,
};
use tollgate_store::{
    MemberRef, NewInstallation, NewInvitation, NewReset, NewSession, Newcomer, OwnChange, PageRequest,
    SessionChange, SessionLimits, SessionLookup, Store, StoreError,
};

use crate::world::{NOW, SECOND, World, permit};

pub(crate) const HOUR: i64 = 3600 * SECOND;
pub(crate) const LIMITS: SessionLimits = SessionLimits { idle_us: HOUR / 2, life_us: 12 * HOUR };
pub(crate) const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2g";

pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) tenant: TenantId,
    pub(crate) owner: UserId,
}

/// An installation with an owner, and the furniture of `acme`.
pub(crate) async fn place(world: World) -> Place {
    let new = NewInstallation {
        tenant: "acme".into(),
        owner_email: "Owner@example.com".into(),
        password_hash: Secret::new(HASH.into()),
    };
    let made = world.store.init(&permit(Action::Initialise), new, NOW).await.unwrap().value;
    let world = world.furnished().await;
    Place { world, tenant: made.tenant, owner: made.owner }
}

impl Place {
    pub(crate) fn store(&self) -> &Store {
        &self.world.store
    }

    pub(crate) fn by(&self, user: UserId, role: Role, action: Action) -> Permit {
        authorise(&Actor::member(user, self.tenant, role), action, Some(self.tenant)).unwrap()
    }

    pub(crate) fn invitation(&self, email: &str, role: Role, token: u8) -> NewInvitation {
        NewInvitation {
            tenant: self.tenant,
            email: email.into(),
            role,
            consumers: vec![],
            digest: Digest::of(&[token]),
            expires_us: NOW + HOUR,
        }
    }

    /// A new member, by invitation.
    pub(crate) async fn member(&self, email: &str, role: Role, token: u8) -> UserId {
        let invite = self.by(self.owner, Role::Owner, Action::ChangeOwners);
        self.store().invite(&invite, self.invitation(email, role, token), NOW).await.unwrap();
        let newcomer = newcomer(1000 + u64::from(token));
        let own = own(newcomer.id, Action::ChangeOwnAccount);
        let joined =
            self.store().accept_invitation(&own, (Digest::of(&[token]), &newcomer), NOW).await.unwrap();
        assert_eq!(joined.unwrap().value, self.tenant);
        newcomer.id
    }

    pub(crate) fn session(&self, user: UserId, digest: Digest) -> NewSession {
        NewSession {
            digest,
            account: user,
            proven: None,
            tenant: self.tenant,
            method: "password".into(),
            signed_in_us: NOW,
            address: Ipv4Addr::LOCALHOST.into(),
            user_agent: "test".into(),
        }
    }

    pub(crate) async fn sign_in(&self, user: UserId, token: u8) -> SessionId {
        let new = self.session(user, Digest::of(&[token]));
        self.store().start_session(&own(user, Action::UseOwnAccount), new, LIMITS, NOW).await.unwrap().value
    }

    pub(crate) async fn lookup(&self, token: u8, now: i64) -> Option<(UserId, Role)> {
        match self.store().session(Digest::of(&[token]), LIMITS, now).await.unwrap() {
            SessionLookup::Good(session) => Some((session.account, session.role)),
            SessionLookup::Expired | SessionLookup::Unknown => None,
        }
    }

    async fn owners(&self) -> Vec<UserId> {
        let members = self.store().list_members(self.tenant, &PageRequest::default()).await.unwrap().items;
        members.iter().filter(|member| member.role == Role::Owner).map(|member| member.account).collect()
    }
}

pub(crate) fn own(user: UserId, action: Action) -> Permit {
    authorise(&Actor::Person(user), action, None).unwrap()
}

pub(crate) fn newcomer(id: u64) -> Newcomer {
    Newcomer { id: UserId(id), name: String::new(), password_hash: Secret::new(HASH.into()) }
}

pub(crate) const fn member(tenant: TenantId, account: UserId) -> MemberRef {
    MemberRef { tenant, account, version: None }
}

pub(crate) async fn the_owner_of_init_can_sign_in(world: World) {
    let place = place(world).await;
    let account = place.store().account_by_login(" oWNER@example.com").await.unwrap().unwrap();
    assert_eq!((account.id, account.email.as_str()), (place.owner, "Owner@example.com"));
    assert_eq!(account.password_hash.unwrap().expose(), HASH);
    let memberships = place.store().memberships(place.owner).await.unwrap();
    assert_eq!((memberships[0].tenant.name.as_str(), memberships[0].role), ("acme", Role::Owner));
    assert!(place.store().account_by_login("nobody@example.com").await.unwrap().is_none());
}

pub(crate) async fn sessions_end_by_their_limits(world: World) {
    let place = place(world).await;
    place.sign_in(place.owner, 1).await;
    assert_eq!(place.lookup(1, NOW).await, Some((place.owner, Role::Owner)));
    assert_eq!(place.lookup(2, NOW).await, None);
    // Each use begins the idle time anew, up to the absolute end.
    let mut now = NOW;
    while now + 20 * 60 * SECOND < NOW + LIMITS.life_us {
        now += 20 * 60 * SECOND;
        assert!(place.lookup(1, now).await.is_some(), "used every twenty minutes");
    }
    assert_eq!(place.lookup(1, NOW + LIMITS.life_us).await, None, "absolute");
    place.sign_in(place.owner, 3).await;
    assert!(place.lookup(3, NOW + LIMITS.idle_us - 1).await.is_some());
    place.sign_in(place.owner, 4).await;
    assert_eq!(place.lookup(4, NOW + LIMITS.idle_us).await, None, "idle");
    let shorter = SessionLimits { life_us: 60 * SECOND, ..LIMITS };
    let lookup = place.store().session(Digest::of(&[3]), shorter, NOW + 61 * SECOND).await.unwrap();
    assert!(matches!(lookup, SessionLookup::Expired), "limits of today hold for sessions of yesterday");
    assert_eq!(place.store().forget_ended(LIMITS, NOW + LIMITS.life_us).await.unwrap(), 3);
}

pub(crate) async fn sessions_are_listed_and_ended_by_whom_they_belong_to(world: World) {
    let place = place(world).await;
    let admin = place.member("admin@example.com", Role::Admin, 10).await;
    let other = place.member("dev@example.com", Role::Developer, 11).await;
    let first = place.sign_in(other, 1).await;
    let second = place.sign_in(other, 2).await;
    let list = place.store().sessions_of(other, LIMITS, NOW).await.unwrap();
    assert_eq!(list.len(), 2);
    let store = place.store();
    let refused = store.end_session(&own(admin, Action::UseOwnAccount), (other, first), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotCovered { .. })), "another's session");
    let refused = store.end_session(&own(admin, Action::UseOwnAccount), (admin, first), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "not under one's own name either");
    store.end_session(&own(other, Action::UseOwnAccount), (other, first), NOW).await.unwrap();
    let end = place.by(admin, Role::Admin, Action::EndSessions);
    store.end_session(&end, (other, second), NOW).await.unwrap();
    assert_eq!((place.lookup(1, NOW).await, place.lookup(2, NOW).await), (None, None));
    // Of many sessions the oldest give way.
    for token in 100..155 {
        place.sign_in(other, token).await;
    }
    assert_eq!(store.sessions_of(other, LIMITS, NOW).await.unwrap().len(), 50);
}

pub(crate) async fn a_rotated_token_leaves_the_old_one_useless(world: World) {
    let place = place(world).await;
    let id = place.sign_in(place.owner, 1).await;
    let change = SessionChange {
        digest: Digest::of(&[2]),
        tenant: place.tenant,
        method: "password".into(),
        signed_in_us: NOW + 5,
    };
    let permit = own(place.owner, Action::UseOwnAccount);
    place.store().rotate_session(&permit, (place.owner, id), &change, NOW + 5).await.unwrap();
    assert_eq!(place.lookup(1, NOW + 5).await, None);
    assert_eq!(place.lookup(2, NOW + 5).await, Some((place.owner, Role::Owner)));
    let elsewhere = SessionChange { tenant: TenantId(42), ..change };
    let refused = place.store().rotate_session(&permit, (place.owner, id), &elsewhere, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotFound { .. })), "no member there");
}

pub(crate) async fn an_invitation_is_good_once(world: World) {
    let place = place(world).await;
    let store = place.store();
    let invite = place.by(place.owner, Role::Owner, Action::ChangeMembers);
    let digest = Digest::of(&[1]);
    store.invite(&invite, place.invitation("New@example.com", Role::Auditor, 1), NOW).await.unwrap();
    assert!(store.invitation(digest, NOW + HOUR).await.unwrap().is_none(), "it expires");
    let seen = store.invitation(digest, NOW).await.unwrap().unwrap();
    assert_eq!((seen.tenant.name.as_str(), seen.role, seen.has_account), ("acme", Role::Auditor, false));
    // Of two who open it at once one gets in.
    let tries = [7, 8].map(|id| {
        let store = store.clone();
        tokio::spawn(async move {
            let newcomer = newcomer(id);
            let permit = own(newcomer.id, Action::ChangeOwnAccount);
            store.accept_invitation(&permit, (digest, &newcomer), NOW).await
        })
    });
    let mut joined = 0;
    for attempt in tries {
        joined += usize::from(matches!(attempt.await.unwrap(), Ok(Some(_))));
    }
    assert_eq!(joined, 1);
    assert!(store.account_by_login("new@example.com").await.unwrap().is_some());
    // Somebody who has an account joins with it.
    store.invite(&invite, place.invitation("owner@example.com", Role::Auditor, 2), NOW).await.unwrap();
    let newcomer = newcomer(9);
    let permit = own(newcomer.id, Action::ChangeOwnAccount);
    let refused = store.accept_invitation(&permit, (Digest::of(&[2]), &newcomer), NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "{refused:?}");
    let permit = own(place.owner, Action::ChangeOwnAccount);
    let refused = store.join_by_invitation(&permit, (Digest::of(&[2]), place.owner), NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "a member already");
    let id = store.list_invitations(place.tenant, NOW).await.unwrap()[0].id;
    store.revoke_invitation(&invite, (place.tenant, id), NOW).await.unwrap();
    assert!(store.list_invitations(place.tenant, NOW).await.unwrap().is_empty());
}

pub(crate) async fn only_owners_make_owners(world: World) {
    let place = place(world).await;
    let store = place.store();
    let admin = place.member("admin@example.com", Role::Admin, 1).await;
    let by_admin = place.by(admin, Role::Admin, Action::ChangeMembers);
    let refused = store.invite(&by_admin, place.invitation("x@example.com", Role::Owner, 2), NOW).await;
    assert!(matches!(refused, Err(StoreError::NotCovered { .. })));
    for (who, role) in [(admin, Role::Owner), (place.owner, Role::Auditor)] {
        let refused = store.set_member_role(&by_admin, member(place.tenant, who), role, NOW).await;
        assert!(
            matches!(refused, Err(StoreError::NotCovered { .. } | StoreError::Conflict(_))),
            "I21: {refused:?}"
        );
    }
    let refused = store.remove_member(&by_admin, member(place.tenant, place.owner), NOW).await;
    assert!(refused.is_err(), "I21");
    assert_eq!(place.owners().await, [place.owner]);
    let foreign =
        authorise(&Actor::member(admin, TenantId(42), Role::Owner), Action::ChangeOwners, Some(TenantId(42)));
    let refused =
        store.set_member_role(&foreign.unwrap(), member(place.tenant, admin), Role::Auditor, NOW).await;
    assert!(matches!(refused, Err(StoreError::NotAuthorised(_))), "I21: another tenant");
}

pub(crate) async fn a_change_of_role_ends_sessions(world: World) {
    let place = place(world).await;
    let store = place.store();
    let admin = place.member("admin@example.com", Role::Admin, 10).await;
    place.sign_in(admin, 1).await;
    let permit = place.by(place.owner, Role::Owner, Action::ChangeMembers);
    let seen = store.member(place.tenant, admin).await.unwrap();
    let reset = Digest::of(&[99]);
    let new = NewReset { account: admin, digest: reset, expires_us: NOW + HOUR };
    store.begin_reset(&own(admin, Action::UseOwnAccount), new, NOW).await.unwrap();
    assert_eq!(store.reset(reset, NOW).await.unwrap(), Some(admin));
    let changed =
        store.set_member_role(&permit, member(place.tenant, admin), Role::Auditor, NOW).await.unwrap();
    assert_eq!((changed.value.role, changed.value.version), (Role::Auditor, seen.version + 1));
    assert_eq!(place.lookup(1, NOW).await, None);
    assert_eq!(store.reset(reset, NOW).await.unwrap(), None, "the link was for what the person was before");
    let stale = MemberRef { version: Some(seen.version), ..member(place.tenant, admin) };
    let refused = store.set_member_role(&permit, stale, Role::Admin, NOW).await;
    assert!(matches!(refused, Err(StoreError::Outdated { version: 2, .. })), "{refused:?}");
    place.sign_in(admin, 2).await;
    store.remove_member(&permit, member(place.tenant, admin), NOW).await.unwrap();
    assert_eq!(place.lookup(2, NOW).await, None);
    assert!(store.memberships(admin).await.unwrap().is_empty());
}

pub(crate) async fn developers_are_mapped_to_consumers_of_the_tenant(world: World) {
    let place = place(world).await;
    let store = place.store();
    let dev = place.member("dev@example.com", Role::Developer, 1).await;
    let app = store.find_consumer("app").await.unwrap().id;
    let permit = place.by(place.owner, Role::Owner, Action::ChangeMembers);
    let mapped = store.map_member(&permit, member(place.tenant, dev), &[app, app], NOW).await.unwrap().value;
    assert_eq!(*mapped.consumers, [app]);
    let refused = store.map_member(&permit, member(place.tenant, dev), &[ConsumerId(42)], NOW).await;
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    place.sign_in(dev, 2).await;
    let SessionLookup::Good(session) = store.session(Digest::of(&[2]), LIMITS, NOW).await.unwrap() else {
        panic!()
    };
    assert_eq!(*session.consumers, [app]);
}

pub(crate) async fn a_thousand_mutual_demotions_leave_an_owner(world: World) {
    let place = Arc::new(place(world).await);
    let second = place.member("second@example.com", Role::Owner, 1).await;
    let pair = [(place.owner, second), (second, place.owner)];
    for round in 0..20 {
        let tasks: Vec<_> = (0..50)
            .map(|index| {
                let place = Arc::clone(&place);
                let (by, whom) = pair[index % 2];
                tokio::spawn(async move {
                    // Both were owners when they asked; only the store sees who is one still.
                    let permit = place.by(by, Role::Owner, Action::ChangeOwners);
                    let role = if index % 3 == 0 { Role::Auditor } else { Role::Admin };
                    let whom = member(place.tenant, whom);
                    match index % 5 {
                        0 => place.store().remove_member(&permit, whom, NOW).await.is_ok(),
                        _ => place.store().set_member_role(&permit, whom, role, NOW).await.is_ok(),
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let owners = place.owners().await;
        assert_eq!(owners.len(), 1, "I21: round {round}");
        // Both are owners again.
        let permit = permit(Action::ChangeOwners);
        for (index, (who, _)) in pair.iter().enumerate() {
            if place.store().memberships(*who).await.unwrap().is_empty() {
                let token = 100 + index as u8;
                let invitation = place.invitation("back@example.com", Role::Owner, token);
                place.store().invite(&permit, invitation, NOW).await.unwrap();
                let own = own(*who, Action::ChangeOwnAccount);
                let joined = place.store().join_by_invitation(&own, (Digest::of(&[token]), *who), NOW).await;
                joined.unwrap().unwrap();
            }
            place
                .store()
                .set_member_role(&permit, member(place.tenant, *who), Role::Owner, NOW)
                .await
                .unwrap();
        }
    }
    place.store().audit_verify().await.unwrap().unwrap();
}

pub(crate) async fn the_audit_of_people_holds_no_secret(world: World) {
    let place = place(world).await;
    let store = place.store();
    let admin = place.member("admin@example.com", Role::Admin, 10).await;
    place.sign_in(admin, 1).await;
    let who = OwnChange { account: admin, tenant: place.tenant, session: None };
    let permit = own(admin, Action::ChangeOwnAccount);
    store.set_password(&permit, who, &Secret::new(HASH.into()), NOW).await.unwrap();
    store
        .begin_second_factor(&permit, who, &Secret::new(b"sesamsesamsesamsesam".to_vec()), NOW)
        .await
        .unwrap();
    let kept = Secret::new(b"sesamsesamsesamsesam".to_vec());
    store.confirm_second_factor(&permit, who, (&kept, 5, &[Digest::of(b"one")]), NOW).await.unwrap();
    let audit = store.audit_list(&Default::default(), &PageRequest::default()).await.unwrap().items;
    let text = format!("{audit:?}");
    for secret in ["argon2", "sesam", "c2VzYW", "73657361"] {
        assert!(!text.contains(secret), "I6: {secret}");
    }
    let actions: Vec<_> = audit.iter().map(|row| row.action.as_str()).collect();
    for action in [
        "invitation.create",
        "user.create",
        "member.join",
        "session.start",
        "user.password",
        "user.second_factor_on",
    ] {
        assert!(actions.contains(&action), "I20: {action}");
    }
    assert!(audit.iter().any(|row| row.subject == admin.to_string() && row.actor == admin.to_string()));
    store.audit_verify().await.unwrap().unwrap();
}
