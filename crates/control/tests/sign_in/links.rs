//! Invitations and resets: good once, for a while, and silent about who exists.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use tollgate_core::{
    authz::{Action, Actor, Role, authorise},
    key::Digest,
};
use tollgate_store::NewInvitation;

use super::world::{MINUTE, OWNER, PASSWORD, World, world};

pub(super) async fn invite(world: &World, email: &str, role: Role, seed: u8) -> String {
    let token = [seed; 32];
    let new = NewInvitation {
        tenant: world.tenant,
        email: email.into(),
        role,
        consumers: vec![],
        digest: Digest::of(&token),
        expires_us: world.now() + 60 * MINUTE,
    };
    let owner = Actor::member(world.owner, world.tenant, Role::Owner);
    let permit = authorise(&owner, Action::ChangeOwners, Some(world.tenant)).unwrap();
    world.store.invite(&permit, new, world.now()).await.unwrap();
    URL_SAFE_NO_PAD.encode(token)
}

#[tokio::test]
async fn an_invitation_makes_an_account_and_signs_it_in() {
    let world = world().await;
    let token = invite(&world, "new@example.com", Role::Auditor, 1).await;
    let mut browser = world.browser();
    let seen = browser.post("session/invitation/view", json!({ "token": token })).await;
    assert_eq!(
        (seen.status, &seen.body["tenant"], &seen.body["role"]),
        (200, &json!("acme"), &json!("auditor"))
    );
    let short = json!({ "token": token, "password": "short" });
    assert_eq!(browser.post("session/invitation", short).await.body["errors"][0]["field"], "password");
    let accept = json!({ "token": token, "name": "New", "password": "a password of mine" });
    let answer = browser.post("session/invitation", accept.clone()).await;
    assert_eq!((answer.status, &answer.body["role"]), (200, &json!("auditor")), "{answer:?}");
    assert_eq!(browser.get("session").await.body["user"]["name"], "New");
    let again = world.browser().post("session/invitation", accept).await;
    assert_eq!((again.status, again.code()), (410, "link_unusable"));
    assert_eq!(world.browser().sign_in("new@example.com", "a password of mine").await.status, 200);
    for bad in ["", "x", &URL_SAFE_NO_PAD.encode([9; 32]), &"A".repeat(4000)] {
        let answer = world.browser().post("session/invitation/view", json!({ "token": bad })).await;
        assert_eq!(answer.code(), "link_unusable", "{bad}");
    }
    let late = invite(&world, "late@example.com", Role::Auditor, 2).await;
    world.pass(61 * MINUTE);
    let answer = world.browser().post("session/invitation/view", json!({ "token": late })).await;
    assert_eq!(answer.code(), "link_unusable", "it has expired");
}

#[tokio::test]
async fn who_has_an_account_joins_with_it_and_switches_tenants() {
    let world = world().await;
    let token = invite(&world, "second@example.com", Role::Owner, 1).await;
    let mut second = world.browser();
    second.post("session/invitation", json!({ "token": token, "password": "a password of mine" })).await;
    // To somebody who belongs to the tenant the invitation says so.
    let token = invite(&world, OWNER, Role::Auditor, 2).await;
    let taken =
        world.browser().post("session/invitation", json!({ "token": token, "password": PASSWORD })).await;
    assert_eq!((taken.status, taken.code()), (409, "conflict"));
    let mut owner = world.owner().await;
    let answer = owner.post("session/invitation/join", json!({ "token": token })).await;
    assert_eq!((answer.status, answer.code()), (409, "conflict"), "a member already");
    let csrf = owner.csrf.take();
    let answer = owner.post("session/invitation/join", json!({ "token": token })).await;
    assert_eq!(answer.code(), "csrf_token_wrong");
    owner.csrf = csrf;
    let old = owner.cookie.clone();
    assert_eq!(owner.post("session/tenant", json!({ "tenant": "acme" })).await.status, 200);
    assert_ne!(owner.cookie, old);
    assert_eq!(owner.post("session/tenant", json!({ "tenant": "others" })).await.status, 404);
}

#[tokio::test]
async fn a_reset_is_mailed_to_whom_it_belongs_and_to_nobody_else() {
    let world = world().await;
    let mut browser = world.owner().await;
    let nobody = world.browser().post("session/reset", json!({ "email": "nobody@example.com" })).await;
    let somebody = world.browser().post("session/reset", json!({ "email": OWNER })).await;
    assert_eq!((nobody.status, &nobody.body), (somebody.status, &somebody.body));
    let mails = world.mails(1).await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, OWNER));
    let text = mails[0].text.expose();
    let token = text.lines().find_map(|line| line.strip_prefix("/reset#")).unwrap().to_owned();
    let complete = |password: &str| json!({ "token": token, "password": password });
    assert_eq!(world.browser().post("session/reset/complete", complete("short")).await.status, 422);
    let done = world.browser().post("session/reset/complete", complete("a password of mine")).await;
    assert_eq!(done.status, 204, "{done:?}");
    let again = world.browser().post("session/reset/complete", complete("another one of mine")).await;
    assert_eq!(again.code(), "link_unusable");
    assert_eq!(browser.get("session").await.code(), "sign_in_missing", "all sessions end");
    assert_eq!(world.browser().sign_in(OWNER, PASSWORD).await.status, 401);
    assert_eq!(world.browser().sign_in(OWNER, "a password of mine").await.status, 200);
}
