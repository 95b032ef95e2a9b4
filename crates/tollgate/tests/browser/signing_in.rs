//! Getting in and out: by password, wrongly, after the session ended, and without scripts.

use std::time::Duration;

use tollgate_testkit::browser::Screen;

use crate::world::{OWNER, PASSWORD, World, sign_in};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn the_owner_signs_in_and_out() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE, Screen::DESK.dark(), Screen::PHONE.without_script()] {
        let mut tab = world.tab(screen);
        sign_in(&mut tab, OWNER, PASSWORD);
        tab.is_at("/");
        assert_eq!(tab.sees("h1"), "Overview");
        tab.open_path("/account");
        assert!(tab.sees("h1").contains(OWNER));
        tab.follow("main button >> Sign out");
        tab.is_at("/sign-in");
        // Neither the address nor the button for going back shows anything again.
        tab.open_path("/keys");
        tab.is_at("/sign-in");
        tab.back();
        tab.is_at("/sign-in");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_wrong_password_says_so_and_keeps_the_address_typed() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE.without_script()] {
        let mut tab = world.tab(screen);
        sign_in(&mut tab, "nobody@example.com", "wrong horse battery staple");
        tab.is_at("/sign-in");
        let problem = tab.sees("[role=alert]");
        assert!(!problem.contains("nobody"), "it does not tell who exists: {problem}");
        assert_eq!(tab.sees("#email"), "nobody@example.com");
        assert_eq!(tab.sees("#password"), "");
        if screen.has_script {
            assert_eq!(tab.accessibility_problems(), [""; 0]);
        }
        sign_in(&mut tab, OWNER, PASSWORD);
        tab.is_at("/");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn signing_in_leads_to_the_page_that_was_asked_for() {
    let world = World::shared();
    let mut tab = world.tab(Screen::DESK);
    tab.open_path("/events?code=scope_missing&range=24h");
    tab.is_at("/sign-in");
    sign_in(&mut tab, OWNER, PASSWORD);
    assert_eq!(tab.path(), "/events?code=scope_missing&range=24h");
    tab.open_path("/sign-in?next=https://evil.example/");
    sign_in(&mut tab, OWNER, PASSWORD);
    tab.is_at("/");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn an_unused_session_ends_and_a_form_sent_too_late_changes_nothing() {
    let world = World::furnished();
    let mut tab = world.owner(Screen::DESK);
    tab.open_path("/consumers/new");
    tab.fill("#name", "too-late");
    world.age_sessions(Duration::from_secs(3600), Duration::ZERO);
    tab.follow("button >> Create consumer");
    tab.is_at("/sign-in");
    sign_in(&mut tab, OWNER, PASSWORD);
    tab.open_path("/consumers?search=too-late");
    tab.sees("h2 >> No consumer fits this filter");
}
