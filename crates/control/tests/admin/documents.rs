//! Whole documents.

use serde_json::json;

use super::world::World;

pub(crate) async fn an_export_applied_again_changes_nothing(mut world: World) {
    let owner = world.person("owner").await;
    let export = owner.get("/export").await.json();
    let names: Vec<_> = export["consumer"].as_array().unwrap().iter().map(|spec| &spec["name"]).collect();
    assert_eq!(names, ["app", "web"]);
    let again = owner.post("/apply?prune=true", export.clone()).await;
    assert_eq!(again.json(), json!({"dry_run": false, "changes": []}), "{}", again.text());

    let mut other = export;
    other["consumer"] = json!([{"project": "maps", "name": "app", "external_id": "p-18"}]);
    let dry = owner.post("/apply?dry_run=true&prune=true", other.clone()).await.json();
    let wanted = json!([
        {"op": "update", "kind": "consumer", "name": "acme/maps/app", "fields": ["external_id"]},
        {"op": "delete", "kind": "consumer", "name": "acme/maps/web", "fields": []},
    ]);
    assert_eq!((&dry["changes"], &dry["dry_run"]), (&wanted, &json!(true)));
    assert_eq!(owner.get("/consumers").await.json()["items"].as_array().unwrap().len(), 2);
    let done = owner.post("/apply?prune=true", other).await.json();
    assert_eq!(done["changes"], wanted);
    assert_eq!(owner.get("/consumers").await.json()["items"].as_array().unwrap().len(), 1);
}

pub(crate) async fn a_document_with_errors_changes_nothing(mut world: World) {
    let admin = world.person("admin").await;
    let document = json!({
        "consumer": [{"project": "maps", "name": "fine"}, {"project": "maps", "name": "not fine"}],
        "policy": [{"project": "maps", "name": "p", "services": ["nope"]}],
    });
    let refused = admin.post("/apply", document).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "invalid"));
    let fields: Vec<_> =
        refused.json()["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["consumer[1].name", "policy[0].services[0]"], "everything at once");
    assert_eq!(admin.get("/consumers").await.json()["items"].as_array().unwrap().len(), 2);
}
