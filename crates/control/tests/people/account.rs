//! The own account: second factor and sessions, with the fresh sign-in that changing them asks for.

use super::Pages;
use crate::sign_in::{
    second_factor::code,
    world::{MINUTE, OWNER, PASSWORD, World, world},
};

/// Sets a second factor up; its secret and the recovery codes.
pub(super) async fn enrol(world: &World, pages: &mut Pages) -> (String, Vec<String>) {
    let begun = pages.post("/account/second-factor", &[]).await;
    begun.is(200).has("<svg class=\"qr\"").has("Turn on");
    let secret =
        begun.text.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().replace(' ', "");
    let wrong = pages.post("/account/second-factor/confirm", &[("code", "000000")]).await;
    let spaced: Vec<String> =
        secret.as_bytes().chunks(4).map(|group| String::from_utf8_lossy(group).into()).collect();
    wrong.is(200).has("it is not the present code").has(&spaced.join(" "));
    let present = code(&secret, world.now());
    let codes = pages.post("/account/second-factor/confirm", &[("code", &present)]).await;
    codes.is(200).has("only time you see them");
    let codes = codes.text.split("aria-label=\"Recovery codes\">").nth(1).unwrap().split('<').next().unwrap();
    let codes: Vec<String> = codes.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert_eq!(codes.len(), 10);
    (secret, codes)
}

#[tokio::test]
async fn a_second_factor_is_set_up_used_and_removed() {
    let world = world().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    owner.get("/account").await.has("not set up").has("Set up second factor");
    let (_, codes) = enrol(&world, &mut owner).await;
    let account = owner.get("/account").await;
    account.has("10 recovery codes left").has("Remove second factor").lacks(&codes[0]);
    // A reload of the page with the codes shows nothing.
    owner.post("/account/second-factor/confirm", &[("code", "000000")]).await.leads("/account");
    let mut pages = Pages::new(world.address);
    let first = [("email", OWNER), ("password", PASSWORD), ("next", "/account")];
    let step = pages.post("/sign-in", &first).await.field("step");
    let second = [("step", step.as_str()), ("next", "/account"), ("code", codes[0].as_str())];
    pages.post("/sign-in/code", &second).await.leads("/account");
    pages.get("/account").await.has("9 recovery codes left").has("password+recovery");
    pages.post("/account/second-factor/remove", &[]).await.leads("/account?done=factor-off");
    Pages::of(world.address, OWNER, PASSWORD).await.get("/account").await.has("not set up");
}

#[tokio::test]
async fn what_needs_a_fresh_sign_in_leads_through_one_and_back() {
    let world = world().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let (secret, _) = enrol(&world, &mut owner).await;
    world.pass(11 * MINUTE);
    let account = owner.get("/account").await;
    account.has("/confirm?next=/account").lacks("Set up anew").lacks("Change password");
    owner.post("/account/second-factor", &[]).await.is(403).has("/confirm?next=");
    let confirm = owner.get("/confirm?next=/account").await;
    confirm.is(200).has("Confirm it is you").has("Code").has(OWNER);
    let old = owner.cookies.clone();
    let wrong = [("next", "/account"), ("password", "wrong horse battery"), ("code", "000000")];
    owner.post("/confirm", &wrong).await.is(401).has("That password or code is wrong");
    let present = code(&secret, world.now());
    let right = [("next", "/account"), ("password", PASSWORD), ("code", present.as_str())];
    owner.post("/confirm", &right).await.leads("/account");
    assert_ne!(owner.cookies, old, "a new token for new privileges");
    owner.get("/account").await.has("Set up anew").has("Change password");
    let elsewhere = [("next", "//evil.example"), ("password", PASSWORD), ("code", "000000")];
    assert_eq!(owner.post("/confirm", &elsewhere).await.field("next"), "/", "nobody is led elsewhere");
    Pages::new(world.address)
        .get("/confirm?next=/account")
        .await
        .leads("/sign-in?next=%2Fconfirm%3Fnext%3D%2Faccount");
}

#[tokio::test]
async fn all_other_sessions_end_at_once() {
    let world = world().await;
    let mut first = Pages::of(world.address, OWNER, PASSWORD).await;
    let mut second = Pages::of(world.address, OWNER, PASSWORD).await;
    first.get("/account").await.has("End all others");
    first.post("/account/sessions/end", &[]).await.leads("/account?done=ended-all");
    first.get("/account").await.is(200).lacks("End all others");
    second.get("/account").await.leads("/sign-in?next=%2Faccount");
}
