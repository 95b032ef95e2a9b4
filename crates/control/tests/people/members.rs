//! Members in the console: invited, given roles and consumers, signed out, removed; and what asks for a
//! fresh sign-in.

use tollgate_core::{authz::Action, id::UserId};
use tollgate_store::ApplyMode;

use super::Pages;
use crate::sign_in::world::{MINUTE, OWNER, PASSWORD, World, host, with, without_mail, world};

const THEIRS: &str = "a password of mine";

/// Invites somebody where no mail is sent, and gives the secret of the link that is shown once.
async fn invite(owner: &mut Pages, email: &str, (role, consumers): (&str, &str)) -> String {
    let once = owner.get("/settings/members").await.field("once");
    let fields = [("once", once.as_str()), ("email", email), ("role", role), ("consumers", consumers)];
    let page = owner.post("/settings/invitations", &fields).await;
    page.is(200).has("Copy the link now").has(&format!("For {email}"));
    owner.post("/settings/invitations", &fields).await.leads("/settings/members");
    let link = page.text.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap();
    let (address, token) = link.split_once("/invitation#").unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    token.to_owned()
}

/// Somebody who took an invitation.
async fn member(world: &World, owner: &mut Pages, email: &str, right: (&str, &str)) -> (Pages, UserId) {
    let token = invite(owner, email, right).await;
    let mut pages = Pages::new(world.address);
    let accept = [("token", token.as_str()), ("act", "accept"), ("password", THEIRS)];
    pages.post("/invitation", &accept).await.leads("/");
    pages.get("/account").await.is(200);
    let account = world.store.account_by_login(email).await.unwrap().unwrap();
    (pages, account.id)
}

#[tokio::test]
async fn taking_the_audit_away_leads_through_a_fresh_sign_in_and_back() {
    let world = without_mail().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let file = "/api/admin/v1/audit/export";
    owner.get("/audit").await.has("href=\"/audit/export\"");
    owner.get("/audit/export").await.leads(file);
    let about = format!("?subject={}", world.owner);
    owner.get(&format!("/audit/export{about}")).await.leads(&format!("{file}{about}"));
    owner.get(file).await.is(200).has("\"action\":\"session.start\"");
    world.pass(11 * MINUTE);
    owner.get(file).await.is(403).has("sign_in_not_fresh");
    owner.get("/audit/export").await.leads("/confirm?next=%2Faudit");
    let encoded = format!("/confirm?next=%2Faudit%3Fsubject%3D{}", world.owner);
    owner.get(&format!("/audit/export{about}")).await.leads(&encoded);
    owner.get("/audit").await.has("Export…");
}

#[tokio::test]
async fn a_new_key_is_for_the_consumer_of_the_chosen_project() {
    let world = without_mail().await;
    let resources = serde_json::json!({
        "project": [{"tenant": "acme", "name": "maps"}, {"tenant": "acme", "name": "shop"}],
        "consumer": [{"project": "acme/maps", "name": "app"}, {"project": "acme/shop", "name": "app"},
                     {"project": "acme/shop", "name": "till"}],
    });
    let resources = serde_json::from_value(resources).unwrap();
    let permit = host(Action::ChangeResources);
    world.store.apply(&permit, &resources, ApplyMode::default(), world.now()).await.unwrap();
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let page = owner.get("/keys/new").await;
    page.has("In which project").has("value=\"maps/app\"").has("value=\"shop/till\"");
    owner
        .get("/keys/new?project=&consumer=app")
        .await
        .has("In which project")
        .has("could be more than one consumer");
    for project in ["maps", "shop"] {
        let page = owner.get(&format!("/keys/new?project={project}&consumer=app")).await;
        page.is(200).lacks("In which project");
        let meant = world.store.consumer_of(world.tenant, &format!("{project}/app")).await.unwrap();
        assert_eq!(page.field("consumer"), meant.id.to_string());
    }
    owner.get("/keys/new?project=maps&consumer=till").await.has("here is no consumer").lacks("shop/till");
    owner.get("/keys/new?project=maps&consumer=shop/till").await.lacks("In which project");
    owner.get("/keys?project=shop").await.has("/keys/new?project=shop");
}

