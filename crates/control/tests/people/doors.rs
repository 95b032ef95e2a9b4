//! Coming in: links whose secret is in no address, the second step, what the page offers, and where one is
//! led afterwards.

use tollgate_control::{LdapOptions, OidcOptions, ProviderOptions, RoleMap, SignInOptions};

use tollgate_core::secret::Secret;

use super::Pages;
use crate::sign_in::{
    second_factor::code,
    world::{MINUTE, OWNER, PASSWORD, World, with, world},
};

/// Invites somebody and gives the secret of the mailed link.
async fn invited(world: &World, email: &str, mails: usize) -> String {
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let page = owner.get("/settings/members").await;
    let once = page.field("once");
    let fields = [("once", once.as_str()), ("email", email), ("role", "auditor"), ("consumers", "")];
    owner.post("/settings/invitations", &fields).await.leads("/settings/members?done=invited");
    secret(world, mails, "/invitation#").await
}

async fn secret(world: &World, mails: usize, before: &str) -> String {
    let mails = world.mails(mails).await;
    let text = mails.last().unwrap().text.expose().clone();
    text.lines().find_map(|line| line.strip_prefix(before)).unwrap().to_owned()
}

#[tokio::test]
async fn an_invitation_is_taken_on_its_page_and_its_secret_is_in_no_address() {
    let world = world().await;
    let token = invited(&world, "new@example.com", 1).await;
    let mut pages = Pages::new(world.address);
    pages.get("/invitation").await.is(200).has("data-fragment=\"go\"").has("Open invitation");
    pages.get(&format!("/invitation/{token}")).await.is(404);
    let link = format!("https://tollgate.example/invitation#{token}");
    let seen = pages.post("/invitation", &[("token", &link)]).await;
    seen.is(200).has("Join acme").has("new@example.com, as auditor").has("Create account and join");
    let short = [("token", token.as_str()), ("act", "accept"), ("name", "New"), ("password", "short")];
    pages.post("/invitation", &short).await.is(200).has("use at least 12").has("value=\"New\"");
    let good =
        [("token", token.as_str()), ("act", "accept"), ("name", "New"), ("password", "a password of mine")];
    pages.post("/invitation", &good).await.leads("/");
    assert!(pages.is_signed_in());
    pages.get("/account").await.is(200).has("new@example.com, auditor in acme");
    let mut late = Pages::new(world.address);
    late.post("/invitation", &good).await.is(410).has("link_unusable");
    late.post("/invitation", &[("token", "x")]).await.is(410);
}

#[tokio::test]
async fn who_has_an_account_proves_it_on_the_page_of_the_invitation() {
    let world = world().await;
    let token = invited(&world, "new@example.com", 1).await;
    let mut new = Pages::new(world.address);
    let accept = [("token", token.as_str()), ("act", "accept"), ("password", "a password of mine")];
    new.post("/invitation", &accept).await.leads("/");
    // They are removed, so that their account belongs nowhere, and invited again.
    let member = world.store.memberships(world.owner).await.unwrap().len();
    assert_eq!(member, 1);
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let members = owner.get("/settings/members").await;
    let own = format!("/settings/members/{}", world.owner);
    let path =
        members.text.split('"').find(|part| part.starts_with("/settings/members/usr_") && *part != own);
    let path = path.unwrap().to_owned();
    owner.post(&format!("{path}/remove"), &[]).await.leads("/settings/members?done=removed");
    new.get("/account").await.leads("/sign-in?next=%2Faccount");
    let token = invited(&world, "new@example.com", 2).await;
    let mut pages = Pages::new(world.address);
    pages
        .post("/invitation", &[("token", &token)])
        .await
        .is(200)
        .has("Sign in and join")
        .lacks("Create account");
    let wrong = [("token", token.as_str()), ("act", "sign-in"), ("password", "wrong horse battery")];
    pages.post("/invitation", &wrong).await.is(200).has("wrong");
    let good = [("token", token.as_str()), ("act", "sign-in"), ("password", "a password of mine")];
    pages.post("/invitation", &good).await.leads("/");
    pages.get("/account").await.has("new@example.com, auditor in acme");
    // Who is signed in joins as they are, with the token of their session.
    let token = invited(&world, "another@example.com", 3).await;
    owner.post("/invitation", &[("token", &token)]).await.is(200).has(&format!("Join as {OWNER}"));
    let join = [("token", token.as_str()), ("act", "join")];
    owner.post("/invitation", &join).await.is(200).has("You belong to this tenant already");
    let mut forged = Pages::of(world.address, OWNER, PASSWORD).await;
    forged.csrf = "x".into();
    forged.post("/invitation", &join).await.is(403).has("csrf_token_wrong");
}

