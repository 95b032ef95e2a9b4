//! What people prove themselves with: passwords, second factors, links to set them anew, first steps.

use tollgate_core::{
    authz::{Action, Role},
    id::UserId,
    key::Digest,
    secret::Secret,
};
use tollgate_store::{MemberRef, NewReset, NewSession, OwnChange, PageRequest, StoreError};

use crate::people::{HASH, HOUR, LIMITS, own, place};
use crate::world::{NOW, World, permit};

pub(crate) async fn passwords_and_second_factors_change_by_their_person_only(world: World) {
    let place = place(world).await;
    let store = place.store();
    let admin = place.member("admin@example.com", Role::Admin, 10).await;
    let session = place.sign_in(admin, 1).await;
    place.sign_in(admin, 2).await;
    let who = OwnChange { account: admin, tenant: place.tenant, session: Some(session) };
    let hash = Secret::new(HASH.replace("aGFz", "bGFz"));
    for foreign in [own(place.owner, Action::ChangeOwnAccount), permit(Action::ChangeOwnAccount)] {
        assert!(store.set_password(&foreign, who, &hash, NOW).await.is_err(), "I21");
        assert!(store.begin_second_factor(&foreign, who, &Secret::new(vec![1; 20]), NOW).await.is_err());
        assert!(store.remove_second_factor(&foreign, who, NOW).await.is_ok(), "nothing is there to remove");
    }
    let permit = own(admin, Action::ChangeOwnAccount);
    store.set_password(&permit, who, &hash, NOW).await.unwrap();
    assert!(place.lookup(1, NOW).await.is_some() && place.lookup(2, NOW).await.is_none(), "others end");

    let secret = Secret::new(vec![9; 20]);
    let refused = store.confirm_second_factor(&permit, who, (&secret, 5, &[]), NOW).await;
    assert!(matches!(refused, Err(StoreError::Conflict(_))), "none was begun");
    store.begin_second_factor(&permit, who, &secret, NOW).await.unwrap();
    assert!(store.second_factor(admin).await.unwrap().secret.is_none(), "not before it is confirmed");
    let codes = [Digest::of(b"one"), Digest::of(b"two")];
    store.confirm_second_factor(&permit, who, (&secret, 5, &codes), NOW).await.unwrap();
    assert_eq!(store.second_factor(admin).await.unwrap().secret.unwrap().expose(), &vec![9; 20]);
    assert!(!store.use_code_step(admin, 5).await.unwrap(), "the code that confirmed it is used up");
    assert!(store.use_code_step(admin, 6).await.unwrap());
    assert!(!store.use_code_step(admin, 6).await.unwrap(), "no code is good twice");
    let used = |digest| {
        let permit = own(admin, Action::UseOwnAccount);
        let store = store.clone();
        async move { store.use_recovery_code(&permit, (admin, digest), NOW).await.unwrap() }
    };
    assert!(used(codes[0]).await && !used(codes[0]).await && !used(Digest::of(b"three")).await);
    assert_eq!(store.recovery_codes_left(admin).await.unwrap(), 1);
    let foreign = own(place.owner, Action::ChangeOwnAccount);
    assert!(store.remove_second_factor(&foreign, who, NOW).await.is_err(), "I21");
    store.remove_second_factor(&permit, who, NOW).await.unwrap();
    assert_eq!(store.recovery_codes_left(admin).await.unwrap(), 0);
}

pub(crate) async fn a_reset_is_good_once_and_ends_sessions(world: World) {
    let place = place(world).await;
    let store = place.store();
    place.sign_in(place.owner, 1).await;
    let begin = own(place.owner, Action::UseOwnAccount);
    for token in [2, 3] {
        let new = NewReset { account: place.owner, digest: Digest::of(&[token]), expires_us: NOW + HOUR };
        store.begin_reset(&begin, new, NOW).await.unwrap();
    }
    assert_eq!(store.reset(Digest::of(&[2]), NOW).await.unwrap(), None, "a later one ends it");
    assert_eq!(store.reset(Digest::of(&[3]), NOW + HOUR).await.unwrap(), None, "it expires");
    assert_eq!(store.reset(Digest::of(&[3]), NOW).await.unwrap(), Some(place.owner));
    let permit = own(place.owner, Action::ChangeOwnAccount);
    let hash = Secret::new(HASH.replace("aGFz", "bGFz"));
    let foreign = own(UserId(5), Action::ChangeOwnAccount);
    assert!(store.complete_reset(&foreign, (Digest::of(&[3]), &hash), NOW).await.is_err(), "I21");
    assert!(store.complete_reset(&permit, (Digest::of(&[3]), &hash), NOW).await.unwrap().is_some());
    assert!(store.complete_reset(&permit, (Digest::of(&[3]), &hash), NOW).await.unwrap().is_none());
    assert_eq!(place.lookup(1, NOW).await, None);
    let account = store.account(place.owner).await.unwrap();
    assert_eq!(account.password_hash.unwrap().expose(), hash.expose());
}

