//! Rules: written as form and TOML, tried on what was recorded; whom they block is seen and lifted on the page of
//! the key.

use std::time::{Duration, Instant};

use crate::{
    traffic::Call,
    world::{BOTH, World},
};

/// Sends requests until one is answered so.
fn until(world: &World, key: &str, status: u16) {
    let began = Instant::now();
    while world.send(Call::get("/tiles/1", key, "192.0.2.80")) != status {
        assert!(began.elapsed() < Duration::from_secs(20), "no answer {status} came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_rule_is_written_tried_blocks_a_key_and_the_block_is_lifted() {
    let world = World::furnished();
    for (number, screen) in BOTH.into_iter().enumerate() {
        let name = format!("flood-{number}");
        let mut tab = world.owner(screen);
        tab.open_path("/rules");
        tab.follow("a >> New rule");
        tab.fill("#r-above", "20");
        tab.choose("#r-service", "tiles");
        tab.choose("#r-closes", "tiles");
        tab.choose("#r-mode", "enforce");
        tab.fill("#r-until", "manual");
        tab.follow("button >> Put into the TOML");
        let toml = tab.exact("[name=toml]");
        assert!(toml.contains("above = 20") && toml.contains("until = \"manual\""), "{toml}");
        tab.fill("[name=toml]", &toml.replace("new-rule", &name));
        tab.follow("button >> Create rule");
        assert_eq!(tab.sees("h1"), name);
        assert_eq!(tab.accessibility_problems(), [""; 0]);

        let key = world.new_key(&format!("Flooding {number}"));
        for _ in 0..21 {
            assert_eq!(world.send(Call::get("/tiles/1", &key.key, "192.0.2.80")), 200);
        }
        until(&world, &key.key, 403);
        tab.follow("button[value=try]");
        tab.sees("b >> It would have acted");
        tab.sees("#h-did");

        tab.open_path(&format!("/keys/{}", key.id));
        assert!(tab.sees(".note.bad").contains(&name));
        tab.sees("#h-blocks");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.follow("button >> Lift");
        tab.sees(".toast >> Block lifted");
        until(&world, &key.key, 200);
        tab.open_path("/blocks?all=1");
        assert!(tab.sees("tbody tr").contains(&format!("Flooding {number}")));
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        // The next width begins without this one.
        tab.open_path("/rules");
        tab.follow(&format!("tbody a >> {name}"));
        tab.click("label >> Whom it has blocked");
        tab.follow("#delete-it");
        tab.is_at("/rules");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_mistake_in_a_rule_is_named_and_nothing_is_saved() {
    let world = World::shared();
    let mut tab = world.owner(tollgate_testkit::browser::Screen::DESK);
    tab.open_path("/rules/new");
    tab.fill("#r-window", "often");
    tab.follow("button >> Create rule");
    assert!(tab.sees(".error").contains("often"));
    tab.open_path("/rules/new");
    tab.fill("#r-window", "90d");
    tab.follow("button >> Create rule");
    assert!(tab.sees("[role=alert]").contains("30d"));
}