#[tokio::test]
async fn a_forgotten_password_is_set_by_a_link_and_nobody_learns_who_is_here() {
    let world = world().await;
    let mut pages = Pages::new(world.address);
    pages.get("/sign-in").await.has("href=\"/forgot\"");
    pages.get("/forgot").await.is(200).has("Send a link");
    let nobody = pages.post("/forgot", &[("email", "nobody@example.com")]).await;
    let somebody = pages.post("/forgot", &[("email", OWNER)]).await;
    assert_eq!((nobody.status, &nobody.text), (somebody.status, &somebody.text));
    let token = secret(&world, 1, "/reset#").await;
    pages.get("/reset").await.is(200).has("data-fragment=\"stay\"");
    pages.get(&format!("/reset/{token}")).await.is(404);
    let short = [("token", token.as_str()), ("password", "short")];
    pages.post("/reset", &short).await.is(200).has("use at least 12").has(&token);
    let good = [("token", token.as_str()), ("password", "a password of mine")];
    pages.post("/reset", &good).await.leads("/sign-in?done=reset");
    pages.get("/sign-in?done=reset").await.has("Your password was changed");
    pages.post("/reset", &good).await.is(410);
    Pages::of(world.address, OWNER, "a password of mine").await;
}

#[tokio::test]
async fn the_second_factor_has_a_step_of_its_own() {
    let world = world().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let secret = super::account::enrol(&world, &mut owner).await.0;
    world.pass(MINUTE);
    let mut pages = Pages::new(world.address);
    let first = [("email", OWNER), ("password", PASSWORD), ("next", "/keys?project=maps")];
    let page = pages.post("/sign-in", &first).await;
    page.is(200).has("Second factor").lacks(PASSWORD);
    assert!(!pages.is_signed_in());
    let step = page.field("step");
    let next = page.field("next");
    let second = |code: &str| [("step", step.clone()), ("next", next.clone()), ("code", code.to_owned())];
    let send = async |pages: &mut Pages, code: &str| {
        let fields = second(code);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        pages.post("/sign-in/code", &fields).await
    };
    for wrong in ["", "000000", "abcde-fghij"] {
        send(&mut pages, wrong).await.is(401).has("That code is wrong");
    }
    let present = code(&secret, world.now());
    send(&mut pages, &present).await.leads("/keys?project=maps");
    assert!(pages.is_signed_in());
    let mut again = Pages::new(world.address);
    send(&mut again, &present).await.is(401).has("begin again");
    // The first step is good for minutes.
    world.pass(MINUTE);
    let step = again.post("/sign-in", &first).await.field("step");
    world.pass(5 * MINUTE);
    let present = code(&secret, world.now());
    let late = [("step", step.as_str()), ("code", present.as_str())];
    again.post("/sign-in/code", &late).await.is(401).has("begin again");
}

#[tokio::test]
async fn five_wrong_codes_end_the_first_step() {
    let world = world().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let secret = super::account::enrol(&world, &mut owner).await.0;
    world.pass(MINUTE);
    let mut pages = Pages::new(world.address);
    let step = pages.post("/sign-in", &[("email", OWNER), ("password", PASSWORD)]).await.field("step");
    let send = async |pages: &mut Pages, code: &str| {
        pages.post("/sign-in/code", &[("step", step.as_str()), ("code", code)]).await
    };
    for _ in 0..4 {
        send(&mut pages, "abcdef").await.is(401).has("That code is wrong");
    }
    send(&mut pages, "abcdef").await.is(401).has("begin again");
    send(&mut pages, &code(&secret, world.now())).await.is(401).has("begin again");
    assert!(!pages.is_signed_in());
}

#[tokio::test]
async fn the_sign_in_page_offers_what_is_configured_and_leads_nowhere_else() {
    let world = world().await;
    let mut pages = Pages::new(world.address);
    pages.get("/sign-in?way=directory").await.has("E-mail").lacks("Directory").lacks("/sign-in/oidc");
    for next in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let fields = [("email", OWNER), ("password", PASSWORD), ("next", next)];
        Pages::new(world.address).post("/sign-in", &fields).await.leads("/");
    }
    let oidc = OidcOptions {
        issuer: "https://accounts.google.com".into(),
        client_id: "console".into(),
        client_secret: None,
        scopes: "email profile".into(),
        groups_claim: "groups".into(),
        roles: RoleMap::default(),
        tenant: None,
    };
    let ldap = LdapOptions {
        url: "ldap://127.0.0.1:1".into(),
        start_tls: false,
        ca_file: None,
        bind_dn: "cn=tollgate".into(),
        bind_password: Secret::new("x".into()),
        user_base: "dc=example".into(),
        user_filter: "(uid={login})".into(),
        id_attribute: "entryUUID".into(),
        group_base: None,
        group_filter: "(member={dn})".into(),
        roles: RoleMap::default(),
        tenant: None,
    };
    let providers = ProviderOptions { oidc: Some(oidc), firebase: None, ldap: Some(ldap) };
    let world = with(SignInOptions { providers, ..SignInOptions::default() }).await;
    let mut pages = Pages::new(world.address);
    let page = pages.get("/sign-in?next=/keys").await;
    page.has("Sign in with Google").has("/sign-in/oidc?next=%2Fkeys\"").has("Directory (LDAP)").has("E-mail");
    pages.get("/sign-in?way=directory").await.has("Login").lacks("E-mail");
    let fields = [("way", "directory"), ("login", "ada"), ("password", "x")];
    pages.post("/sign-in", &fields).await.is(503).has("identity provider does not answer");
}
