//! Audit, members, service tokens, the own account: what administrators and auditors do.

use std::time::Duration;

use tollgate_testkit::browser::{Answer, Screen, Tab};

use crate::keys::assert_gone;
use crate::world::{BOTH, OWNER, PASSWORD, World, alter, sign_in};

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
fn the_audit_is_exported_after_a_fresh_sign_in() {
    let world = World::furnished();
    let key = world.key("Map of the 2025 fair").id.clone();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        world.age_sessions(Duration::ZERO, Duration::from_secs(11 * 60));
        tab.open_path(&format!("/audit?subject={key}"));
        tab.follow("a >> Export…");
        tab.is_at("/confirm");
        tab.fill("#password", "not the password");
        tab.follow("button >> Confirm");
        tab.sees("[role=alert]");
        tab.fill("#password", PASSWORD);
        tab.follow("button >> Confirm");
        assert_eq!(tab.path(), format!("/audit?subject={key}"), "back where one was");
        let href = tab.attribute("a >> Export", "href");
        let about = tab.fetch(&href);
        assert_eq!(about.lines().count(), 2, "created, then expired: {about}");
        tab.follow("a >> Clear");
        let href = tab.attribute("a >> Export", "href");
        let all = tab.fetch(&href);
        assert!(all.lines().count() > 20, "{all}");
        assert!(all.lines().all(|line| line.starts_with('{')), "one JSON object a line");
        // A browser keeps it as a file and stays where it is.
        tab.click("a >> Export");
        tab.wait("the file", |tab| {
            let is_it = |answer: &Answer| answer.url.ends_with("/api/admin/v1/audit/export");
            tab.answers().iter().any(is_it).then_some(())
        });
        tab.is_at("/audit");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn checkpoints_are_shown_and_an_altered_change_is_found() {
    let mut world = World::furnished();
    // A node that ends in order signs what changed since the last checkpoint.
    world.node.restart();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/audit");
        tab.sees(".note >> Last checkpoint");
        tab.follow("a >> Verify the chain");
        tab.sees(".note.good >> The chain holds");
    }
    let export = world.node.folder().join("audit.jsonl");
    let _ = world.node.cli(&["audit", "export", "--to", &export.display().to_string()]).success();
    assert_eq!(world.node.json(&["audit", "verify"])["intact"], true);
    assert_eq!(alter(&world.node, "UPDATE changes SET actor = 'os:nobody' WHERE seq = 3"), 1);
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/audit?verify=now");
        tab.sees(".note.bad >> The chain is broken at change 3");
    }
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
fn settings_say_how_people_sign_in_what_is_kept_and_how_the_node_is() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/settings");
        tab.sees("section >> Unused session ends");
        let kept = tab.sees("section >> Retention and reminders");
        for words in [
            "30 days; what they sum up to stays",
            "by hour400 days",
            "30, 7 and 1 days before",
            "365 days old",
        ] {
            assert!(kept.contains(words), "{words}: {kept}");
        }
        tab.sees("section >> database");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn an_account_ends_another_session_and_changes_its_password() {
    let world = World::furnished();
    let passwords = [PASSWORD, "a better horse battery staple", "the best horse battery staple"];
    for (screen, pair) in BOTH.into_iter().zip(passwords.windows(2)) {
        let [present, new] = pair else { continue };
        let mut other = world.tab(Screen::PHONE);
        sign_in(&mut other, OWNER, present);
        let mut tab = world.tab(screen);
        sign_in(&mut tab, OWNER, present);
        tab.open_path("/account");
        tab.follow("button >> End all others");
        other.open_path("/keys");
        sign_in(&mut other, OWNER, present);
        tab.reload();
        assert_eq!(tab.count("tbody tr"), 2);
        tab.follow("tbody button >> End");
        tab.sees(".toast >> Session ended");
        assert_eq!(tab.count("tbody tr"), 1);
        other.open_path("/keys");
        other.is_at("/sign-in");
        change_password(&mut tab, "not the present one", new);
        tab.sees(".error, [role=alert]");
        change_password(&mut tab, present, new);
        tab.sees(".toast >> Password changed");
        tab.follow("main button >> Sign out");
        sign_in(&mut tab, OWNER, present);
        tab.sees("[role=alert]");
        sign_in(&mut tab, OWNER, new);
        tab.is_at("/");
    }
}

fn change_password(tab: &mut Tab, present: &str, new: &str) {
    tab.fill("#current_password", present);
    tab.fill("#new_password", new);
    tab.follow("button >> Change password");
}
