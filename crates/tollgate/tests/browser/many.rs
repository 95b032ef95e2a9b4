//! Many keys at once: made for many consumers, and changed by filter.

use crate::keys::assert_gone;
use crate::traffic::Call;
use crate::world::{BOTH, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn keys_for_many_consumers_are_shown_once() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/keys/many");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.fill("#consumers", "android-team, Spring campaign\nno-such-consumer");
        tab.choose("#policy", "standard");
        tab.follow("button >> Create the keys");
        tab.sees(".error, [role=alert]");
        tab.fill("#consumers", "android-team, Spring campaign\ncity-portal, Spring campaign");
        tab.follow("button >> Create the keys");
        let table = tab.exact("#table");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        let keys: Vec<String> = table
            .split(['\n', ',', '"'])
            .filter(|cell| cell.starts_with("mbk_live_"))
            .map(|cell| cell.trim().to_owned())
            .collect();
        assert_eq!(keys.len(), 2, "{table}");
        for key in &keys {
            assert_eq!(world.send(Call::get("/tiles/1", key, "192.0.2.1")), 200);
        }
        tab.click("label >> I have stored the keys");
        tab.follow("button >> Done");
        keys.iter().for_each(|key| assert_gone(&mut tab, key));
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn keys_are_tagged_and_revoked_by_filter_with_progress() {
    let world = World::furnished();
    for (round, screen) in BOTH.into_iter().enumerate() {
        let name = format!("Trial {round}");
        let keys: Vec<_> = (0..3).map(|number| world.new_key(&format!("{name}, {number}"))).collect();
        world.settled();
        let mut tab = world.owner(screen);
        tab.open_path("/keys");
        tab.fill("#f-search", &name);
        tab.follow("button >> Filter");
        let found = tab.path();
        tab.follow("a[href^='/keys/bulk']");
        assert!(tab.sees("h1").contains("3 keys"));
        tab.click("label >> Tag them");
        tab.fill("#set", &format!("season = spring-{round}"));
        tab.follow("main button >> Change 3 keys");
        tab.sees("h2 >> 3 of 3 looked at");
        tab.follow("a >> Keys it changed");
        assert_eq!(tab.count("tbody tr"), 3);
        tab.follow(&format!("tbody a >> {name}"));
        tab.sees(&format!(".tag >> season: spring-{round}"));
        // The tag finds them again.
        tab.open_path("/keys");
        tab.fill("#f-metadata", &format!("season=spring-{round}"));
        tab.follow("button >> Filter");
        assert_eq!(tab.count("tbody tr"), 3);

        tab.open_path(&found);
        tab.follow("a[href^='/keys/bulk']");
        tab.click("label >> Revoke them");
        tab.follow("main button >> Change 3 keys");
        tab.sees("#count-hint");
        tab.click("label >> Revoke them");
        tab.fill("#count", "3");
        tab.follow("main button >> Change 3 keys");
        tab.sees("h2 >> 3 of 3 looked at");
        for key in &keys {
            assert_eq!(world.send(Call::get("/tiles/1", &key.key, "192.0.2.1")), 401);
        }
        tab.open_path("/keys/jobs");
        assert_eq!(tab.count("tbody tr"), 2 * (round + 1));
    }
}