pub(crate) async fn an_administrator_begins_a_reset_for_members_only(world: World) {
    let place = place(world).await;
    let store = place.store();
    let admin = place.member("admin@example.com", Role::Admin, 1).await;
    let by = place.by(admin, Role::Admin, Action::ChangeMembers);
    let new = |account, token: u8| NewReset { account, digest: Digest::of(&[token]), expires_us: NOW + HOUR };
    store.begin_reset(&by, new(place.owner, 2), NOW).await.unwrap();
    assert_eq!(store.reset(Digest::of(&[2]), NOW).await.unwrap(), Some(place.owner));
    let audit = store.audit_list(&Default::default(), &PageRequest { limit: 1, cursor: None }).await.unwrap();
    let last = &audit.items[0];
    assert_eq!((last.actor.as_str(), last.action.as_str()), (&*admin.to_string(), "user.reset_begin"), "I20");
    assert!(store.begin_reset(&by, new(UserId(5), 3), NOW).await.is_err(), "nobody of this tenant");
    let developer = place.by(admin, Role::Developer, Action::UseOwnAccount);
    assert!(store.begin_reset(&developer, new(place.owner, 4), NOW).await.is_err(), "I21");
    let member = MemberRef { tenant: place.tenant, account: admin, version: None };
    let owner = place.by(place.owner, Role::Owner, Action::ChangeMembers);
    store.remove_member(&owner, member, NOW).await.unwrap();
    assert!(store.begin_reset(&owner, new(admin, 5), NOW).await.is_err(), "who left is another tenant's");
}

pub(crate) async fn a_first_step_is_good_once_and_ends_with_the_password(world: World) {
    let place = place(world).await;
    let store = place.store();
    let digest = |token: u8| Digest::of(&[token]);
    let begin = async |token| {
        let proven = store.account(place.owner).await.unwrap().version;
        assert!(store.begin_step((place.owner, proven, digest(token)), (NOW, NOW + HOUR)).await.unwrap());
    };
    begin(1).await;
    begin(2).await;
    assert_eq!(store.step(digest(1), NOW).await.unwrap(), None, "a later one ends it");
    assert_eq!(store.step(digest(2), NOW + HOUR).await.unwrap(), None, "it expires");
    assert_eq!(store.step(digest(2), NOW).await.unwrap(), Some(place.owner));
    assert_eq!(store.reset(digest(2), NOW).await.unwrap(), None, "it sets no password");
    assert_eq!(store.invitation(digest(2), NOW).await.unwrap(), None, "and invites nobody");
    assert!(store.end_step(digest(2)).await.unwrap());
    assert!(!store.end_step(digest(2)).await.unwrap(), "of two one is first");
    begin(3).await;
    let change = OwnChange { account: place.owner, tenant: place.tenant, session: None };
    let hash = Secret::new(HASH.replace("aGFz", "bGFz"));
    store.set_password(&own(place.owner, Action::ChangeOwnAccount), change, &hash, NOW).await.unwrap();
    assert_eq!(store.step(digest(3), NOW).await.unwrap(), None, "the old password is no way in");
}

