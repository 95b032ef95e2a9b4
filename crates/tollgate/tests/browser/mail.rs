//! What people get by mail, at a real mail server: invitations, links for new passwords, reminders.

use tollgate_testkit::MailServer;
use tollgate_testkit::browser::{Screen, Tab};

use crate::reminders::age;
use crate::world::{BOTH, OWNER, PASSWORD, World, sign_in};

const FIRST: &str = "seven purple tile layers";

fn world(mail: &MailServer) -> World {
    let config = format!(
        "[control]\npublic_url = \"CONTROL\"\n[smtp]\nhost = \"127.0.0.1\"\nport = {}\nsecurity = \"none\"\n\
         from = \"Tollgate <tollgate@example.com>\"\n",
        mail.port()
    );
    World::configured(&config)
}

/// The path of the link in a mail.
fn link(world: &World, text: &str) -> String {
    let home = format!("http://{}", world.node.control());
    let found = text.lines().find_map(|line| line.trim().strip_prefix(&home));
    found.unwrap_or_else(|| panic!("no link to {home} in {text}")).to_owned()
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn a_forgotten_password_is_set_anew_by_a_link_in_the_mail() {
    let mail = MailServer::start();
    let world = world(&mail);
    let mut password = PASSWORD.to_owned();
    for (screen, new) in [Screen::DESK, Screen::PHONE].into_iter().zip([FIRST, "eleven orange fence posts"]) {
        let mut open = world.tab(screen);
        sign_in(&mut open, OWNER, &password);
        let before = mail.received().len();
        let mut tab = world.tab(screen);
        tab.follow("a >> Forgot your password?");
        tab.fill("#email", "nobody@example.com");
        tab.follow("button >> Send a link");
        let told = tab.sees("[role=status]");
        tab.open_path("/forgot");
        tab.fill("#email", OWNER);
        tab.follow("button >> Send a link");
        assert_eq!(tab.sees("[role=status]"), told, "nobody learns who has an account");
        tollgate_testkit::poll_until(std::time::Duration::from_secs(60), || mail.received().len() > before);
        let link = link(&world, &mail.wait_for(OWNER, "new password").text);
        set(&mut tab, &link, "aaaaaaaaaaaaaaaa");
        tab.sees(".error >> hardly any different");
        tab.fill("#password", new);
        tab.follow("button >> Set new password");
        tab.is_at("/sign-in");
        tab.sees("[role=status] >> Your password was changed");
        let (_, token) = link.split_once('#').expect("the secret is behind the #");
        assert!(!tab.history().contains(token) && !tab.html().contains(token));
        // Every session ended, the old password and the link are good for nothing.
        open.open_path("/keys");
        open.is_at("/sign-in");
        sign_in(&mut tab, OWNER, &password);
        tab.sees("[role=alert]");
        set(&mut tab, &link, "another one that is long");
        tab.sees("h1 >> The link cannot be used");
        tab.open_path("/sign-in");
        sign_in(&mut tab, OWNER, new);
        tab.is_at("/");
        assert_eq!(mail.received().len(), before + 1, "nobody else was mailed");
        new.clone_into(&mut password);
    }
}

fn set(tab: &mut Tab, link: &str, password: &str) {
    tab.open_path(link);
    tab.fill("#password", password);
    tab.follow("button >> Set new password");
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn invitations_and_links_for_members_are_mailed_and_shown_to_nobody() {
    let mail = MailServer::start();
    let world = world(&mail);
    for (screen, email) in BOTH.into_iter().zip(["one@example.com", "two@example.com"]) {
        let mut owner = world.owner(screen);
        owner.open_path("/settings/members");
        owner.fill("#email", email);
        owner.choose("#role", "auditor");
        owner.follow("button >> Invite");
        owner.sees(".toast >> mailed");
        assert!(!owner.html().contains("/invitation#"));
        let invitation = mail.wait_for(email, "Invitation to acme");
        let mut tab = world.tab(screen);
        tab.open_path(&link(&world, &invitation.text));
        tab.sees("h1 >> Join");
        tab.fill("#name", "Somebody New");
        tab.fill("#password", FIRST);
        tab.follow("button >> Create account and join");
        assert_eq!(tab.sees("h1"), "Overview");
        owner.open_path("/settings/members");
        owner.follow(&format!("tbody a >> {email}"));
        owner.follow("button >> Mail a link for a new password");
        owner.sees(".toast >> A link to set a new password was mailed");
        assert!(!owner.html().contains("/reset#"));
        let reset = mail.wait_for(email, "new password");
        let mut elsewhere = world.tab(screen);
        set(&mut elsewhere, &link(&world, &reset.text), "eleven orange fence posts");
        elsewhere.is_at("/sign-in");
        sign_in(&mut elsewhere, email, "eleven orange fence posts");
        elsewhere.is_at("/");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn who_has_no_mail_gets_a_link_for_a_new_password_handed_over() {
    let world = World::fresh();
    for (screen, email) in BOTH.into_iter().zip(["one@example.com", "two@example.com"]) {
        let mut owner = world.owner(screen);
        let mut tab = world.tab(screen);
        let invitation = crate::people::invite(&mut owner, email, "auditor", "");
        crate::people::join(&mut tab, &invitation);
        owner.open_path("/settings/members");
        owner.follow(&format!("tbody a >> {email}"));
        owner.follow("button >> Make a link for a new password");
        let link = owner.sees("#secret");
        owner.click("label >> I have handed the link over");
        owner.follow("button >> Done");
        owner.sees(&format!("h1 >> {email}"));
        let (_, token) = link.rsplit_once('#').expect("the secret is behind the #");
        assert!(!owner.html().contains(token) && !owner.history().contains(token));
        owner.back();
        assert!(!owner.html().contains(token));
        set(&mut tab, &format!("/reset#{token}"), "eleven orange fence posts");
        tab.is_at("/sign-in");
        sign_in(&mut tab, email, "eleven orange fence posts");
        tab.is_at("/");
    }
}

#[test]
#[ignore = "needs Chromium: cargo xtask test --only browser"]
fn reminders_are_mailed_and_lead_to_the_key() {
    let mail = MailServer::start();
    let mut world = world(&mail);
    let _ = world.node.apply(&include_str!("resources.toml").replace("UPSTREAM", "http://127.0.0.1:9"));
    let more = ["--policy", "standard", "--name", "Bus stops", "--expires", "6d"];
    let key = world.node.create_key("maps", "city-portal", &more);
    age(&world.node, "Bus stops", 60);
    world.node.restart();
    let digest = mail.wait_for(OWNER, "1 key needs attention in acme");
    assert!(digest.text.contains("Bus stops of city-portal in maps: it expires in"), "{}", digest.text);
    let key = key["id"].as_str().expect("the id of the key");
    let path = link(&world, &digest.text);
    assert_eq!(path, format!("/keys/{key}"));
    for screen in BOTH {
        let mut tab = world.tab(screen);
        tab.open_path(&path);
        sign_in(&mut tab, OWNER, PASSWORD);
        tab.sees("h1 >> Bus stops");
        tab.sees(".note.warn >> Expires");
    }
}
