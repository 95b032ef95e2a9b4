//! Resources, one at a time.

use serde_json::json;

use super::world::World;

pub(crate) async fn a_consumer_is_created_shown_replaced_and_deleted(mut world: World) {
    let admin = world.person("admin").await;
    let made = admin.post("/consumers", json!({"project": "maps", "name": "tv", "kind": "service"})).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, Some("\"1\"")), "{}", made.text());
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let location = made.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/api/admin/v1/consumers/{id}"));
    let path = format!("/consumers/{id}");
    let shown = admin.get(&path).await;
    assert_eq!(shown.json()["spec"]["kind"], "service");
    assert_eq!(shown.json()["project"]["name"], "maps");

    let spec = json!({"project": "maps", "name": "tv", "kind": "host", "metadata": {"a": "b"}});
    let replaced = admin.change("PUT", &path, ("\"1\"", Some(spec.clone()))).await;
    assert_eq!(
        (replaced.status.as_u16(), replaced.header("etag")),
        (200, Some("\"2\"")),
        "{}",
        replaced.text()
    );
    let stale = admin.change("PUT", &path, ("\"1\"", Some(spec.clone()))).await;
    assert_eq!((stale.status.as_u16(), stale.code().as_str()), (412, "outdated"));
    let again = admin.change("PUT", &path, ("*", Some(spec))).await;
    assert_eq!(again.header("etag"), Some("\"2\""), "what is so already is no change");

    let bare = admin.send(tollgate_testkit::http::Call::new("DELETE", &format!("/api/admin/v1{path}"))).await;
    assert_eq!((bare.status.as_u16(), bare.code().as_str()), (428, "precondition_missing"));
    assert_eq!(admin.change("DELETE", &path, ("\"1\"", None)).await.status, 412);
    assert_eq!(admin.change("DELETE", &path, ("\"2\"", None)).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
    let audit = admin.get(&format!("/audit?subject={id}")).await.json();
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["consumer.delete", "consumer.update", "consumer.create"]);
    assert_eq!(audit["items"][0]["actor"], admin.user.to_string());
}

pub(crate) async fn no_tenant_of_several_sends_requests_inside(mut world: World) {
    let owner = world.person("owner").await;
    let service = |upstream: &str| {
        json!({"project": "maps", "name": "inside", "kind": "proxy", "match": {"path_prefix": "/inside"},
               "upstreams": [upstream]})
    };
    for upstream in
        ["http://10.0.0.1", "http://169.254.169.254", "http://[fd00:ec2::254]", "http://0x0a000001"]
    {
        let refused = owner.post("/services", service(upstream)).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "invalid"), "{upstream}");
    }
    let id = owner.create("/services", service("https://api.example.com")).await;
    let shown = owner.get(&format!("/services/{id}")).await;
    assert!(shown.text().contains("\"internet_only\":true"), "{}", shown.text());
    let inside =
        owner.change("PUT", &format!("/services/{id}"), ("\"1\"", Some(service("http://10.0.0.1")))).await;
    assert_eq!((inside.status.as_u16(), inside.code().as_str()), (422, "invalid"));
}

pub(crate) async fn every_kind_is_created_replaced_and_deleted(mut world: World) {
    let owner = world.person("owner").await;
    let service = json!({"project": "area", "name": "api", "kind": "proxy", "match": {"path_prefix": "/api9"},
                         "upstreams": ["http://127.0.0.1:1"]});
    let policy = json!({"project": "area", "name": "p", "services": ["api"]});
    let mut made = Vec::new();
    let kinds = [
        ("/projects", json!({"name": "area"}), json!({"name": "area", "key_prefix": "ar"})),
        (
            "/services",
            service.clone(),
            json!({"project": "area", "name": "api", "kind": "proxy",
            "match": {"path_prefix": "/api9"}, "upstreams": ["http://127.0.0.1:2"]}),
        ),
        (
            "/policies",
            policy,
            json!({"project": "area", "name": "p", "services": ["api"], "scopes": ["read"]}),
        ),
        (
            "/consumers",
            json!({"project": "area", "name": "c"}),
            json!({"project": "area", "name": "c", "kind": "user"}),
        ),
    ];
    for (path, new, change) in kinds {
        let id = owner.create(path, new.clone()).await;
        let twice = owner.post(path, new).await;
        assert_eq!((twice.status.as_u16(), twice.code().as_str()), (409, "conflict"), "{path}");
        let path = format!("{path}/{id}");
        let changed = owner.change("PUT", &path, ("\"1\"", Some(change))).await;
        assert_eq!(
            (changed.status.as_u16(), changed.header("etag")),
            (200, Some("\"2\"")),
            "{}",
            changed.text()
        );
        made.push(path);
    }
    let needed = owner.change("DELETE", &made[1], ("*", None)).await;
    assert_eq!(needed.status, 409, "a policy names it: {}", needed.text());
    assert!(needed.text().contains("policy `p`"), "{}", needed.text());
    let needed = owner.change("DELETE", &made[0], ("*", None)).await;
    assert_eq!(needed.status, 409, "it is not empty: {}", needed.text());
    for path in made.iter().rev() {
        let gone = owner.change("DELETE", path, ("\"2\"", None)).await;
        assert_eq!(gone.status, 204, "{path}: {}", gone.text());
    }
}