pub(crate) async fn what_was_proven_before_a_change_begins_nothing_after_it(world: World) {
    let place = place(world).await;
    let store = place.store();
    let owner = place.owner;
    let permit = own(owner, Action::ChangeOwnAccount);
    let who = OwnChange { account: owner, tenant: place.tenant, session: None };
    let hash = Secret::new(HASH.to_owned());
    let secret = Secret::new(vec![7; 20]);
    let token = Digest::of(b"reset");
    for (index, what) in ["password", "reset", "begin", "confirm", "remove"].into_iter().enumerate() {
        let proven = store.account(owner).await.unwrap().version;
        match what {
            "password" => {
                store.set_password(&permit, who, &hash, NOW).await.unwrap();
            }
            "reset" => {
                let new = NewReset { account: owner, digest: token, expires_us: NOW + HOUR };
                store.begin_reset(&own(owner, Action::UseOwnAccount), new, NOW).await.unwrap();
                store.complete_reset(&permit, (token, &hash), NOW).await.unwrap().unwrap();
            }
            "begin" => {
                store.begin_second_factor(&permit, who, &secret, NOW).await.unwrap();
            }
            "confirm" => {
                store.confirm_second_factor(&permit, who, (&secret, 5, &[]), NOW).await.unwrap();
            }
            _ => {
                store.remove_second_factor(&permit, who, NOW).await.unwrap();
            }
        }
        let present = store.account(owner).await.unwrap().version;
        for (proven, is_good) in [(proven, false), (present, true)] {
            let digest = Digest::of(&[index as u8, u8::from(is_good)]);
            let new = NewSession { proven: Some(proven), ..place.session(owner, digest) };
            let begun = store.start_session(&own(owner, Action::UseOwnAccount), new, LIMITS, NOW).await;
            assert_eq!(begun.is_ok(), is_good, "{what}: a session");
            let begun = store.begin_step((owner, proven, digest), (NOW, NOW + HOUR)).await.unwrap();
            assert_eq!(begun, is_good, "{what}: a first step");
        }
    }
}

pub(crate) async fn only_the_second_factor_whose_code_was_shown_is_switched_on(world: World) {
    let place = place(world).await;
    let store = place.store();
    let permit = own(place.owner, Action::ChangeOwnAccount);
    let who = OwnChange { account: place.owner, tenant: place.tenant, session: None };
    let (first, second) = (Secret::new(vec![1; 20]), Secret::new(vec![2; 20]));
    store.begin_second_factor(&permit, who, &first, NOW).await.unwrap();
    store.begin_second_factor(&permit, who, &second, NOW).await.unwrap();
    assert!(store.confirm_second_factor(&permit, who, (&first, 5, &[]), NOW).await.is_err());
    assert!(!store.account(place.owner).await.unwrap().has_second_factor, "another one was begun meanwhile");
    store.confirm_second_factor(&permit, who, (&second, 5, &[]), NOW).await.unwrap();
    assert!(store.account(place.owner).await.unwrap().has_second_factor);
}

pub(crate) async fn a_lost_second_factor_is_taken_away_by_the_host_alone(world: World) {
    let place = place(world).await;
    let store = place.store();
    let admin = place.member("admin@example.com", Role::Admin, 10).await;
    let who = OwnChange { account: admin, tenant: place.tenant, session: None };
    let change = own(admin, Action::ChangeOwnAccount);
    let secret = Secret::new(vec![1; 20]);
    store.begin_second_factor(&change, who, &secret, NOW).await.unwrap();
    store.confirm_second_factor(&change, who, (&secret, 5, &[Digest::of(b"one")]), NOW).await.unwrap();
    place.sign_in(admin, 1).await;
    let proven = store.account(admin).await.unwrap().version;
    let step = Digest::of(b"step");
    assert!(store.begin_step((admin, proven, step), (NOW, NOW + HOUR)).await.unwrap());
    let owner = place.by(place.owner, Role::Owner, Action::ChangeOwners);
    for foreign in [owner, own(place.owner, Action::ChangeOwnAccount), change] {
        assert!(store.take_second_factor_away(&foreign, admin, NOW).await.is_err(), "I21");
    }
    assert!(store.account(admin).await.unwrap().has_second_factor);

    let host = permit(Action::ChangeMembers);
    assert!(store.take_second_factor_away(&host, admin, NOW).await.unwrap().value);
    assert!(!store.account(admin).await.unwrap().has_second_factor);
    assert_eq!(store.recovery_codes_left(admin).await.unwrap(), 0);
    assert_eq!(place.lookup(1, NOW).await, None, "its sessions end");
    assert_eq!(store.step(step, NOW).await.unwrap(), None, "and sign-ins under way");
    assert!(store.account(admin).await.unwrap().version > proven);
    let audit = store.audit_list(&Default::default(), &PageRequest { limit: 1, cursor: None }).await.unwrap();
    let last = &audit.items[0];
    assert_eq!(
        (last.action.as_str(), last.subject.clone()),
        ("user.second_factor_taken", admin.to_string()),
        "I20"
    );
    assert!(!store.take_second_factor_away(&host, admin, NOW).await.unwrap().value, "there is none any more");
    assert!(store.take_second_factor_away(&host, UserId(5), NOW).await.is_err(), "nobody");
}
