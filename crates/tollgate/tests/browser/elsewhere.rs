//! Signing in elsewhere: at a real OpenID provider with its own pages, and in a real directory.

use std::time::Duration;

use serde_json::json;
use tollgate_testkit::browser::{Screen, Tab};
use tollgate_testkit::{Directory, OpenIdProvider, free_port};

use crate::world::{BOTH, World};

/// Longer ago than what needs a fresh sign-in takes.
const STALE: Duration = Duration::from_secs(11 * 60);

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn people_of_an_openid_provider_sign_in_at_its_pages_and_come_back() {
    let port = free_port();
    let config = format!(
        "[oidc]\nissuer = \"http://127.0.0.1:{port}\"\nclient_id = \"tollgate\"\nclient_secret = \"{}\"\n\
         scopes = \"email profile groups\"\nroles = \"ops=admin,staff=auditor\"\n",
        OpenIdProvider::SECRET
    );
    let world = World::configured(&config);
    let back = format!("http://{}/sign-in/oidc/callback", world.node.control());
    let people = json!({
        "alice": { "email": "alice@example.test", "groups": ["ops"] },
        "bob": { "email": "bob@example.test", "groups": ["others"] },
    });
    let provider = OpenIdProvider::start(world.node.folder(), (port, &back), &people);
    for screen in [Screen::DESK, Screen::PHONE, Screen::PHONE.without_script()] {
        let mut tab = world.tab(screen);
        tab.may_go_to(&provider.issuer());
        tab.open_path("/audit");
        tab.is_at("/sign-in");
        tab.follow("a >> Sign in with 127.0.0.1");
        log_in(&mut tab, "alice");
        tab.is_at("/audit");
        tab.open_path("/account");
        tab.sees(".hint >> alice@example.test");
        tab.sees(".hint >> with oidc");
        // What needs a fresh sign-in leads to the provider and back to where one was.
        world.age_sessions(Duration::ZERO, STALE);
        tab.open_path("/audit");
        tab.follow("a >> Export…");
        tab.is_at("/confirm");
        tab.sees("p >> You sign in elsewhere");
        tab.follow("a >> Sign in with 127.0.0.1");
        tab.is_at("/audit");
        tab.sees("a.btn >> Export");
        tab.open_path("/account");
        tab.follow("main button >> Sign out");
        tab.is_at("/sign-in");
    }
    for screen in BOTH {
        let mut tab = world.tab(screen);
        tab.may_go_to(&provider.issuer());
        tab.follow("a >> Sign in with 127.0.0.1");
        log_in(&mut tab, "bob");
        tab.is_at("/sign-in");
        tab.sees("[role=alert] >> none of your groups has a role here");
        assert!(!tab.path().contains("state="), "nothing of the provider's answer stays");
    }
    // Half way through, the provider is gone.
    let mut tab = world.tab(Screen::PHONE);
    tab.may_go_to(&provider.issuer());
    tab.open_path("/sign-in?next=/usage");
    tab.follow("a >> Sign in with 127.0.0.1");
    tab.fill("input[name=login]", "alice");
    tab.fill("input[name=password]", "anything");
    tab.follow("button");
    tab.open_path("/sign-in/oidc/callback?error=access_denied&state=x");
    tab.is_at("/sign-in");
    tab.sees("[role=alert] >> The sign-in with 127.0.0.1 failed");
}

/// Goes through the pages of the provider: who one is, and what the console may know.
fn log_in(tab: &mut Tab, login: &str) {
    tab.fill("input[name=login]", login);
    tab.fill("input[name=password]", "anything");
    tab.follow("button");
    tab.follow("button");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn people_of_a_directory_sign_in_with_their_login() {
    let directory = Directory::start();
    let config = format!(
        "[ldap]\nurl = \"{}\"\nbind_dn = \"cn=admin,dc=example,dc=test\"\nbind_password = \"admin\"\n\
         user_base = \"ou=people,dc=example,dc=test\"\nid_attribute = \"uid\"\n\
         user_filter = \"(&(objectClass=person)(|(uid={{login}})(mail={{login}})))\"\n\
         group_base = \"ou=groups,dc=example,dc=test\"\nroles = \"admins=admin\"\n",
        directory.url()
    );
    let world = World::configured(&config);
    for screen in [Screen::DESK, Screen::PHONE, Screen::PHONE.without_script()] {
        let mut tab = world.tab(screen);
        tab.open_path("/audit");
        tab.follow("a >> Directory (LDAP)");
        enter(&mut tab, "alice", "not her password");
        tab.sees("[role=alert] >> That login or password is wrong");
        assert_eq!((tab.sees("#login"), tab.sees("#password")), ("alice".to_owned(), String::new()));
        enter(&mut tab, "bob", "bobpw");
        tab.sees("[role=alert] >> none of your groups has a role here");
        enter(&mut tab, "alice", "alicepw");
        tab.is_at("/audit");
        tab.open_path("/account");
        tab.sees(".hint >> alice@example.test");
        tab.sees(".hint >> with ldap");
        world.age_sessions(Duration::ZERO, STALE);
        tab.open_path("/audit");
        tab.follow("a >> Export…");
        tab.follow("a >> Sign in with the directory");
        enter(&mut tab, "alice", "alicepw");
        tab.is_at("/audit");
        tab.sees("a.btn >> Export");
        // Local accounts go on beside it.
        tab.open_path("/account");
        tab.follow("main button >> Sign out");
        tab.follow("a >> Directory (LDAP)");
        tab.follow("a >> Tollgate account");
        tab.sees("#email");
    }
}

fn enter(tab: &mut Tab, login: &str, password: &str) {
    tab.fill("#login", login);
    tab.fill("#password", password);
    tab.follow("button >> Sign in");
}
