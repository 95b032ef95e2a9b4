//! Many keys at once: made for many consumers, and changed by filter.

use tollgate_testkit::browser::Screen;

use crate::keys::assert_gone;
use crate::traffic::Call;
use crate::world::World;

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn keys_for_many_consumers_are_shown_once() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE] {
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
    let keys: Vec<_> = (0..3).map(|number| world.new_key(&format!("Trial {number}"))).collect();
    world.settled();
    for screen in [Screen::DESK, Screen::PHONE] {
        let mut tab = world.owner(screen);
        tab.open_path("/keys?search=Trial&state=active");
        tab.follow("a[href^='/keys/bulk']");
        assert!(tab.sees("h1").contains("3 keys"));
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        assert_eq!(tab.overflow(), 0);
        if screen == Screen::DESK {
            tab.click("label >> Tag them");
            tab.fill("#set", "season = spring");
            tab.follow("main button >> Change 3 keys");
            tab.sees("h2 >> 3 of 3 looked at");
            assert_eq!(tab.accessibility_problems(), [""; 0]);
            tab.follow("a >> Keys it changed");
            assert_eq!(tab.count("tbody tr"), 3);
            continue;
        }
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
        assert_eq!(tab.count("tbody tr"), 2);
        assert_eq!(tab.accessibility_problems(), [""; 0]);
    }
}
