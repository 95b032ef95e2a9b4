//! What needs attention: keys that expire, whose secret is old, that nobody uses.

use tollgate_testkit::Tollgate;

use crate::world::{BOTH, World, alter};

const DAY_US: i64 = 86_400_000_000;

/// Makes a key as old as this.
pub(crate) fn age(node: &Tollgate, name: &str, days: i64) {
    let aged = format!("UPDATE keys SET created_us = created_us - {} WHERE name = '{name}'", days * DAY_US);
    assert_eq!(alter(node, &aged), 1, "there is a key {name}");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn what_needs_attention_is_shown_found_and_done() {
    let world = World::furnished_after(|node| {
        let _ = node.create_key("maps", "web-shop", &["--policy", "shop", "--name", "Old till"]);
        age(node, "Old till", 400);
        age(node, "Kiosks in the town hall", 60);
    });
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.wait("the reminders", |tab| {
            tab.reload();
            (tab.count("#h-attention") == 1).then_some(())
        });
        tab.sees("section >> Needs attention");
        tab.sees("section tr >> Old till");
        for (link, name, note) in [
            ("1 expiring soon", "Kiosks in the town hall", "Expires"),
            ("1 due for rotation", "Old till", "Rotation due since"),
            ("1 not used", "Old till", "Not used"),
        ] {
            tab.open_path("/");
            tab.follow(&format!("header a >> {link}"));
            assert_eq!(tab.count("tbody tr"), 1, "{}", tab.path());
            tab.follow(&format!("tbody a >> {name}"));
            tab.sees(&format!(".note.warn >> {note}"));
        }
        // Found by the filter as well.
        tab.open_path("/keys");
        tab.leave(|tab| tab.choose("#f-attention", "unused"));
        tab.sees("tbody tr >> Old till");
        assert_eq!(tab.count("tbody tr"), 1);
    }
    // What is done about a key is done at once.
    let mut tab = world.owner(BOTH[1]);
    tab.open_path("/keys?attention=rotation_due");
    tab.follow("tbody a >> Old till");
    tab.follow("a >> Rotate…");
    tab.follow("button >> Rotate and show the new key");
    tab.click("label >> I have stored the key");
    tab.follow("button >> Done");
    tab.sees("h2 >> Rotation in progress");
    tab.sees(".note.warn >> Not used");
    assert!(!tab.html().contains("Rotation due since"));
}
