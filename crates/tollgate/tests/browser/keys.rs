//! Consumers and keys: making one, seeing a key once, rotating it while its callers move, switching it off.

use std::process::Command;

use tollgate_testkit::browser::{Screen, Tab};

use crate::traffic::Call;
use crate::world::{BOTH, Key, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_consumer_is_made_and_gets_a_key_whose_curl_works() {
    let world = World::shared();
    for (number, screen) in BOTH.into_iter().enumerate() {
        let mut tab = world.owner(screen);
        let consumer = format!("ferry-line-{number}");
        make_consumer(&mut tab, &consumer);
        tab.follow("a >> New key");
        assert_eq!(tab.sees("h1"), format!("New key for {consumer}"));
        tab.fill("#name", "Timetable in the harbour");
        tab.choose("#policy", "standard");
        tab.sees("aside >> This key will be able to");
        tab.follow("button >> Create key");
        let (key, curl) = shown_key(&mut tab);
        assert_eq!(run(&curl), 200, "{curl}");
        // Copying puts exactly the key onto the clipboard.
        tab.click("button >> Copy key");
        tab.sees(".toast >> Copied");
        let copied = tab.clipboard();
        assert_eq!(copied, key);
        // Escape does not close it, and the way on is open once it is said to be stored.
        tab.press("Escape");
        tab.press("Escape");
        tab.sees("#secret");
        assert_eq!(tab.attribute("#done", "disabled"), "");
        tab.click("label >> I have stored the key");
        tab.follow("button >> Done");
        assert_eq!(tab.sees("h1"), "Timetable in the harbour");
        assert_gone(&mut tab, &key);
        tab.back();
        assert_gone(&mut tab, &key);
        scan(&world, &key);
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_reload_shows_no_key_again_and_makes_no_second_one() {
    let world = World::shared();
    for (screen, consumer) in BOTH.into_iter().zip(["tram-line", "bus-line"]) {
        let mut tab = world.owner(screen);
        make_consumer(&mut tab, consumer);
        tab.follow("a >> New key");
        tab.fill("#name", "Reloaded");
        tab.follow("button >> Create key");
        let (key, _) = shown_key(&mut tab);
        tab.reload();
        assert_eq!(tab.sees("h1"), "Reloaded");
        assert_gone(&mut tab, &key);
        tab.open_path(&format!("/keys?consumer={consumer}"));
        assert_eq!(tab.count("tbody tr"), 1);
        assert_gone(&mut tab, &key);
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_key_is_made_without_scripts() {
    let world = World::shared();
    let mut tab = world.owner(Screen::PHONE.without_script());
    make_consumer(&mut tab, "no-script");
    tab.follow("a >> New key");
    tab.fill("#name", "Plain");
    tab.choose("#policy", "standard");
    tab.fill("#allow_ips", "not an address");
    tab.follow("button >> Create key");
    tab.sees(".error");
    assert_eq!(tab.sees("#name"), "Plain", "what was typed stays");
    tab.fill("#allow_ips", "");
    tab.follow("button >> Create key");
    let (key, curl) = shown_key(&mut tab);
    assert_eq!(run(&curl), 200, "{curl}");
    tab.click("label >> I have stored the key");
    tab.follow("button >> Done");
    assert_gone(&mut tab, &key);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_rotation_shows_who_still_uses_the_old_secret_and_ends_when_nobody_does() {
    let world = World::shared();
    for screen in BOTH {
        let old = world.new_key("Rotated");
        for _ in 0..3 {
            assert_eq!(world.send(Call::get("/tiles/1", &old.key, "10.2.3.4")), 200);
        }
        world.settled();
        let mut tab = world.owner(screen);
        tab.open_path(&format!("/keys/{}", old.id));
        tab.follow("a >> Rotate…");
        tab.sees("p >> Used");
        tab.choose("#overlap", "24h");
        tab.follow("button >> Rotate and show the new key");
        let (new, curl) = shown_key(&mut tab);
        assert_ne!(new, old.key);
        assert_eq!(run(&curl), 200);
        tab.click("label >> I have stored the key");
        tab.follow("button >> Done");
        tab.sees("h2 >> Rotation in progress");
        assert_gone(&mut tab, &new);
        // Both work; the page says who still comes with the old one.
        for (key, from) in [(&old.key, "10.2.3.4"), (&new, "192.0.2.44"), (&new, "192.0.2.44")] {
            assert_eq!(world.send(Call::get("/tiles/1", key, from)), 200);
        }
        world.settled();
        tab.reload();
        let said = tab.sees("footer >> Old secret");
        assert!(said.contains("of calls") && said.contains("10.2.3.4"), "{said}");
        tab.follow("a >> Finish rotation…");
        let warned = tab.sees("main p");
        assert!(warned.contains("10.2.3.4") && warned.contains("cannot be undone"), "{warned}");
        tab.follow("a >> Keep both for now");
        // Once nobody uses it, it can go.
        silence(&world, &new, &old);
        tab.wait("nobody to use the old secret", |tab| {
            tab.reload();
            tab.sees("footer >> Old secret").contains("It can go").then_some(())
        });
        tab.follow("a >> Finish rotation…");
        tab.follow("button >> End the old secret");
        tab.is_at(&format!("/keys/{}", old.id));
        assert_eq!(tab.count("#h-rotation"), 0);
        assert_eq!(world.send(Call::get("/tiles/1", &old.key, "10.2.3.4")), 401);
        assert_eq!(world.send(Call::get("/tiles/1", &new, "10.2.3.4")), 200);
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_key_is_disabled_enabled_and_revoked_and_the_page_says_what_breaks() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE, Screen::DESK.without_script()] {
        let own = world.new_key("Switched");
        for from in ["192.0.2.7", "192.0.2.8"] {
            assert_eq!(world.send(Call::get("/tiles/1", &own.key, from)), 200);
        }
        world.settled();
        let mut tab = world.owner(screen);
        tab.open_path(&format!("/keys/{}", own.id));
        tab.follow("a >> Disable…");
        let said = tab.sees("main p");
        assert!(said.contains("addresses") && said.contains("key_disabled"), "{said}");
        tab.follow("button >> Disable key");
        assert_eq!(world.send(Call::get("/tiles/1", &own.key, "192.0.2.7")), 403);
        tab.follow("button >> Enable");
        assert_eq!(world.send(Call::get("/tiles/1", &own.key, "192.0.2.7")), 200);
        tab.follow("a >> Revoke…");
        let said = tab.sees("main p");
        assert!(said.contains("key_revoked") && said.contains("cannot be undone"), "{said}");
        let last4 = own.key.get(own.key.len() - 4..).expect("a key");
        if screen.has_script {
            assert_eq!(tab.disabled("#do-it"), Some(true), "the button wakes by what is typed");
            tab.fill("#last4", "nope");
            assert_eq!(tab.disabled("#do-it"), Some(true));
        } else {
            tab.fill("#last4", "nope");
            tab.follow("#do-it");
            tab.sees("main >> last four");
            assert_eq!(world.send(Call::get("/tiles/1", &own.key, "192.0.2.7")), 200, "nothing happened");
            tab.open_path(&format!("/keys/{}/revoke", own.id));
        }
        tab.fill("#last4", last4);
        tab.follow("#do-it");
        tab.sees(".pill >> Revoked");
        assert_eq!(world.send(Call::get("/tiles/1", &own.key, "192.0.2.7")), 401);
        assert_eq!(tab.count("a[href$='/rotate']"), 0, "nothing more can be done with it");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_key_gets_another_name_policy_expiry_and_tags() {
    let world = World::shared();
    for screen in BOTH {
        let own = world.new_key("Edited");
        let mut tab = world.owner(screen);
        tab.open_path(&format!("/keys/{}", own.id));
        tab.fill("#name", "Edited well");
        tab.fill("#metadata", "no equals sign");
        tab.follow("button >> Save");
        tab.sees("main >> has no `=`");
        tab.open_path(&format!("/keys/{}", own.id));
        tab.sees("h1 >> Edited");
        tab.fill("#name", "Edited well");
        tab.fill("#metadata", "team = north");
        tab.choose("#policy", "partner");
        tab.choose("#expires", "30d");
        tab.follow("button >> Save");
        tab.sees(".toast >> Saved");
        assert_eq!(tab.sees("h1"), "Edited well");
        tab.sees(".tag >> team: north");
        tab.sees(".facts a >> partner");
        tab.sees(".facts >> in 2");
        assert_eq!(
            world.send(Call::get("/tiles/1", &own.key, "198.51.100.7")),
            403,
            "the policy decides at once"
        );
        // What the form leaves as it is stays.
        tab.fill("#metadata", "");
        tab.follow("button >> Save");
        tab.sees(".facts a >> partner");
        assert_eq!(tab.count(".tag.test"), 0);
        assert!(!tab.html().contains("team: north"));
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_consumer_is_edited_and_deleted() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        make_consumer(&mut tab, "short-lived");
        tab.follow("a >> Edit");
        tab.fill("#metadata", "contract = C-1");
        tab.follow("button >> Save");
        tab.sees(".tag >> contract: C-1");
        tab.follow("a >> Edit");
        assert_eq!(tab.disabled("#delete-it"), Some(true));
        tab.click("label >> Delete short-lived");
        tab.follow("#delete-it");
        tab.is_at("/consumers");
        tab.sees(".toast >> Deleted");
    }
}

/// The form of a new consumer, filled in and sent.
fn make_consumer(tab: &mut Tab, name: &str) {
    tab.open_path("/consumers");
    tab.follow("a >> New consumer");
    tab.fill("#name", name);
    tab.click("label >> partner");
    tab.follow("button >> Create consumer");
    assert_eq!(tab.sees("h1"), name);
}

/// The key and the ready command of the page that shows it once.
pub(crate) fn shown_key(tab: &mut Tab) -> (String, String) {
    let key = tab.sees("#secret");
    assert!(key.starts_with("mbk_live_"), "{key}");
    let curl = tab.sees("#curl");
    assert!(curl.contains(&key), "the command is ready as it stands");
    (key, curl)
}

/// Runs a command as it stands in a shell; the status of the answer.
fn run(curl: &str) -> u16 {
    // The page breaks the line with a backslash; read back as one line it is none.
    let line = curl.replace("\\ ", "");
    let output = Command::new("sh").args(["-c", &line]).output().expect("run a shell");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// The key is neither in the page nor in anything that the browser remembers.
pub(crate) fn assert_gone(tab: &mut Tab, key: &str) {
    let random = key.get(9..).expect("a key");
    assert!(!tab.html().contains(random), "the page has the key at {}", tab.path());
    assert!(!tab.history().contains(random), "the history has the key");
    assert!(!tab.kept().contains(random), "the browser keeps the key");
}

/// The key is in no file of the node: database, journal, log (I6).
fn scan(world: &World, key: &str) {
    let mut folders = vec![world.node.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("read a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let has_it = bytes.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!has_it, "{} has the whole key", path.display());
        }
    }
}

/// Calls with the new secret until those with the old one are no longer among the last that are looked at.
fn silence(world: &World, new: &str, old: &Key) {
    for _ in 0..500 {
        assert_eq!(world.send(Call::get("/tiles/1", new, "192.0.2.44")), 200, "{}", old.id);
    }
    world.settled();
}
