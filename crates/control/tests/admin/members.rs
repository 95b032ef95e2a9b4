//! Members and invitations over the API.

use serde_json::{Value, json};

use super::world::{Person, World};
use crate::people::Pages;

async fn of(person: &Person, id: &str) -> (Value, String) {
    let reply = person.get(&format!("/members/{id}")).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let tag = reply.header("etag").unwrap().to_owned();
    (reply.json(), tag)
}

pub(crate) async fn roles_are_given_and_taken(mut world: World) {
    let (owner, admin) = (world.person("owner").await, world.person("admin").await);
    let id = world.person("auditor").await.user.to_string();
    let (member, tag) = of(&admin, &id).await;
    assert_eq!(member["role"], "auditor");
    let path = format!("/members/{id}");
    let changed = admin.change("PATCH", &path, (&tag, Some(json!({"role": "developer"})))).await;
    assert_eq!(changed.json()["role"], "developer", "{}", changed.text());
    let stale = admin.change("PATCH", &path, (&tag, Some(json!({"role": "admin"})))).await;
    assert_eq!(stale.status, 412);
    let consumer = owner.get("/consumers?name=app").await.json()["items"][0]["id"].clone();
    let mapped = admin
        .change("PUT", &format!("{path}/consumers"), ("*", Some(json!({"consumers": [consumer]}))))
        .await;
    assert_eq!(mapped.json()["consumers"], json!([consumer]), "{}", mapped.text());
    for wrong in [json!({"consumers": ["nonsense"]}), json!({"consumers": ["con_00000000001"]})] {
        let refused = admin.change("PUT", &format!("{path}/consumers"), ("*", Some(wrong))).await;
        assert_eq!(refused.status, 422, "{}", refused.text());
    }
    assert_eq!(admin.change("DELETE", &path, ("*", None)).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
}

pub(crate) async fn only_owners_make_and_unmake_owners(mut world: World) {
    let (owner, admin) = (world.person("owner").await, world.person("admin").await);
    let (owners, admins) = (format!("/members/{}", owner.user), format!("/members/{}", admin.user));
    for (path, body) in [(&admins, json!({"role": "owner"})), (&owners, json!({"role": "admin"}))] {
        let refused = admin.change("PATCH", path, ("*", Some(body))).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "role_insufficient"));
    }
    assert_eq!(admin.change("DELETE", &owners, ("*", None)).await.status, 403);
    let invited = admin.post("/invitations", json!({"email": "x@acme.example", "role": "owner"})).await;
    assert_eq!(invited.status, 403);
    let first = owner.get("/members").await.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|member| member["email"] == "owner@acme.example")
        .unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let gone = owner.change("DELETE", &format!("/members/{first}"), ("*", None)).await;
    assert_eq!(gone.status, 204, "there is another: {}", gone.text());
    let last = owner.change("PATCH", &owners, ("*", Some(json!({"role": "admin"})))).await;
    assert_eq!((last.status.as_u16(), last.code().as_str()), (409, "conflict"), "the last owner stays");
}

pub(crate) async fn invitations_are_sent_and_taken_back(mut world: World) {
    let admin = world.person("admin").await;
    let made = admin.post("/invitations", json!({"email": "ada@acme.example", "role": "auditor"})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let link = made.json()["link"].as_str().unwrap().to_owned();
    let open = admin.get("/invitations").await;
    assert_eq!(open.json()["items"][0]["email"], "ada@acme.example");
    let token = link.rsplit(['#', '=', '/']).next().unwrap();
    assert!(token.len() > 20 && !open.text().contains(token), "{link}");
    let path = format!("/api/admin/v1/invitations/{}", made.json()["id"].as_str().unwrap());
    let stranger = world.member("other", "owner", &[]).await;
    let delete = || tollgate_testkit::http::Call::new("DELETE", &path);
    assert_eq!(stranger.send(delete()).await.status, 404);
    assert_eq!(admin.send(delete()).await.status, 204);
    assert_eq!(admin.get("/invitations").await.json()["items"], json!([]));
}

pub(crate) async fn a_link_for_a_new_password_is_in_one_answer_only(mut world: World) {
    let owner = world.person("owner").await;
    let admin = world.person("admin").await;
    let path = format!("/members/{}/reset", admin.user);
    // Accounts of these tests prove themselves elsewhere until they have a password.
    assert_eq!(owner.act(&path).await.status, 409);
    world.raw(&format!("UPDATE accounts SET login = email WHERE id = {}", admin.user.to_sql())).await;
    let call = || {
        let call = tollgate_testkit::http::Call::new("POST", &format!("/api/admin/v1{path}"));
        call.header("idempotency-key", "once")
    };
    let made = owner.send(call()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let link = made.json()["link"].as_str().unwrap().to_owned();
    assert!(link.starts_with("/reset#") && made.json()["mailed"] == false, "{link}");
    let again = owner.send(call()).await.json();
    assert!(again["link"].is_null() && again["notice"].is_string(), "{again}");
    let token = link.trim_start_matches("/reset#");
    assert!(!owner.get("/audit").await.text().contains(token));
    let of_owner = admin.act(&format!("/members/{}/reset", owner.user)).await;
    assert_eq!((of_owner.status.as_u16(), of_owner.code()), (403, "role_insufficient".to_owned()));
    assert_eq!(admin.act(&path).await.status, 409, "not for oneself");
}

pub(crate) async fn a_member_is_shown_after_a_consumer_of_theirs_is_deleted(mut world: World) {
    let owner = world.person("owner").await;
    let developer = world.developer(&["app", "web"]).await;
    let app = world.store.consumer_of(world.acme, "app").await.unwrap().id;
    let gone = format!("/consumers/{app}");
    let tag = owner.get(&gone).await.header("etag").unwrap().to_owned();
    assert_eq!(owner.change("DELETE", &gone, (&tag, None)).await.status, 204);
    let mut pages = Pages::with(world.address, owner.headers());
    let page = pages.get(&format!("/settings/members/{}", developer.user)).await;
    page.is(200).has("maps/web").lacks("maps/app");
}
