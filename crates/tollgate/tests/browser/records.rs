//! Records: a type is registered, a record tried against it; what a sink did not take is looked at.

use crate::world::{BOTH, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_type_is_registered_and_a_record_is_tried_against_it() {
    for screen in BOTH {
        let world = World::furnished();
        let mut tab = world.owner(screen);
        tab.open_path("/settings");
        tab.follow("a >> Records");
        tab.is_at("/settings/records");
        tab.sees("h3 >> Nothing waits");
        tab.sees("h3 >> No types yet");
        tab.fill("#name", "tile.served");
        tab.fill("#schema", r#"{"type":"objekt"}"#);
        tab.follow("button >> Register");
        tab.sees(".error >> it is not a JSON Schema");
        tab.fill(
            "#schema",
            r#"{"type":"object","required":["bytes"],"properties":{"bytes":{"type":"integer"}}}"#,
        );
        tab.follow("button >> Register");
        tab.is_at("/settings/records");
        tab.sees("tbody td >> tile.served");
        tab.fill("#record", r#"{"bytes":"many"}"#);
        tab.follow("button >> Try it");
        tab.sees("[role=alert] >> /bytes");
        tab.fill("#record", r#"{"bytes":2048}"#);
        tab.follow("button >> Try it");
        tab.sees("[role=status] >> It fits.");
        tab.fill("#record", "{");
        tab.follow("button >> Try it");
        tab.sees(".error >> it is no JSON");
    }
}