pub(crate) async fn what_live_keys_need_is_not_deleted(mut world: World) {
    let owner = world.person("owner").await;
    let key = owner.key("app").await;
    let id_of = |list: serde_json::Value| list["items"][0]["id"].as_str().unwrap().to_owned();
    let consumer = id_of(owner.get("/consumers?name=app").await.json());
    let policy = id_of(owner.get("/policies?name=standard").await.json());
    for path in [format!("/consumers/{consumer}"), format!("/policies/{policy}")] {
        let refused = owner.change("DELETE", &path, ("*", None)).await;
        assert_eq!(refused.status, 409, "{}", refused.text());
        assert!(refused.text().contains("not revoked"));
    }
    assert_eq!(owner.act(&format!("/keys/{key}/revoke")).await.status, 200);
    for path in [format!("/consumers/{consumer}"), format!("/policies/{policy}")] {
        assert_eq!(owner.change("DELETE", &path, ("*", None)).await.status, 204);
    }
}

pub(crate) async fn bad_resources_name_their_fields(mut world: World) {
    let admin = world.person("admin").await;
    let wrong = admin
        .post("/policies", json!({"project": "maps", "name": "x", "services": ["nope"], "quota": [{"name": "q", "amount": -1, "period": "day"}]}))
        .await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (422, "invalid"), "{}", wrong.text());
    assert_eq!(wrong.json()["errors"][0]["field"], "quota[0].amount");
    let unknown =
        admin.post("/policies", json!({"project": "maps", "name": "x", "service": ["tiles"]})).await;
    assert_eq!(unknown.status, 422);
    assert!(unknown.json()["errors"][0]["problem"].as_str().unwrap().contains("unknown field `service`"));
    let grant = admin.post("/policies", json!({"project": "maps", "name": "x", "services": ["nope"]})).await;
    assert_eq!(grant.json()["errors"][0]["field"], "services[0]", "{}", grant.text());
    let moved = admin.get("/policies?name=open").await.json();
    let path = format!("/policies/{}", moved["items"][0]["id"].as_str().unwrap());
    let renamed = admin.change("PUT", &path, ("*", Some(json!({"project": "maps", "name": "other"})))).await;
    assert_eq!(
        (renamed.status.as_u16(), renamed.json()["errors"][0]["field"].as_str().unwrap()),
        (422, "name")
    );
    let no_json = admin
        .send(
            tollgate_testkit::http::Call::new("POST", "/api/admin/v1/policies")
                .header("content-type", "application/json")
                .body("{"),
        )
        .await;
    assert_eq!((no_json.status.as_u16(), no_json.code().as_str()), (400, "malformed_request"));
    let no_type =
        admin.send(tollgate_testkit::http::Call::new("POST", "/api/admin/v1/policies").body("{}")).await;
    assert_eq!((no_type.status.as_u16(), no_type.code().as_str()), (415, "unsupported_content"));
    let huge = vec![b' '; (4 << 20) + 1];
    let huge = admin
        .send(
            tollgate_testkit::http::Call::new("POST", "/api/admin/v1/policies")
                .header("content-type", "application/json")
                .body(huge),
        )
        .await;
    assert_eq!((huge.status.as_u16(), huge.code().as_str()), (413, "body_too_large"));
}

pub(crate) async fn lists_page_and_filter(mut world: World) {
    let admin = world.person("admin").await;
    for number in 0..25 {
        let body = json!({"project": "maps", "name": format!("team.{number:02}"), "external_id": format!("x_{number}")});
        admin.create("/consumers", body).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/consumers?limit=7{cursor}")).await.json();
        let items = page["items"].as_array().unwrap().clone();
        assert!(items.len() <= 7);
        seen.extend(items.into_iter().map(|item| item["spec"]["name"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let mut sorted = seen.clone();
    sorted.sort();
    sorted.dedup();
    assert_eq!(sorted.len(), 27, "{seen:?}");
    let found = |path: &'static str| {
        let admin = admin.clone();
        async move { admin.get(path).await.json()["items"].as_array().unwrap().len() }
    };
    assert_eq!(found("/consumers?search=TEAM.1").await, 10);
    assert_eq!(found("/consumers?search=%25").await, 0, "no pattern of SQL");
    assert_eq!(found("/consumers?name=team.07&project=maps").await, 1);
    assert_eq!(found("/consumers?external_id=x_1").await, 1, "not x_10, and `_` is no pattern");
    assert_eq!(found("/consumers?external_id=p-17").await, 1);
    let wrong = admin.get("/consumers?limit=0&colour=red&limit=2").await;
    assert_eq!((wrong.status.as_u16(), wrong.code().as_str()), (422, "invalid"));
    assert_eq!(wrong.json()["errors"].as_array().unwrap().len(), 2, "{}", wrong.text());
    let cursor = admin.get("/consumers?cursor=nonsense").await;
    assert_eq!(cursor.json()["errors"][0]["field"], "cursor", "{}", cursor.text());
}
