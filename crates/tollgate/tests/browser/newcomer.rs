//! A fresh installation: every page says what belongs there and what to do, and doing it leads to a first call.

use tollgate_testkit::Upstream;
use tollgate_testkit::browser::Screen;

use crate::keys::shown_key;
use crate::traffic::Call;
use crate::world::World;

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn an_empty_installation_says_what_to_do_and_gets_somebody_going() {
    let world = World::fresh();
    for screen in [Screen::DESK, Screen::PHONE.dark()] {
        let mut tab = world.owner(screen);
        tab.sees(".step >> Put a service behind the gate");
        for (path, words) in [
            ("/", "Give somebody a key"),
            ("/events", "No request was decided"),
            ("/usage", "Nothing was used"),
            ("/consumers", "No consumers yet"),
            ("/keys", "No keys yet"),
            ("/keys/new", "A key belongs to a consumer"),
            ("/policies", "No policies yet"),
            ("/services", "No services yet"),
            ("/settings/tokens", "No service tokens yet"),
        ] {
            tab.open_path(path);
            tab.sees(&format!("main >> {words}"));
            assert_eq!(tab.accessibility_problems(), [""; 0], "{path}");
            assert_eq!(tab.overflow(), 0, "{path}");
        }
    }
    let upstream = Upstream::start();
    let resources = include_str!("resources.toml").replace("UPSTREAM", &upstream.url());
    let _ = world.node.apply(&resources);
    let mut tab = world.owner(Screen::DESK);
    tab.follow(".step a >> New key");
    tab.fill("#consumer", "web-shop");
    tab.follow("button >> Next");
    tab.fill("#name", "First key");
    tab.choose("#policy", "standard");
    tab.follow("button >> Create key");
    let (key, _) = shown_key(&mut tab);
    assert_eq!(world.send(Call::get("/tiles/1", &key, "192.0.2.1")), 200);
    world.settled();
    tab.open_path("/");
    tab.sees("section >> First key");
    assert_eq!(tab.count(".step"), 0, "the steps have been taken");
}
