//! The main flows by keyboard alone; every stop of Tab on the way shows that it has the focus.

use tollgate_testkit::browser::Screen;

use crate::keys::{assert_gone, shown_key};
use crate::world::{BOTH, OWNER, PASSWORD, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn signing_in_and_making_a_key_need_no_mouse() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE] {
        let mut tab = world.tab(screen);
        tab.tab_to("#email");
        tab.type_text(OWNER);
        tab.tab_to("#password");
        tab.type_text(PASSWORD);
        tab.leave(|tab| tab.press("Enter"));
        tab.is_at("/");
        // The first stop leads past the navigation.
        tab.press("Tab");
        assert!(tab.focus().what.contains("Skip to content"));
        tab.open_path("/keys");
        tab.tab_to("a >> New key");
        tab.leave(|tab| tab.press("Enter"));
        tab.tab_to("#consumer");
        tab.type_text("city-portal");
        tab.leave(|tab| tab.press("Enter"));
        tab.tab_to("#name");
        tab.type_text("By keyboard");
        tab.tab_to("button >> Create key");
        tab.leave(|tab| tab.press("Enter"));
        let (key, _) = shown_key(&mut tab);
        assert!(tab.focus().what.contains("Copy key"), "the most useful control has the focus");
        tab.tab_to("input[type=checkbox]");
        tab.press("Space");
        tab.tab_to("#done");
        tab.leave(|tab| tab.press("Enter"));
        assert_eq!(tab.sees("h1"), "By keyboard");
        assert_gone(&mut tab, &key);
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_key_is_disabled_by_keyboard() {
    let world = World::shared();
    let own = world.new_key("Keyboard switch");
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path(&format!("/keys/{}", own.id));
        tab.tab_to("a >> Disable…");
        tab.leave(|tab| tab.press("Enter"));
        tab.tab_to("button >> Disable key");
        tab.leave(|tab| tab.press("Space"));
        tab.sees(".pill >> Disabled");
        tab.press("Tab");
        tab.tab_to("button >> Enable");
        tab.leave(|tab| tab.press("Enter"));
        tab.sees(".pill >> Active");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn everything_is_searched_from_one_box() {
    let world = World::shared();
    let key = world.key("Fleet tracker Stockholm");
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.press("/");
        tab.sees("#search-text");
        tab.type_text("fleet");
        tab.sees("#search-results >> Fleet tracker Stockholm");
        tab.sees("#search-results >> fleet-tracker");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        assert_eq!(tab.overflow(), 0);
        tab.tab_to("#search-results a");
        tab.leave(|tab| tab.press("Enter"));
        assert_eq!(tab.path(), format!("/keys/{}", key.id));
        // A whole key is looked for by its last four characters and never repeated.
        tab.click(".find");
        tab.sees("#search-text");
        tab.fill("#search-text", &key.key);
        tab.sees("#search-results >> Fleet tracker Stockholm");
        assert_gone(&mut tab, &key.key);
        // A code leads to its events.
        tab.fill("#search-text", "scope_missing");
        tab.follow("#search-results a >> scope_missing");
        tab.is_at("/events");
        tab.press("/");
        tab.press("Escape");
        tab.wait("the dialog to close", |tab| (tab.count("dialog[open]") == 0).then_some(()));
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn search_finds_without_scripts() {
    let world = World::shared();
    let mut tab = world.owner(Screen::PHONE.without_script());
    tab.follow(".find");
    tab.fill("main input[name=q]", "city");
    tab.follow("main button >> Search");
    tab.follow("main .results a >> city-portal");
    assert_eq!(tab.sees("h1"), "city-portal");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn single_keys_go_places_and_can_be_switched_off() {
    let world = World::furnished();
    let mut tab = world.owner(Screen::DESK);
    for (letter, path) in
        [("e", "/events"), ("c", "/consumers"), ("k", "/keys"), ("p", "/policies"), ("o", "/")]
    {
        tab.press("g");
        tab.leave(|tab| tab.press(letter));
        tab.is_at(path);
    }
    tab.leave(|tab| tab.press("2"));
    tab.sees(".head .hint >> last 6 h");
    tab.press("?");
    tab.sees("#shortcuts >> Search everything");
    tab.press("Escape");
    tab.open_path("/consumers");
    tab.press("j");
    tab.press("j");
    tab.leave(|tab| tab.press("Enter"));
    tab.leave(|tab| tab.press("Escape"));
    tab.is_at("/consumers");
    let light = tab.background();
    tab.press("t");
    assert_ne!(tab.background(), light);
    tab.reload();
    assert_ne!(tab.background(), light, "the theme stays");
    tab.open_path("/account");
    tab.follow("button >> Switch off");
    tab.press("g");
    tab.press("k");
    tab.press("/");
    tab.is_at("/account");
    assert_eq!(tab.count("dialog[open]"), 0);
}
