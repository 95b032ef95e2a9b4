//! The document: served to anyone, whole, and as committed.

use std::collections::BTreeSet;

use serde_json::Value;

use super::world::World;

/// All `$ref` of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                if let (true, Some(target)) = (name == "$ref", value.as_str()) {
                    found.insert(target.to_owned());
                }
                references(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

pub(crate) async fn anyone_may_read_the_document(world: World) {
    let reply = world.bare("GET", "/openapi.json").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json(), tollgate_control::openapi_document());
    assert_eq!(world.bare("GET", "/nowhere").await.status, 401, "nothing else is told");
}

pub(crate) async fn a_wrong_method_is_told_the_right_ones(mut world: World) {
    let owner = world.person("owner").await;
    let call = tollgate_testkit::http::Call::new("PUT", "/api/admin/v1/keys");
    let reply = owner.send(call).await;
    assert_eq!(reply.status, 405);
    let allowed = reply.header("allow").unwrap();
    assert!(allowed.contains("GET") && allowed.contains("POST") && !allowed.contains("PUT"), "{allowed}");
}

#[test]
fn every_reference_leads_somewhere() {
    let document = tollgate_control::openapi_document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 40);
    for target in found {
        let pointer = target.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
    let mut ids = BTreeSet::new();
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
        }
    }
}

#[test]
fn every_path_of_signing_in_is_described() {
    let document = tollgate_control::openapi_document();
    let described = |path: &str| document["paths"].get(path).is_some();
    let own = include_str!("../../src/sign_in/api.rs");
    let own = own.split("at(\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut paths: Vec<String> = own.map(|path| format!("/api/admin/v1/{path}")).collect();
    let elsewhere = include_str!("../../src/identity/routes.rs");
    let elsewhere = elsewhere.split("route(\"").skip(1).filter_map(|rest| rest.split('"').next());
    paths.extend(elsewhere.filter(|path| path.starts_with("/api/")).map(str::to_owned));
    assert!(paths.len() > 12, "{paths:?}");
    let missing: Vec<&String> = paths.iter().filter(|path| !described(path)).collect();
    assert!(missing.is_empty(), "not in the document: {missing:?}");
}

/// A generated page that is committed: the same, or written anew on demand.
fn committed(file: &str, content: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated").join(file);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, content).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        present == content,
        "docs/generated/{file} is not what the code says; `UPDATE_DOCS=1 cargo test -p tollgate-control` writes it"
    );
}

#[test]
fn the_document_and_the_permissions_are_as_committed() {
    let document = serde_json::to_string_pretty(&tollgate_control::openapi_document()).unwrap();
    committed("admin-openapi.json", &format!("{document}\n"));
    committed("admin-permissions.md", &tollgate_control::endpoint_permissions());
}
