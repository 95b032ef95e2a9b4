//! Audit, members, service tokens, the own account: what administrators and auditors do.

use tollgate_testkit::browser::{Screen, Tab};

use crate::keys::assert_gone;
use crate::world::{OWNER, PASSWORD, World, sign_in};

const BOTH: [Screen; 2] = [Screen::DESK, Screen::PHONE];

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn the_audit_shows_before_and_after_and_its_chain_is_verified() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/audit");
        tab.sees("tbody tr >> Session: start");
        tab.follow("a >> Verify the chain");
        tab.sees(".note.good");
        tab.fill("#f-subject", &world.key("Map of the 2025 fair").id);
        tab.follow("button >> Filter");
        assert_eq!(tab.count("tbody tr"), 2, "created, then expired");
        tab.click("tbody tr summary");
        tab.sees("tbody tr .new");
        tab.follow("tbody a");
        tab.sees("h1 >> Audit");
        tab.sees("tbody .new");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn the_audit_is_exported() {
    let world = World::shared();
    let mut tab = world.owner(Screen::DESK);
    tab.open_path("/audit");
    let href = tab.attribute("a >> Export", "href");
    let fetched = tab.fetch(&href);
    assert!(fetched.lines().count() > 20, "{fetched}");
    assert!(fetched.lines().all(|line| line.starts_with('{')), "one JSON object a line");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn the_last_owner_keeps_the_role() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/settings");
        tab.follow("a >> Members");
        tab.sees("tbody >> owner@example.com");
        tab.follow("tbody a >> owner@example.com");
        tab.choose("select[name=role]", "auditor");
        tab.follow("button >> Save role");
        tab.sees("[role=alert] >> owner");
        tab.open_path("/settings/members");
        tab.sees("tbody tr >> owner");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_service_token_is_shown_once_and_revoked() {
    let world = World::shared();
    for (screen, name) in BOTH.into_iter().zip(["edge-proxy", "billing"]) {
        let mut tab = world.owner(screen);
        tab.open_path("/settings");
        tab.follow("a >> Service tokens");
        tab.fill("#name", name);
        tab.fill("#services", "no-such-service");
        tab.follow("button >> Create token");
        tab.sees("[role=alert] >> there is no service");
        tab.fill("#services", "tiles");
        tab.follow("button >> Create token");
        let token = tab.sees("#secret");
        assert!(token.starts_with("tgs_"), "{token}");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.click("label >> I have stored the token");
        tab.follow("button >> Done");
        tab.sees(&format!("tbody tr >> {name}"));
        assert_gone(&mut tab, &token);
        tab.back();
        assert_gone(&mut tab, &token);
        tab.open_path("/settings/tokens");
        tab.click("summary >> Revoke…");
        tab.follow("button >> Revoke token");
        tab.sees("tbody >> revoked");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn settings_say_how_people_sign_in_and_how_the_node_is() {
    let world = World::shared();
    let mut tab = world.owner(Screen::PHONE);
    tab.open_path("/settings");
    tab.sees("section >> Unused session ends");
    tab.sees("section >> database");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn an_account_ends_another_session_and_changes_its_password() {
    let world = World::furnished();
    let mut other = world.owner(Screen::PHONE);
    let mut tab = world.owner(Screen::DESK);
    tab.open_path("/account");
    assert_eq!(tab.count("tbody tr"), 2);
    tab.follow("tbody button >> End");
    tab.sees(".toast >> Session ended");
    assert_eq!(tab.count("tbody tr"), 1);
    other.open_path("/keys");
    other.is_at("/sign-in");

    change_password(&mut tab, "not the present one", "a better horse battery staple");
    tab.sees(".error, [role=alert]");
    change_password(&mut tab, PASSWORD, "a better horse battery staple");
    tab.sees(".toast >> Password changed");
    tab.follow("main button >> Sign out");
    sign_in(&mut tab, OWNER, PASSWORD);
    tab.sees("[role=alert]");
    sign_in(&mut tab, OWNER, "a better horse battery staple");
    tab.is_at("/");
}

fn change_password(tab: &mut Tab, present: &str, new: &str) {
    tab.fill("#current_password", present);
    tab.fill("#new_password", new);
    tab.follow("button >> Change password");
}