#[tokio::test]
async fn settings_say_how_long_things_are_kept_and_when_people_are_reminded() {
    let world = without_mail().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let page = owner.get("/settings").await;
    page.has("Retention and reminders").has("30 days; what they sum up to stays").has("400 days");
    page.has("30, 7 and 1 days before").has("when a secret is 365 days old").has("after 90 days");
    let (mut dev, _) = member(&world, &mut owner, "dev@example.com", ("developer", "")).await;
    dev.get("/settings").await.is(200).lacks("Retention");
}

async fn furnish(world: &World) {
    let resources = serde_json::json!({
        "project": [{"tenant": "acme", "name": "maps"}],
        "consumer": [{"project": "acme/maps", "name": "app"}, {"project": "acme/maps", "name": "web"}],
    });
    let resources = serde_json::from_value(resources).unwrap();
    let permit = host(Action::ChangeResources);
    world.store.apply(&permit, &resources, ApplyMode::default(), world.now()).await.unwrap();
}

#[tokio::test]
async fn somebody_is_invited_listed_and_uninvited() {
    let world = without_mail().await;
    furnish(&world).await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let token = invite(&mut owner, "dev@example.com", ("developer", "maps/app\nweb")).await;
    let list = owner.get("/settings/members").await;
    list.has("dev@example.com").has("Withdraw").lacks(&token);
    let id = list.text.split("/settings/invitations/").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let path = format!("/settings/invitations/{id}/withdraw");
    owner.post(&path, &[]).await.leads("/settings/members?done=withdrawn");
    owner.get("/settings/members").await.has("Nobody is invited at present");
    Pages::new(world.address).post("/invitation", &[("token", &token)]).await.is(410);
    for (email, role, consumers, problem) in [
        ("no address", "developer", "", "it is no e-mail address"),
        ("a@example.com", "king", "", "is not a role"),
        ("a@example.com", "member", "nothing", "there is no consumer"),
    ] {
        let once = owner.get("/settings/members").await.field("once");
        let fields = [("once", once.as_str()), ("email", email), ("role", role), ("consumers", consumers)];
        owner.post("/settings/invitations", &fields).await.is(200).has(problem).has(email);
    }
}

#[tokio::test]
async fn a_member_is_given_a_role_and_consumers_and_removed() {
    let world = without_mail().await;
    furnish(&world).await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let (mut dev, id) = member(&world, &mut owner, "dev@example.com", ("developer", "app")).await;
    dev.get("/settings/members").await.is(403);
    let path = format!("/settings/members/{id}");
    dev.get(&path).await.is(403);
    let page = owner.get(&path).await;
    page.is(200).has("dev@example.com").has("maps/app").has("End all sessions");
    let consumers = [("version", "1"), ("consumers", "maps/app\nmaps/web")];
    owner.post(&format!("{path}/consumers"), &consumers).await.leads(&format!("{path}?done=saved"));
    owner.get(&path).await.has("maps/app").has("maps/web");
    let stale = [("version", "1"), ("role", "admin")];
    owner.post(&path, &stale).await.is(200).has("changed");
    owner.post(&path, &[("version", "2"), ("role", "admin")]).await.leads(&format!("{path}?done=saved"));
    dev.get("/account").await.leads("/sign-in?next=%2Faccount");
    let mut admin = Pages::of(world.address, "dev@example.com", THEIRS).await;
    let owners = format!("/settings/members/{}", world.owner);
    admin.get(&owners).await.is(200).lacks("Save role").lacks("Remove…");
    for (path, fields) in [
        (owners.clone(), &[("role", "auditor")][..]),
        (format!("{owners}/remove"), &[]),
        (path.clone(), &[("role", "owner")]),
    ] {
        admin.post(&path, fields).await.is(403).has("role_insufficient");
    }
    owner.get(&format!("{path}/remove")).await.is(200).has("Remove dev@example.com");
    owner.post(&format!("{path}/remove"), &[]).await.leads("/settings/members?done=removed");
    admin.get("/account").await.leads("/sign-in?next=%2Faccount");
    owner.get(&path).await.is(404);
    owner.post(&format!("{owners}/remove"), &[]).await.is(200).has("is the last owner of the tenant");
    owner.post(&owners, &[("role", "admin")]).await.is(200).has("is the last owner of the tenant");
}

