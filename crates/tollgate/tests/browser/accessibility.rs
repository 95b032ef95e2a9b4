//! Every page at both widths, in light and dark: nothing stands in anybody's way, nothing is cut off.
//!
//! `TOLLGATE_PICTURES=FOLDER` also keeps a picture of each, for whoever changes how pages look.

use std::path::PathBuf;

use tollgate_testkit::browser::{Screen, Tab};

use crate::world::World;

/// Pages without an object of their own.
const PAGES: [&str; 40] = [
    "/",
    "/?range=7d",
    "/events",
    "/events?outcome=refused&range=24h",
    "/events?consumer=nobody",
    "/usage",
    "/usage?by=key&range=24h",
    "/consumers",
    "/consumers?search=zzz",
    "/consumers/new",
    "/keys",
    "/keys?search=zzz",
    "/keys/new",
    "/keys/many",
    "/keys/bulk?consumer=android-team",
    "/keys/jobs",
    "/confirm?next=/account",
    "/policies",
    "/policies/new",
    "/rules",
    "/rules/new",
    "/blocks",
    "/services",
    "/audit",
    "/search",
    "/settings",
    "/settings/members",
    "/settings/tokens",
    "/settings/secrets",
    "/settings/webhooks",
    "/settings/records",
    "/events/notices",
    "/budgets",
    "/dashboards",
    "/meters",
    "/budgets/new",
    "/prices",
    "/spend",
    "/services/new",
    "/account",
];

/// Addresses of one of each kind of object, found as a person finds them.
fn objects(tab: &mut Tab, world: &World) -> Vec<String> {
    let mut found = Vec::new();
    for (list, link) in [
        ("/consumers?search=fleet", "tbody a >> fleet-tracker"),
        ("/policies", "tbody a >> partner"),
        ("/services", "tbody a >> tiles"),
        ("/rules", "tbody a >> maps-flood"),
        ("/events?code=ip_not_allowed", "#events tbody a"),
        ("/audit", "tbody a"),
    ] {
        tab.open_path(list);
        found.push(tab.attribute(link, "href"));
    }
    if let Some(consumer) = found.first().cloned() {
        found.push(format!("{consumer}/edit"));
        let id = consumer.rsplit('/').next().unwrap_or_default().to_owned();
        found.push(format!("/keys/new?consumer={id}"));
    }
    let key = &world.key("Android app, production").id;
    found.push(format!("/keys/{key}"));
    found.extend(["rotate", "disable", "revoke", "finish"].map(|act| format!("/keys/{key}/{act}")));
    found.push("/keys/key_0000000000000".to_owned());
    found.push("/nowhere".to_owned());
    found
}

fn look_at_everything(screen: Screen) {
    let world = World::shared();
    let mut tab = world.tab(screen);
    for path in ["/sign-in", "/forgot", "/invitation", "/reset"] {
        tab.open_path(path);
        keep(&mut tab, path, screen);
    }
    drop(tab);
    let mut tab = world.owner(screen);
    let objects = objects(&mut tab, &world);
    for path in PAGES.map(str::to_owned).into_iter().chain(objects) {
        tab.open_path(&path);
        keep(&mut tab, &path, screen);
    }
}

/// Keeps a picture, where somebody wants them. The tab itself looks what stands in people's way.
fn keep(tab: &mut Tab, path: &str, screen: Screen) {
    if let Some(folder) = std::env::var_os("TOLLGATE_PICTURES").map(PathBuf::from) {
        let name: String = path.chars().map(|sign| if sign.is_alphanumeric() { sign } else { '-' }).collect();
        let theme = if screen.is_dark { "dark" } else { "light" };
        let file = folder.join(format!("{}-{theme}{name}.png", screen.width));
        std::fs::write(file, tab.whole_picture()).expect("write a picture");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn every_page_is_accessible_on_a_desk() {
    look_at_everything(Screen::DESK);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn every_page_is_accessible_on_a_phone() {
    look_at_everything(Screen::PHONE);
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn every_page_is_accessible_in_the_dark() {
    look_at_everything(Screen::DESK.dark());
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn every_page_is_accessible_on_a_phone_in_the_dark() {
    look_at_everything(Screen::PHONE.dark());
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn dialogs_are_accessible_while_they_are_open() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE.dark()] {
        let mut tab = world.owner(screen);
        tab.click(".find");
        tab.sees("#search-text");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.press("Escape");
        tab.press("?");
        tab.sees("#shortcuts >> Search everything");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.press("Escape");
        if screen.width < 800 {
            tab.click("button >> Open navigation");
            tab.sees("#nav >> Policies");
            assert_eq!(tab.accessibility_problems(), [""; 0]);
        }
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn what_a_page_must_not_do_is_noticed() {
    let world = World::shared();
    let mut tab = world.owner(Screen::DESK);
    let _ = tab.ask("() => document.body.setAttribute('style', 'color: red')", &[]);
    tab.wait("the broken policy", |tab| {
        tab.take_problems().iter().any(|line| line.contains("Content Security Policy")).then_some(())
    });
    let _ = tab.ask("() => { document.body.innerHTML += '<img alt=x src=http://127.0.0.1:9/x.png>'; }", &[]);
    tab.wait("the other host", |tab| (!tab.take_problems().is_empty()).then_some(()));
    let _ = tab.ask("() => { console.error('broken'); }", &[]);
    tab.wait("the logged error", |tab| {
        tab.take_problems().iter().any(|line| line.contains("broken")).then_some(())
    });
    let _ = tab.ask("() => { document.body.innerHTML = '<input><button></button>'; }", &[]);
    assert!(tab.accessibility_problems().iter().any(|line| line.starts_with("label:")));
    let _ = tab.take_problems();
}
