//! People come and go: invitations, roles, a second factor, and what somebody of a partner sees.

use tollgate_testkit::browser::{Screen, Tab};

use crate::keys::{assert_gone, shown_key};
use crate::traffic::Call;
use crate::world::{BOTH, OWNER, PASSWORD, World, sign_in};

const OWN_PASSWORD: &str = "seven purple tile layers";
/// The code of an authenticator (RFC 6238: SHA-1, 30 s, six digits), worked out by the browser.
const CODE: &str = r#"async secret => {
  const signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret.replace(/[^A-Z2-7]/g, "")].map(sign => signs.indexOf(sign).toString(2).padStart(5, "0")).join("");
  const bytes = Uint8Array.from(bits.match(/.{8}/g), bits => parseInt(bits, 2));
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-1" }, false, ["sign"]);
  const counter = new DataView(new ArrayBuffer(8));
  counter.setBigUint64(0, BigInt(Math.floor(Date.now() / 30000)));
  const mac = new DataView(await crypto.subtle.sign("HMAC", key, counter));
  const number = mac.getUint32(mac.getUint8(19) & 15) & 0x7fffffff;
  return String(number % 1000000).padStart(6, "0");
}"#;

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn an_auditor_is_invited_reads_everything_and_changes_nothing() {
    let world = World::furnished();
    for (screen, email) in BOTH.into_iter().zip(["audrey@example.com", "arthur@example.com"]) {
        let mut owner = world.owner(screen);
        let link = invite(&mut owner, email, "auditor", "");
        let mut tab = world.tab(screen);
        join(&mut tab, &link);
        assert_eq!(tab.sees("h1"), "Overview");
        tab.open_path("/audit");
        tab.sees("tbody tr >> Session: start");
        tab.open_path("/keys");
        assert_eq!(tab.count("a[href='/keys/new']"), 0, "what a role never has is left out");
        tab.open_path(&format!("/keys/{}", world.key("Checkout page").id));
        tab.sees(".hint >> auditor, reads keys and changes none");
        // The link is good once.
        let mut second = world.tab(screen);
        second.open_path(&link);
        second.sees("h1 >> The link cannot be used");
        assert_eq!(second.count("#password"), 0);
        // And the owner can send her away again.
        owner.open_path("/settings/members");
        owner.follow(&format!("tbody a >> {email}"));
        owner.follow("a >> Remove…");
        owner.sees("p >> They lose the role");
        owner.follow("button >> Remove member");
        tab.open_path("/audit");
        tab.is_at("/sign-in");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn somebody_of_a_partner_sees_and_rotates_their_own_keys_only() {
    let world = World::furnished();
    let mut owner = world.owner(Screen::DESK);
    let link = invite(&mut owner, "tomas@fleet.example", "member", "maps/fleet-tracker");
    for screen in [Screen::DESK, Screen::PHONE] {
        let mut tab = world.tab(screen);
        if screen == Screen::DESK {
            join(&mut tab, &link);
        } else {
            sign_in(&mut tab, "tomas@fleet.example", OWN_PASSWORD);
        }
        assert_eq!(tab.sees("h1"), "fleet-tracker");
        tab.sees("tbody >> Fleet tracker Stockholm");
        tab.sees("section >> How to call");
        assert!(!tab.html().contains("Checkout page"), "nothing of others");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        assert_eq!(tab.overflow(), 0);
        let before = world.key("Fleet tracker Stockholm");
        tab.follow("tbody a >> Fleet tracker Stockholm");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.follow("a >> Rotate…");
        tab.follow("button >> Rotate and show the new key");
        let (new, _) = shown_key(&mut tab);
        tab.click("label >> I have stored the key");
        tab.follow("button >> Done");
        tab.sees("h2 >> Rotation in progress");
        assert_gone(&mut tab, &new);
        assert_eq!(world.send(Call::get("/routes", &new, "10.1.4.20")), 200);
        for path in ["/keys", "/events", "/audit", "/settings/members", "/policies"] {
            tab.open_path(path);
            assert!(!tab.html().contains("Checkout page"), "{path}");
        }
        tab.open_path(&format!("/own/keys/{}", world.key("Checkout page").id));
        assert!(!tab.html().contains("Checkout page"), "another's key looks absent");
        assert_ne!(before.key, new);
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_second_factor_is_set_up_and_asked_for() {
    for screen in BOTH {
        let world = World::fresh();
        let mut tab = world.owner(screen);
        tab.open_path("/account");
        tab.follow("button >> Set up second factor");
        let secret = tab.sees("#secret");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        assert_eq!(tab.overflow(), 0);
        tab.fill("#code", "000000");
        tab.follow("button >> Turn on");
        tab.sees(".error");
        let code = tab.promise(CODE, &secret);
        tab.fill("#code", &code);
        tab.follow("button >> Turn on");
        let codes = tab.sees("#codes");
        let recovery: Vec<&str> = codes.split_whitespace().collect();
        assert!(recovery.len() >= 8, "{codes}");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.click("label >> I have stored the codes");
        tab.follow("button >> Done");
        tab.sees("section >> set up");
        for code in &recovery {
            assert!(!tab.html().contains(code) && !tab.history().contains(code));
        }
        assert!(!tab.html().contains(&secret));
        let mut tab = world.tab(screen);
        sign_in(&mut tab, OWNER, PASSWORD);
        assert_eq!(tab.sees("h1"), "Second factor");
        assert_eq!(tab.accessibility_problems(), [""; 0]);
        tab.fill("#code", "not a code");
        tab.follow("button >> Sign in");
        tab.sees("[role=alert]");
        if tab.count("#password") > 0 {
            sign_in(&mut tab, OWNER, PASSWORD);
        }
        tab.fill("#code", recovery.first().expect("a recovery code"));
        tab.follow("button >> Sign in");
        tab.is_at("/");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_forgotten_password_without_mail_says_whom_to_ask() {
    let world = World::shared();
    for screen in BOTH {
        let mut tab = world.tab(screen);
        tab.follow("a >> Forgot your password?");
        tab.sees(".note >> No mail is sent from here");
        tab.sees(".note >> an owner or administrator");
    }
}

/// Invites somebody as the owner does where no mail is set up; the path of the link that is shown once.
pub(crate) fn invite(owner: &mut Tab, email: &str, role: &str, consumers: &str) -> String {
    owner.open_path("/settings");
    owner.follow("a >> Members");
    owner.fill("#email", email);
    owner.choose("#role", role);
    owner.fill("#consumers", consumers);
    owner.follow("button >> Invite");
    let link = owner.sees("#secret");
    assert_eq!(owner.accessibility_problems(), [""; 0]);
    owner.click("label >> I have handed the link over");
    owner.follow("button >> Done");
    owner.sees(&format!("section >> {email}"));
    let (_, token) = link.rsplit_once('#').expect("the token is behind the #, where no server sees it");
    assert!(!owner.html().contains(token) && !owner.history().contains(token));
    let path = link.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    format!("/{}", path.map(|(_, path)| path).expect("a link"))
}

/// Opens a link of an invitation and makes an account.
pub(crate) fn join(tab: &mut Tab, link: &str) {
    tab.open_path(link);
    assert!(tab.sees("h1 >> Join").contains("acme"));
    assert_eq!(tab.accessibility_problems(), [""; 0]);
    tab.fill("#name", "Somebody New");
    tab.fill("#password", "short");
    tab.fill("#password", OWN_PASSWORD);
    tab.follow("button >> Create account and join");
}
