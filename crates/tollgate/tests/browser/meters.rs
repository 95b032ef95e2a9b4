//! Dashboards of widgets: made, filled, arranged, shared and deleted by people, at both widths.

use crate::world::{BOTH, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_dashboard_is_made_filled_arranged_and_deleted() {
    let world = World::furnished();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/meters");
        tab.sees("tbody a >> requests");
        tab.follow("tbody a >> requests");
        tab.sees("h1 >> requests");
        tab.open_path("/dashboards");
        tab.fill("#name", "Traffic of maps");
        tab.follow("button >> Create dashboard");
        tab.sees("h1 >> Traffic of maps");
        tab.fill("#title", "All requests");
        tab.follow("button >> Add widget");
        tab.sees("h2 >> All requests");
        for (form, title) in [("bars", "As bars"), ("number", "As a number"), ("table", "As a table")] {
            tab.fill("#title", title);
            tab.choose("#form", form);
            tab.follow("button >> Add widget");
            tab.sees(&format!("h2 >> {title}"));
        }
        assert_eq!(tab.count("section footer a.small"), 4, "a widget each");
        tab.follow("button >> Later");
        tab.follow("button >> Wide");
        tab.follow("button >> Remove");
        assert_eq!(tab.count("section footer a.small"), 3);
        tab.follow("a >> Done");
        tab.sees("h2 >> As a number");
        tab.follow("a >> Edit");
        tab.click("label >> shared with the tenant");
        tab.follow("button >> Save");
        tab.open_path("/dashboards");
        tab.sees("td >> all");
        tab.follow("tbody a");
        tab.follow("a >> Edit");
        tab.click("summary >> Delete");
        tab.follow("button >> Delete dashboard");
        tab.is_at("/dashboards");
        tab.sees("h2 >> No dashboards yet");
    }
}
