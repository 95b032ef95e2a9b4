//! From a figure of the overview to the decision behind it and the words that explain it.

use tollgate_testkit::browser::Screen;

use crate::world::{BOTH, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn from_the_overview_to_the_checks_of_one_refusal() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE, Screen::PHONE.without_script()] {
        let mut tab = world.owner(screen);
        for range in ["1 h", "24 h", "7 d", "30 d"] {
            tab.follow(&format!(".ranges a >> {range}"));
            tab.sees(&format!(".head .hint >> last {range}"));
            tab.sees(".figure >> Requests");
        }
        tab.follow(".ranges a >> 24 h");
        tab.follow(".bars a >> ip_not_allowed");
        tab.is_at("/events");
        tab.sees(".chip >> ip_not_allowed");
        tab.follow("#events tbody a");
        let trace = tab.sees(".trace .failed");
        assert!(trace.contains("10.0.0.0/8") || trace.contains("192.0.2.0/24"), "{trace}");
        tab.follow("footer a >> All of this key");
        tab.sees(".chip >> key_");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_refusal_names_the_value_the_rule_and_the_policy() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/events?code=ip_not_allowed&consumer=fleet-tracker&range=1h&address=172.16.9.9");
        tab.follow("#events tbody a");
        let trace = tab.sees(".trace .failed");
        assert!(trace.contains("172.16.9.9") && trace.contains("10.0.0.0/8"), "{trace}");
        tab.follow(".trace a >> policy partner");
        assert_eq!(tab.sees("h1"), "partner");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn events_are_filtered_by_everything_and_paged_by_cursor() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE] {
        let mut tab = world.owner(screen);
        tab.open_path("/events?range=24h");
        tab.fill("#f-consumer", "fleet-tracker");
        tab.follow(".filters button >> Filter");
        tab.sees(".chip >> fleet-tracker");
        tab.fill("#f-service", "routes");
        tab.follow(".filters button >> Filter");
        tab.fill("#f-address", "203.0.113.0/28");
        tab.follow(".filters button >> Filter");
        assert_eq!(tab.count("#events tbody tr"), 50, "{}", tab.path());
        let first = tab.sees("#events tbody a");
        tab.follow("#events footer a >> Older");
        assert_ne!(tab.sees("#events tbody a"), first);
        tab.sees(".chip >> 203.0.113.0/28");
        tab.follow(".chip a[aria-label*='Consumer'], .chip a[aria-label*='consumer']");
        tab.leave(|tab| tab.choose("#f-outcome", "limited"));
        tab.sees(".chip >> limited");
        tab.fill("#f-address", "no address");
        tab.follow(".filters button >> Filter");
        tab.sees("[role=alert]");
        tab.follow("a >> Clear the filter");
        assert_eq!(tab.path(), "/events");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_live_tail_shows_what_happens_now() {
    let world = World::furnished();
    let key = world.new_key("Tailed");
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/events?range=1h");
        tab.follow("a >> Live tail");
        tab.wait("the tail to be on", |tab| {
            (tab.attribute("[data-live]", "aria-pressed") == "true").then_some(())
        });
        let name = format!("while-looking-{}", screen.width);
        let path = format!("/tiles/{name}.png");
        assert_eq!(world.send(crate::traffic::Call::get(&path, &key.key, "192.0.2.1")), 200);
        tab.sees(&format!("#events tbody tr >> {name}"));
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn how_long_answers_took_is_said_of_all_and_of_each_service() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        for range in ["1h", "24h"] {
            tab.open_path(&format!("/?range={range}"));
            let figure = tab.sees(".figure >> Answer time, median");
            assert!(figure.contains("p95") && figure.contains("p99") && figure.contains("ms"), "{figure}");
        }
        tab.follow(".figure >> Answer time, median");
        tab.is_at("/usage");
        tab.open_path("/services");
        if screen == Screen::DESK {
            tab.sees("th >> p95");
        }
        tab.follow("tbody a >> tiles");
        let figure = tab.sees(".pairs >> Answer time");
        assert!(["median", "p95", "p99"].iter().all(|word| figure.contains(word)), "{figure}");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn services_say_how_their_upstreams_answered() {
    let world = World::shared();
    for screen in [Screen::DESK, Screen::PHONE] {
        let mut tab = world.owner(screen);
        tab.open_path("/services");
        tab.sees("tbody tr >> tiles");
        tab.follow("tbody a >> orders");
        assert_eq!(tab.sees("h1"), "orders");
        tab.sees("pre >> path_prefix = \"/orders\"");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn usage_is_grouped_and_leads_on() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/usage?range=24h");
        for group in ["Key", "Service", "Code"] {
            tab.follow(&format!("nav.seg[aria-label='Group by'] a >> {group}"));
            tab.sees("tbody tr >> All");
        }
    }
}
