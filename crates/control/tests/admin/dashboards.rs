//! Dashboards over the admin API: whose they are, who may share them, and what a widget may show.

use serde_json::{Value, json};

use super::world::World;

fn dashboard(shared: bool, widgets: Value) -> Value {
    json!({"name": "Tiles", "shared": shared, "widgets": widgets})
}

fn widget(meter: &str) -> Value {
    json!({"meter": meter, "form": "line", "window": "hour", "hours": 24, "by": 0})
}

pub(crate) async fn a_dashboard_is_ones_own_until_it_is_shared(mut world: World) {
    let (admin, auditor) = (world.person("admin").await, world.person("auditor").await);
    let other = world.member("other", "owner", &[]).await;
    let meter = json!({"project": "maps", "name": "m", "event_type": "x", "aggregate": "count", "group_by": ["$.zoom"]});
    let meter = admin.post("/meters", meter).await.json()["id"].as_str().unwrap().to_owned();

    let made = auditor.post("/dashboards", dashboard(false, json!([widget(&meter)]))).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, Some("\"1\"")), "{}", made.text());
    let path = format!("/dashboards/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(made.json()["widgets"][0]["title"], "");
    assert_eq!(admin.get(&path).await.status, 404, "it is the auditor's own");
    let body = dashboard(true, json!([widget(&meter)]));
    assert_eq!(auditor.change("PUT", &path, ("\"1\"", Some(body.clone()))).await.code(), "role_insufficient");

    let shared = admin.post("/dashboards", body).await;
    let shared = format!("/dashboards/{}", shared.json()["id"].as_str().unwrap());
    assert_eq!(auditor.get(&shared).await.status, 200);
    assert_eq!(auditor.get("/dashboards").await.json()["items"].as_array().unwrap().len(), 2);
    assert_eq!(auditor.change("DELETE", &shared, ("*", None)).await.code(), "role_insufficient");
    assert_eq!(other.get(&shared).await.status, 404);
    let empty = dashboard(true, json!([]));
    assert_eq!(admin.change("PUT", &shared, ("\"7\"", Some(empty.clone()))).await.status, 412);
    let changed = admin.change("PUT", &shared, ("\"1\"", Some(empty))).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"2\"")), "{}", changed.text());
    assert_eq!(admin.change("DELETE", &shared, ("\"2\"", None)).await.status, 204);
    assert_eq!(auditor.change("DELETE", &path, ("*", None)).await.status, 204);
}

pub(crate) async fn what_a_widget_cannot_show_names_its_field(mut world: World) {
    let admin = world.person("admin").await;
    let other = world.member("other", "owner", &[]).await;
    let spec = json!({"project": "maps", "name": "m", "event_type": "x", "aggregate": "count", "group_by": ["$.zoom"]});
    let own = admin.post("/meters", spec.clone()).await.json()["id"].as_str().unwrap().to_owned();
    let foreign = other.post("/meters", spec).await.json()["id"].as_str().unwrap().to_owned();
    let with = |name: &str, value: Value| {
        let mut widget = widget(&own);
        widget[name] = value;
        widget
    };
    for (widget, field) in [
        (widget(&foreign), "widgets[0].meter"),
        (widget("mtr_00000000001"), "widgets[0].meter"),
        (widget("key_00000000001"), "widgets[0].meter"),
        (with("by", json!(1)), "widgets[0].by"),
        (with("hours", json!(0)), "widgets[0].hours"),
        (with("window", json!("total")), "widgets[0].window"),
        (with("form", json!("pie")), "widgets[0].form"),
        (with("title", json!("x".repeat(81))), "widgets[0].title"),
    ] {
        let reply = admin.post("/dashboards", dashboard(false, json!([widget]))).await;
        assert_eq!(
            (reply.status.as_u16(), &reply.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{}",
            reply.text()
        );
    }
    let many = dashboard(false, Value::Array(vec![widget(&own); 25]));
    assert_eq!(admin.post("/dashboards", many).await.json()["errors"][0]["field"], "widgets");

    let made = admin.post("/dashboards", dashboard(false, json!([widget(&own)]))).await.json();
    assert_eq!(admin.change("DELETE", &format!("/meters/{own}"), ("*", None)).await.status, 204);
    let path = format!("/dashboards/{}", made["id"].as_str().unwrap());
    let kept = admin.change("PUT", &path, ("*", Some(dashboard(false, json!([widget(&own)]))))).await;
    assert_eq!(kept.status, 200, "a widget may outlive its meter: {}", kept.text());
}
