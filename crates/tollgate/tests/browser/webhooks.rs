//! Webhooks: made, with a secret that is shown once; tested; the log; sent again; what was told.

use tollgate_testkit::Upstream;

use crate::world::{BOTH, World};

const CONFIG: &str = "[webhooks]\nallow_private = [\"127.0.0.0/8\"]\nallow_http = true\n";

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_webhook_is_made_tested_and_sent_again() {
    let receiver = Upstream::start();
    let world = World::configured(CONFIG);
    let _ = world.node.apply("[[project]]\ntenant = \"acme\"\nname = \"maps\"\n");
    for (number, screen) in BOTH.into_iter().enumerate() {
        let mut tab = world.owner(screen);
        tab.open_path("/settings");
        tab.follow("a >> Webhooks");
        tab.examine();
        // What is wrong is said beside its field.
        tab.fill("#url", &format!("{}/status/500/{number}", receiver.url()));
        tab.fill("#events", "key.nothing");
        tab.follow("button >> Create webhook");
        tab.sees(".error >> picks no event");
        tab.fill("#events", "key.*\nbudget.threshold");
        tab.choose("#project", "maps");
        tab.fill("#description", "pages the team");
        tab.follow("button >> Create webhook");
        let secret = tab.sees("#secret");
        assert!(secret.starts_with("whsec_"), "{secret}");
        tab.examine();
        tab.click("label >> I have stored the secret");
        tab.follow("button >> Done");
        tab.sees(".pill >> Active");
        assert!(!tab.html().contains("whsec_"), "it is shown once");
        // The receiver fails: the log says how, and when it is tried again.
        tab.follow("button >> Send a test");
        tab.wait("the answer", |tab| {
            tab.reload();
            tab.html().contains("Trying again").then_some(())
        });
        tab.sees("tbody td >> 500");
        tab.sees(".pill >> Failing");
        tab.examine();
        let seen = receiver.count();
        tab.follow("tbody button >> Again");
        tab.wait("it is sent again", |_| (receiver.count() > seen).then_some(()));
        // Another secret, and the former one signs too.
        tab.follow("button >> Make another secret");
        assert!(tab.sees("#secret") != secret);
        tab.click("label >> I have stored the secret");
        tab.follow("button >> Done");
        tab.sees("p >> The former secret signs too");
        // What it is told is changed.
        tab.fill("#events", "webhook.*");
        tab.click("label >> Enabled");
        tab.follow("button >> Save");
        tab.sees(".pill >> Disabled");
        // What happened stands in a list beside the events.
        tab.open_path("/events");
        tab.follow("a >> Notices");
        tab.sees("tbody code >> webhook.test");
        tab.examine();
        tab.leave(|tab| tab.choose("#f-type", "key.revoked"));
        tab.sees("h2 >> Nothing to tell");
        tab.open_path("/settings/webhooks");
        tab.follow(&format!("tbody a >> /status/500/{number}"));
        tab.click("summary >> Delete this webhook…");
        tab.follow("button >> Delete webhook");
        tab.sees("h2 >> No webhooks yet");
    }
}
