//! The pictures of `docs/images/console`, made with `UPDATE_DOCS=1`; without it they are only taken.

use std::path::Path;

use tollgate_testkit::browser::{Screen, Tab};

use crate::reminders::age;
use crate::traffic::Call;
use crate::world::World;

/// What is larger than this is no picture for a page of documentation.
const PICTURE_BYTES_MAX: usize = 200 * 1024;
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/images/console");

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn pictures_for_the_documentation() {
    let world = World::furnished_after(|node| age(node, "Kiosks in the town hall", 60));
    let fleet = world.key("Fleet tracker Stockholm").clone();
    let desk = Screen { height: 720, ..Screen::DESK };
    for (screen, width) in [(desk, "1280"), (Screen::PHONE, "390")] {
        let mut tab = world.owner(screen);
        let take = |tab: &mut Tab, name: &str| keep(tab, &format!("{name}-{width}"));
        tab.wait("the reminders", |tab| {
            tab.open_path("/?range=24h");
            (tab.count("#h-attention") == 1).then_some(())
        });
        tab.sees("figure canvas");
        take(&mut tab, "overview");
        tab.open_path("/events?outcome=refused&range=24h");
        tab.sees("figure canvas");
        take(&mut tab, "events");
        tab.open_path("/events?code=ip_not_allowed&consumer=fleet-tracker&range=1h");
        tab.follow("#events tbody a");
        take(&mut tab, "event");
        tab.open_path("/policies");
        tab.follow("tbody a >> partner");
        tab.choose("#t-service", "tiles");
        tab.fill("#t-path", "/tiles/7/66/41.png");
        tab.fill("#t-address", "172.16.9.9");
        tab.follow("button[value=try]");
        tab.scroll_to("#h-words");
        take(&mut tab, "policy");
        if width == "1280" {
            rotate(&world, &mut tab, &fleet);
        }
        tab.open_path(&format!("/keys/{}", fleet.id));
        take(&mut tab, "key");
    }
    let mut tab = world.owner(desk);
    tab.open_path("/keys");
    keep(&mut tab, "keys-1280");
    tab.open_path("/audit");
    keep(&mut tab, "audit-1280");
    tab.open_path("/settings");
    keep(&mut tab, "settings-1280");
    tab.press("/");
    tab.type_text("fleet");
    tab.sees("#search-results >> Fleet tracker Stockholm");
    keep(&mut tab, "search-1280");
}

/// Begins a rotation, with callers on both sides of it; the page that shows the key is a picture of its own, with
/// a key that is ended before anybody could read it there.
fn rotate(world: &World, tab: &mut Tab, fleet: &crate::world::Key) {
    tab.open_path(&format!("/keys/{}/rotate", fleet.id));
    tab.follow("button >> Rotate and show the new key");
    let new = tab.sees("#secret");
    for number in 0..500 {
        let is_late = number % 40 == 7;
        let key = if is_late { &fleet.key } else { &new };
        let from = if is_late { "10.2.3.4" } else { "10.1.4.20" };
        assert_eq!(world.send(Call::get("/routes?from=Kista&to=Solna", key, from)), 200);
    }
    world.settled();
    tab.open_path("/consumers?search=city");
    tab.follow("tbody a >> city-portal");
    tab.follow("a >> New key");
    tab.fill("#name", "Bus stops, display 14");
    tab.choose("#policy", "standard");
    keep(tab, "key-new-1280");
    tab.follow("button >> Create key");
    tab.sees("#secret");
    keep(tab, "key-created-1280");
}

fn keep(tab: &mut Tab, name: &str) {
    let picture = tab.picture();
    assert!(picture.starts_with(b"\x89PNG"), "a picture is PNG");
    assert!(picture.len() < PICTURE_BYTES_MAX, "{name} has {} bytes", picture.len());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(FOLDER).expect("make the folder of pictures");
        std::fs::write(Path::new(FOLDER).join(format!("{name}.png")), picture).expect("write a picture");
    }
}
