//! Budgets with their ledger, prices in their versions, secrets, services of kind `llm`: set up by people in the
//! console, at both widths.

use std::time::Duration;

use crate::world::{BOTH, PASSWORD, World};

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_budget_is_made_topped_up_changed_and_deleted() {
    let world = World::furnished();
    for screen in BOTH {
        let mut tab = world.owner(screen);
        tab.open_path("/budgets");
        tab.follow("a >> New budget");
        tab.fill("#consumer", "no-such-consumer");
        tab.fill("#amount", "25.00");
        tab.follow("button >> Create budget");
        tab.sees("[role=alert], .error");
        tab.fill("#consumer", "");
        tab.follow("button >> Create budget");
        tab.sees("h2 >> 0 % spent");
        tab.fill("#amount", "five");
        tab.fill("#reason", "invoice 4711");
        tab.follow("button >> Bring in");
        tab.sees(".error");
        tab.fill("#amount", "5");
        tab.follow("button >> Bring in");
        tab.sees("dd >> 30.00 USD");
        tab.sees("#h-ledger");
        assert_eq!(
            tab.count("section[aria-labelledby=h-ledger] tbody tr"),
            4,
            "the budget's amount, and the funds"
        );
        tab.follow("a >> Edit");
        tab.fill("#amount", "40.00");
        tab.follow("button >> Save");
        tab.sees("h2 >> 0 % spent");
        tab.open_path("/budgets");
        tab.follow("tbody a");
        tab.click("label >> Delete this budget");
        tab.follow("button >> Delete budget");
        tab.is_at("/budgets");
        tab.sees("h2 >> No budgets yet");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn an_own_price_comes_before_the_shipped_one_and_keeps_its_history() {
    let world = World::furnished();
    for (screen, model) in BOTH.into_iter().zip(["house-model-1", "house-model-2"]) {
        let mut tab = world.owner(screen);
        tab.open_path("/prices?of=openai");
        tab.sees("tbody tr >> shipped");
        for price in ["1.25", "1.50"] {
            tab.open_path("/prices");
            tab.fill("#model", model);
            tab.fill("#input", price);
            tab.fill("#output", "10");
            tab.follow("button >> Add price");
        }
        tab.open_path(&format!("/prices?search={model}"));
        assert_eq!(tab.count("tbody tr"), 2, "both versions");
        tab.fill("#model", model);
        tab.fill("#input", "a lot");
        tab.follow("button >> Add price");
        tab.sees(".error");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_secret_is_set_after_a_fresh_sign_in_and_sent_by_a_model_service() {
    let world = World::furnished();
    for (screen, name) in BOTH.into_iter().zip(["openai", "second"]) {
        let mut tab = world.owner(screen);
        world.age_sessions(Duration::ZERO, Duration::from_secs(11 * 60));
        tab.open_path("/settings");
        tab.follow("a >> Secrets");
        tab.follow("a >> Confirm it is you");
        tab.fill("#password", PASSWORD);
        tab.follow("button >> Confirm");
        tab.is_at("/settings/secrets");
        tab.fill("#name", name);
        tab.fill("#value", "sk-shown-nowhere-4711");
        tab.follow("button >> Set secret");
        tab.sees(&format!("tbody tr >> {name}"));
        assert!(!tab.html().contains("sk-shown-nowhere"), "nothing shows it again");
        tab.open_path("/services");
        tab.follow("a >> New model service");
        tab.fill("#name", &format!("models-{name}"));
        tab.choose("#secret", name);
        tab.fill("#path_prefix", &format!("/{name}"));
        tab.follow("button >> Create service");
        tab.sees(&format!("dd >> secret {name}"));
        tab.follow("a >> Edit");
        tab.fill("#upstreams", "ftp://nowhere");
        tab.follow("button >> Save");
        tab.sees(".error");
        tab.open_path("/settings/secrets");
        tab.click(&format!("summary[aria-label=\"Remove {name}\"]"));
        tab.follow("details[open] button");
        tab.sees("[role=alert] >> sends it");
    }
}
