//! The console's pages about many keys, over the real binary and without a script: what a change would break is
//! said before, its progress is a page, and keys that are made together are downloaded once.

use serde_json::json;
use tollgate_testkit::{Upstream, wait_until};

use crate::person::{Owner, keys_in};
use crate::world::{SOON, builder, create_key, resources, text, tiles};

#[tokio::test]
async fn many_keys_are_changed_from_the_console() {
    let upstream = Upstream::start();
    let node = builder().resources(&resources(&upstream.url())).start();
    let owner = Owner::sign_in(&node).await;
    let used = create_key(&node, &["--name", "wave-1"]);
    for index in 2..=5 {
        create_key(&node, &["--name", &format!("wave-{index}")]);
    }
    let other = create_key(&node, &["--name", "apart"]);
    let [used, other] = [&used, &other].map(|created| text(created, "key"));
    for key in [used, other] {
        wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    }
    assert_eq!(owner.get("/usage?wait=true").await.status, 200);

    let listed = owner.page("/keys?search=wave").await.text();
    assert!(listed.contains("href=\"/keys/bulk?search=wave\""), "the list leads to it: {listed}");
    assert_eq!(owner.page("/keys/bulk").await.status, 303, "nothing selected is not everything");
    let page = "/keys/bulk?search=wave";
    let asked = owner.page(page).await.text();
    for part in
        ["Change 5 keys", "<b>5</b> are not revoked", "<b>1</b> was used within 24 h by <b>1 address</b>"]
    {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let started = async |fields: &[(&str, &str)]| {
        let mut all = vec![("search", "wave")];
        all.extend_from_slice(fields);
        let answer = owner.form(page, "/keys/bulk", &all).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").expect("where to").to_owned()
    };
    let done = async |path: &str| {
        wait_until(SOON, || async { owner.page(path).await.text().contains("looked at, done") }).await;
        owner.page(path).await.text()
    };
    let job = started(&[("operation", "tag"), ("set", "wave = 1\nteam = maps")]).await;
    assert!(done(&job).await.contains("<b>5</b> changed"));
    assert!(owner.page("/keys?metadata=wave%3D1").await.text().contains("5 shown"));
    let table = owner.page(&format!("{job}/result.csv")).await;
    assert!(table.header("content-type").is_some_and(|kind| kind.starts_with("text/csv")));
    assert_eq!(table.text().lines().count(), 6, "{}", table.text());
    assert!(owner.page("/keys/jobs").await.text().contains("5 of 5"));

    let refused =
        owner.form(page, "/keys/bulk", &[("search", "wave"), ("operation", "revoke"), ("count", "4")]);
    let refused = refused.await;
    assert_eq!(refused.status, 200);
    assert!(refused.text().contains("type `5`, how many keys will end"), "{}", refused.text());
    assert_eq!(tiles(&node, used).await.status, 200, "nothing was changed");
    let job = started(&[("operation", "revoke"), ("count", "5")]).await;
    assert!(done(&job).await.contains("<b>5</b> changed"));
    wait_until(SOON, || async { tiles(&node, used).await.code() == "key_revoked" }).await;
    assert_eq!(tiles(&node, other).await.status, 200, "not selected");
    let id = job.rsplit('/').next().expect("an id");
    let audit = owner.get("/audit?limit=1000").await.json();
    let own = audit["items"].as_array().expect("a list").iter();
    let own = own.filter(|entry| entry["action"] == "key.revoke" && entry["after"]["job"] == json!(id));
    assert_eq!(own.count(), 5, "each key has its entry, with the job");
}

#[tokio::test]
async fn keys_for_a_list_of_consumers_are_downloaded_once() {
    let upstream = Upstream::start();
    let more = "\n[[consumer]]\nproject = \"maps\"\nname = \"web-team\"\n";
    let node = builder().resources(&(resources(&upstream.url()) + more)).start();
    let owner = Owner::sign_in(&node).await;
    let fields = |consumers: &'static str| {
        [("project", "maps"), ("policy", "standard"), ("expires", "30d"), ("consumers", consumers)]
    };
    for (wrong, told) in [("", "name at least one"), ("nobody", "nobody"), ("web-team\nweb-team", "twice")] {
        let answer = owner.form("/keys/many", "/keys/many", &fields(wrong)).await;
        assert!(answer.status == 200 && answer.text().contains(told), "{wrong}: {}", answer.text());
        assert!(keys_in(&answer.text()).is_empty());
    }
    let list = "android-team, Android app\r\nweb-team,\"Web, new\"\r\n\r\nweb-team";
    let made = owner.form("/keys/many", "/keys/many", &fields(list)).await;
    assert_eq!(made.header("cache-control"), Some("no-store"));
    let keys = keys_in(&made.text());
    assert_eq!(keys.len(), 3, "{}", made.text());
    assert!(made.text().contains("download=\"keys.csv\""));
    for key in &keys {
        assert_eq!(tiles(&node, key).await.status, 200, "accepted when the page is there");
    }
    let listed = owner.get("/keys").await.json();
    assert_eq!(listed["items"].as_array().expect("a list").len(), 3, "what was refused made none");
}
