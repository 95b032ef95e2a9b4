//! Policies: a form and its TOML as two views of one draft, and a request tried against it.

use tollgate_testkit::browser::Screen;

use crate::world::World;

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_policy_is_drafted_tried_saved_and_deleted() {
    let world = World::shared();
    let screens = [Screen::DESK, Screen::PHONE, Screen::DESK.without_script()];
    for (number, screen) in screens.into_iter().enumerate() {
        let name = format!("draft-{number}");
        let mut tab = world.owner(screen);
        tab.open_path("/policies");
        tab.follow("a >> New policy");
        tab.fill("#p-services", "tiles");
        tab.fill("#p-allow_ips", "192.0.2.0/24");
        tab.follow("button >> Put into the TOML");
        let toml = tab.exact("[name=toml]");
        assert!(toml.contains("192.0.2.0/24") && toml.contains("tiles"), "{toml}");
        tab.fill("[name=toml]", &toml.replace("new-policy", &name));
        tab.follow("button >> Create policy");
        assert_eq!(tab.sees("h1"), name);
        // What it would do, asked of the draft.
        tab.choose("#t-service", "tiles");
        tab.fill("#t-path", "/tiles/1");
        tab.fill("#t-address", "198.51.100.1");
        tab.follow("button[value=try]");
        tab.sees(".line >> ip_not_allowed");
        assert!(tab.sees(".trace .failed").contains("198.51.100.1"));
        tab.fill("#t-address", "192.0.2.80");
        tab.follow("button[value=try]");
        tab.sees(".line >> valid");
        assert_eq!(tab.count(".trace .failed"), 0);
        tab.click("label >> No key has it");
        tab.follow("#delete-it");
        tab.is_at("/policies");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn toml_and_form_are_one_draft_and_a_mistake_is_named_where_it_is() {
    let world = World::shared();
    let mut tab = world.owner(Screen::DESK);
    tab.open_path("/policies");
    tab.follow("tbody a >> partner");
    let toml = tab.exact("[name=toml]");
    tab.fill("[name=toml]", &toml.replace("192.0.2.0/24", "198.51.100.0/24"));
    tab.follow("button >> Put into the form");
    assert!(tab.sees("#p-allow_ips").contains("198.51.100.0/24"));
    tab.sees(".pill >> Draft, not saved");
    tab.fill("#p-allow_ips", "10.0.0.0/99");
    tab.follow("button >> Save for");
    assert!(tab.sees(".error").contains("10.0.0.0/99"));
    assert_eq!(tab.accessibility_problems(), [""; 0]);
    tab.fill("[name=toml]", "name = ");
    tab.follow("button >> Put into the form");
    assert!(tab.sees(".error").contains("line 1"));
    tab.open_path("/policies");
    tab.follow("tbody a >> partner");
    assert!(tab.sees("[name=toml]").contains("192.0.2.0/24"), "nothing was saved");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_saved_policy_decides_at_once_and_somebody_elses_change_is_not_lost() {
    let world = World::furnished();
    let key = world.new_key("Under change");
    let mut tab = world.owner(Screen::DESK);
    let mut other = world.owner(Screen::DESK);
    for tab in [&mut tab, &mut other] {
        tab.open_path("/policies");
        tab.follow("tbody a >> standard");
    }
    tab.fill("#p-allow_ips", "192.0.2.0/24");
    tab.follow("button >> Save for");
    tab.sees(".toast >> Saved");
    let call = |from| world.send(crate::traffic::Call::get("/tiles/1", &key.key, from));
    assert_eq!((call("192.0.2.9"), call("198.51.100.9")), (200, 403));
    other.fill("#p-allow_ips", "198.51.100.0/24");
    other.follow("button >> Save for");
    other.sees("[role=alert]");
    assert_eq!((call("192.0.2.9"), call("198.51.100.9")), (200, 403), "the first change stays");
}