#[tokio::test]
async fn changing_members_leads_through_a_fresh_sign_in_and_back() {
    let world = without_mail().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let (_, id) = member(&world, &mut owner, "dev@example.com", ("developer", "")).await;
    world.pass(11 * MINUTE);
    let path = format!("/settings/members/{id}");
    owner.get("/settings/members").await.has("/confirm?next=/settings/members").lacks("name=\"email\"");
    let page = owner.get(&path).await;
    page.has(&format!("/confirm?next={path}")).lacks("Save role").lacks("Save consumers");
    let forms = [
        (path.clone(), vec![("role", "admin")]),
        (format!("{path}/consumers"), vec![("consumers", "")]),
        (format!("{path}/remove"), vec![]),
        (format!("{path}/reset"), vec![]),
        ("/settings/invitations".to_owned(), vec![("email", "a@example.com"), ("role", "auditor")]),
        ("/settings/invitations/inv_00000000001/withdraw".to_owned(), vec![]),
    ];
    for (path, fields) in forms {
        owner.post(&path, &fields).await.is(403).has("sign_in_not_fresh");
    }
    owner.post("/confirm", &[("next", &path), ("password", PASSWORD)]).await.leads(&path);
    owner.get(&path).await.has("Save role").has("Save consumers");
}

#[tokio::test]
async fn sessions_of_a_member_are_ended() {
    let world = without_mail().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let (mut dev, id) = member(&world, &mut owner, "dev@example.com", ("developer", "")).await;
    let mut second = Pages::of(world.address, "dev@example.com", THEIRS).await;
    let path = format!("/settings/members/{id}");
    let session = owner.get(&path).await.field("session");
    let told = format!("{path}?done=sessions-ended");
    owner.post(&format!("{path}/sessions"), &[("session", &session)]).await.leads(&told);
    let open = [dev.get("/account").await.status, second.get("/account").await.status];
    assert_eq!(open.iter().filter(|status| **status == 200).count(), 1, "{open:?}");
    owner.post(&format!("{path}/sessions"), &[]).await.leads(&told);
    for pages in [&mut dev, &mut second] {
        pages.get("/account").await.is(303);
    }
    owner.get("/account").await.is(200);
    owner.post(&path, &[("role", "auditor")]).await.leads(&format!("{path}?done=saved"));
    let mut auditor = Pages::of(world.address, "dev@example.com", THEIRS).await;
    auditor.get(&format!("/settings/members/{}", world.owner)).await.is(200).has("Sessions").lacks("End all");
    auditor.post(&format!("/settings/members/{}/sessions", world.owner), &[]).await.is(403);
}

#[tokio::test]
async fn a_link_for_a_new_password_goes_to_the_member_alone() {
    let world = with(Default::default()).await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let path = format!("/settings/members/{}", world.owner);
    owner.get(&path).await.has("Mail a link");
    let page = owner.post(&format!("{path}/reset"), &[]).await;
    page.leads(&format!("{path}?done=reset-mailed"));
    let mails = world.mails(1).await;
    assert_eq!((mails.len(), mails[0].to.as_str()), (1, OWNER));
    assert!(mails[0].text.expose().contains("/reset#"));
    page.lacks("/reset#");
    owner.post("/settings/members/usr_00000000001/reset", &[]).await.is(404);
}

