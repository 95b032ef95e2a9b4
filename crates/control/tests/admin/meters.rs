//! Meters as resources, and what they counted.

use serde_json::json;

use super::world::World;

pub(crate) async fn a_meter_is_made_asked_replaced_and_deleted(mut world: World) {
    let admin = world.person("admin").await;
    let spec = json!({
        "project": "maps", "name": "tiles-served", "event_type": "tile.served", "value": "$.bytes",
        "aggregate": "sum", "group_by": ["$.zoom"],
    });
    let made = admin.post("/meters", spec.clone()).await;
    assert_eq!((made.status.as_u16(), made.header("etag")), (201, Some("\"1\"")), "{}", made.text());
    let path = format!("/meters/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(made.json()["spec"]["value"], "$.bytes");
    assert_eq!(admin.post("/meters", spec.clone()).await.status, 409);
    let wrong = json!({"project": "maps", "name": "w", "event_type": "x", "aggregate": "sum"});
    let wrong = admin.post("/meters", wrong).await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["errors"][0]["field"].as_str()), (422, Some("value")));

    let asked = format!("{path}/values?window=day&from=3d&time_zone=Europe%2FBerlin&group_by=%24.zoom");
    let values = admin.get(&asked).await;
    assert_eq!(values.status, 200, "{}", values.text());
    let values = values.json();
    assert_eq!(
        (values["group_by"].clone(), values["total"]["events"].clone()),
        (json!(["$.zoom"]), json!(0))
    );
    let windows = values["windows"].as_array().unwrap().len();
    assert_eq!(values["values"].as_array().unwrap().len() + 1, windows);
    let since = values["counts_from"].clone();
    let counting = json!({"state": "counting", "share": 0.0, "whole_from": since, "events": 0, "left": 0,
                          "damaged": 0, "unsummed": 0});
    assert_eq!(values["past"], counting, "nobody has looked yet");
    let past = async |sql: &str| {
        world.raw(sql).await;
        admin.get(&asked).await.json()["past"].clone()
    };
    let half = past("UPDATE meter_backfills SET position = 1, began_position = 0, until_position = 4").await;
    assert_eq!((&half["share"], &half["events"], &half["left"]), (&json!(0.25), &json!(4), &json!(3)));
    let done = past("UPDATE meter_backfills SET position = 4, done = 1").await;
    assert_eq!((&done["state"], &done["share"]), (&json!("counted"), &json!(1.0)));
    assert_eq!(done["whole_from"], json!(null), "as far back as events are kept");
    let damaged = past("UPDATE meter_backfills SET damaged = 2, damaged_records = 2").await;
    assert_eq!((&damaged["damaged"], &damaged["whole_from"]), (&json!(2), &since));
    let older = past("UPDATE meter_series SET backfill = NULL").await;
    assert_eq!((&older["state"], &older["whole_from"]), (&json!("none"), &since));
    for (query, field) in [
        ("group_by=%24.none", "group_by"),
        ("time_zone=Mars", "window"),
        ("window=minute&from=30d", "window"),
        ("window=year", "window"),
    ] {
        let reply = admin.get(&format!("{path}/values?{query}")).await;
        assert_eq!(
            (reply.status.as_u16(), reply.json()["errors"][0]["field"].as_str()),
            (422, Some(field)),
            "{query}"
        );
    }

    let other =
        json!({"project": "maps", "name": "tiles-served", "event_type": "tile.served", "aggregate": "count"});
    let changed = admin.change("PUT", &path, ("\"1\"", Some(other))).await;
    assert_eq!((changed.status.as_u16(), changed.header("etag")), (200, Some("\"2\"")), "{}", changed.text());
    assert_eq!(admin.get("/meters?search=TILES").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(admin.change("DELETE", &path, ("\"2\"", None)).await.status, 204);
    assert_eq!(admin.get(&path).await.status, 404);
}
