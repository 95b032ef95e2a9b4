//! Dashboards as somebody puts them together.

use tollgate_core::authz::Action;
use tollgate_store::ApplyMode;

use super::Pages;
use crate::sign_in::world::{NOW, OWNER, PASSWORD, host, without_mail};

#[tokio::test]
async fn a_change_of_a_widget_goes_on_where_the_widget_is() {
    let world = without_mail().await;
    let resources = serde_json::json!({
        "project": [{"tenant": "acme", "name": "maps"}],
        "meter": [{"project": "acme/maps", "name": "asked", "event_type": "tollgate.request", "aggregate": "count"}],
    });
    let resources = serde_json::from_value(resources).unwrap();
    world.store.apply(&host(Action::ChangeResources), &resources, ApplyMode::default(), NOW).await.unwrap();
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    owner.get("/dashboards").await.is(200);
    let made = owner.post("/dashboards", &[("name", "Traffic")]).await;
    let path = made.to.split('?').next().unwrap().to_owned();
    for (index, act) in ["add", "add", "add", "width"].into_iter().enumerate() {
        change(&mut owner, &path, act, "1", if act == "add" { index } else { 1 }).await;
    }
    change(&mut owner, &path, "earlier", "1", 0).await;
    change(&mut owner, &path, "later", "1", 2).await;
    change(&mut owner, &path, "remove", "2", 1).await;
    let page = owner.get(&path).await;
    // Without a title of its own a widget says the name of its meter once.
    page.has("<h2 id=\"h-1\">asked</h2><span class=\"hint\">count, last 24 h</span>").lacks("h-2");
}

/// Does something to a widget; one is led to the place of it afterwards.
async fn change(owner: &mut Pages, path: &str, act: &str, index: &str, goes_on: usize) {
    let page = owner.get(&format!("{path}?edit=1")).await;
    let meter = page.text.split("<option value=\"mtr_").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let (meter, version) = (format!("mtr_{meter}"), page.field("version"));
    let fields = [
        ("act", act),
        ("index", index),
        ("version", version.as_str()),
        ("meter", meter.as_str()),
        ("form", "number"),
        ("hours", "24"),
        ("window", "hour"),
    ];
    owner.post(path, &fields).await.leads(&format!("{path}?edit=1&done=saved#h-{goes_on}"));
}