#[tokio::test]
async fn where_no_mail_is_sent_a_link_for_a_new_password_is_handed_over_once() {
    let world = without_mail().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let (mut dev, id) = member(&world, &mut owner, "dev@example.com", ("developer", "")).await;
    let (mut admin, _) = member(&world, &mut owner, "admin@example.com", ("admin", "")).await;
    let path = format!("/settings/members/{id}");
    let once = admin.get(&path).await.has("Make a link for a new password").field("once");
    let fields = [("once", once.as_str())];
    let page = admin.post(&format!("{path}/reset"), &fields).await;
    page.is(200).has("Copy the link now").has("For dev@example.com");
    let link = page.text.split("id=\"secret\">").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let (address, token) = link.split_once("/reset#").unwrap();
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    admin.post(&format!("{path}/reset"), &fields).await.leads(&path);
    admin.get("/audit").await.has("User: reset begin").lacks(token);
    // Not of owners, unless one is an owner; not of oneself; and a member of nothing gets none.
    let owners = format!("/settings/members/{}", world.owner);
    admin.get(&owners).await.lacks("Make a link");
    admin.post(&format!("{owners}/reset"), &[]).await.is(403);
    owner.get(&owners).await.lacks("Make a link");
    owner.post(&format!("{owners}/reset"), &[("once", "own")]).await.is(200).has("this is your own account");
    admin.post("/settings/members/usr_00000000001/reset", &[]).await.is(404);

    let complete = [("token", token), ("password", "another password of mine")];
    Pages::new(world.address).post("/reset", &complete).await.leads("/sign-in?done=reset");
    dev.get("/account").await.leads("/sign-in?next=%2Faccount");
    Pages::of(world.address, "dev@example.com", "another password of mine").await;
    Pages::new(world.address).post("/reset", &complete).await.is(410);
}

#[tokio::test]
async fn no_tenant_hands_over_the_account_of_somebody_who_belongs_to_another_too() {
    let world = without_mail().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let (_, id) = member(&world, &mut owner, "dev@example.com", ("developer", "")).await;
    let others = serde_json::from_value(serde_json::json!({ "tenant": [{ "name": "others" }] })).unwrap();
    let permit = host(Action::ChangeResources);
    world.store.apply(&permit, &others, ApplyMode::default(), world.now()).await.unwrap();
    let invitation = tollgate_store::NewInvitation {
        tenant: world.store.tenant_for(Some("others")).await.unwrap(),
        email: "dev@example.com".into(),
        role: tollgate_core::authz::Role::Owner,
        consumers: vec![],
        digest: tollgate_core::key::Digest::of(&[7; 32]),
        expires_us: world.now() + 60 * MINUTE,
    };
    world.store.invite(&host(Action::ChangeOwners), invitation, world.now()).await.unwrap();
    let own = tollgate_core::authz::authorise(
        &tollgate_core::authz::Actor::Person(id),
        Action::ChangeOwnAccount,
        None,
    );
    let taken = (tollgate_core::key::Digest::of(&[7; 32]), id);
    world.store.join_by_invitation(&own.unwrap(), taken, world.now()).await.unwrap().unwrap();
    let page = owner.post(&format!("/settings/members/{id}/reset"), &[]).await;
    page.is(200).has("belongs to other tenants too").lacks("/reset#");
}

#[tokio::test]
async fn names_are_bounded() {
    let world = world().await;
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    let once = owner.get("/settings/members").await.field("once");
    let fields = [("once", once.as_str()), ("email", "new@example.com"), ("role", "auditor")];
    owner.post("/settings/invitations", &fields).await.leads("/settings/members?done=invited");
    let mails = world.mails(1).await;
    let text = mails[0].text.expose();
    let token = text.lines().find_map(|line| line.strip_prefix("/invitation#")).unwrap();
    for name in ["n".repeat(201), "a\u{7}b".to_owned()] {
        let accept = [("token", token), ("act", "accept"), ("name", name.as_str()), ("password", THEIRS)];
        Pages::new(world.address).post("/invitation", &accept).await.is(200).has("class=\"error\"");
    }
}
