//! The token zoo (T12): nobody signs in with a token that does not hold; and the code flow.

use serde_json::{Value, json};
use tollgate_control::{FirebaseOptions, OidcOptions, ProviderOptions, SignInOptions};

use super::{
    provider::{Provider, part, with},
    world::{self, Answer, MINUTE, NOW, World},
};

const NOW_S: i64 = NOW / 1_000_000;

async fn place() -> (World, Provider) {
    let provider = Provider::start().await;
    let roles = "ops=admin,staff=auditor".parse().unwrap();
    let oidc = OidcOptions {
        issuer: provider.issuer.clone(),
        client_id: "console".into(),
        client_secret: Some(tollgate_core::secret::Secret::new("s3cret".into())),
        scopes: "email groups".into(),
        groups_claim: "groups".into(),
        roles,
        tenant: None,
    };
    let firebase = FirebaseOptions {
        roles: "ops=admin".parse().unwrap(),
        keys_url: provider.keys_url.clone(),
        ..FirebaseOptions::new("my-project".into())
    };
    let providers = ProviderOptions { oidc: Some(oidc), firebase: Some(firebase), ldap: None };
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let options = SignInOptions { providers, trusted_proxies, ..SignInOptions::default() };
    (world::with(options).await, provider)
}

fn good(provider: &Provider) -> Value {
    json!({
        "iss": provider.issuer, "aud": "console", "sub": "alice", "email": "alice@example.test",
        "email_verified": true, "iat": NOW_S, "exp": NOW_S + 600, "auth_time": NOW_S - 60, "groups": ["ops", "others"],
    })
}

fn good_firebase() -> Value {
    json!({
        "iss": "https://securetoken.google.com/my-project", "aud": "my-project", "sub": "bob",
        "iat": NOW_S, "exp": NOW_S + 600, "auth_time": NOW_S - 60, "groups": ["ops"],
    })
}

async fn bearer(world: &World, token: &str) -> Answer {
    bearer_from(world, token, "192.0.2.1").await
}

async fn bearer_from(world: &World, token: &str, address: &str) -> Answer {
    let mut browser = world.browser();
    browser.extra =
        vec![("authorization".into(), format!("Bearer {token}")), ("x-forwarded-for".into(), address.into())];
    browser.get("session").await
}

#[tokio::test]
async fn good_tokens_are_somebody() {
    let (world, provider) = place().await;
    let answer = bearer(&world, &provider.token(good(&provider))).await;
    assert_eq!((answer.status, &answer.body["role"]), (200, &json!("admin")), "{answer:?}");
    assert_eq!((&answer.body["method"], &answer.body["csrf_token"]), (&json!("oidc"), &Value::Null));
    let several = with(&good(&provider), json!({ "aud": ["console", "other"], "azp": "console" }));
    assert_eq!(bearer(&world, &provider.token(several)).await.status, 200);
    let answer = bearer(&world, &provider.token(good_firebase())).await;
    assert_eq!((answer.status, &answer.body["method"]), (200, &json!("firebase")), "{answer:?}");
    let id_token = json!({ "id_token": provider.token(good(&provider)) });
    let mut browser = world.browser();
    assert_eq!(browser.post("session/token", id_token).await.status, 200);
    assert_eq!(browser.get("session").await.body["role"], "admin", "by the session alone");
    // A local account of the same address is somebody else.
    let owner = with(
        &good(&provider),
        json!({ "sub": "mallory", "email": "owner@example.com", "groups": ["staff"] }),
    );
    let answer = bearer(&world, &provider.token(owner)).await;
    assert_ne!(answer.body["user"]["id"], world.owner.to_string());
    assert_eq!(answer.body["role"], "auditor");
}

#[tokio::test]
async fn nobody_signs_in_with_a_token_of_the_zoo() {
    let (world, provider) = place().await;
    let base = good(&provider);
    let claims = |changes: Value| provider.token(with(&base, changes));
    let header = |header: Value| provider.signed(&header, &base, None);
    let right = provider.token(base.clone());
    let (signed, signature) = right.rsplit_once('.').unwrap();
    let other_claims = part(with(&base, json!({ "sub": "root" })).to_string());
    let first = signed.split('.').next().unwrap();
    let none = |alg: &str| {
        format!("{}.{}.", part(json!({ "alg": alg, "kid": "k1" }).to_string()), part(base.to_string()))
    };
    let fire = |changes: Value| provider.token(with(&good_firebase(), changes));
    let zoo: Vec<(&str, String)> = vec![
        ("no algorithm", none("none")),
        ("no algorithm, in capitals", none("NONE")),
        ("no algorithm, with a signature", format!("{}{signature}", none("none"))),
        ("the public key as a shared secret", provider.confused(&base)),
        ("another algorithm of the same key", header(json!({ "alg": "RS512", "kid": "k1" }))),
        ("PSS said, PKCS#1 done", header(json!({ "alg": "PS256", "kid": "k1" }))),
        ("ECDSA said", header(json!({ "alg": "ES256", "kid": "k1" }))),
        ("no alg", header(json!({ "kid": "k1" }))),
        ("an unknown key", header(json!({ "alg": "RS256", "kid": "k9" }))),
        ("no key named where there are several", header(json!({ "alg": "RS256" }))),
        ("a key for encrypting", header(json!({ "alg": "RS256", "kid": "k2" }))),
        ("a shared key", header(json!({ "alg": "RS256", "kid": "k3" }))),
        ("a stranger's signature", provider.signed(&json!({ "alg": "RS256", "kid": "k1" }), &base, Some(&provider.stranger))),
        ("a key of its own", provider.signed(&json!({ "alg": "RS256", "kid": "k1", "jwk": { "kty": "RSA" }, "jku": "http://evil.example" }), &base, Some(&provider.stranger))),
        ("critical extensions", header(json!({ "alg": "RS256", "kid": "k1", "crit": ["exp"] }))),
        ("unencoded payload", header(json!({ "alg": "RS256", "kid": "k1", "b64": false }))),
        ("an access token", header(json!({ "alg": "RS256", "kid": "k1", "typ": "at+jwt" }))),
        ("a logout token", header(json!({ "alg": "RS256", "kid": "k1", "typ": "logout+jwt" }))),
        ("alg twice", {
            let twice = part(r#"{"alg":"none","alg":"RS256","kid":"k1"}"#);
            provider.sign_raw(&format!("{twice}.{}", part(base.to_string())), None)
        }),
        ("other claims under the signature", format!("{first}.{other_claims}.{signature}")),
        ("no signature", format!("{signed}.")),
        ("a cut signature", right.chars().take(right.len() - 4).collect()),
        ("padding", format!("{right}==")),
        ("a fourth part", format!("{right}.{signature}")),
        ("two parts", signed.to_owned()),
        ("another issuer", claims(json!({ "iss": "https://evil.example" }))),
        ("an issuer with a slash", claims(json!({ "iss": format!("{}/", provider.issuer) }))),
        ("no issuer", claims(json!({ "iss": null }))),
        ("another audience", claims(json!({ "aud": "other" }))),
        ("no audience", claims(json!({ "aud": null }))),
        ("an empty list of audiences", claims(json!({ "aud": [] }))),
        ("several audiences, no party", claims(json!({ "aud": ["console", "other"] }))),
        ("another party", claims(json!({ "azp": "other" }))),
        ("an audience in capitals", claims(json!({ "aud": "CONSOLE" }))),
        ("expired", claims(json!({ "exp": NOW_S - 61 }))),
        ("no end", claims(json!({ "exp": null }))),
        ("an end in words", claims(json!({ "exp": "never" }))),
        ("from the future", claims(json!({ "iat": NOW_S + 120 }))),
        ("signed in in the future", claims(json!({ "auth_time": NOW_S + 120 }))),
        ("not yet", claims(json!({ "nbf": NOW_S + 120 }))),
        ("no beginning", claims(json!({ "iat": null }))),
        ("no subject", claims(json!({ "sub": null }))),
        ("an empty subject", claims(json!({ "sub": "" }))),
        ("a number for a subject", claims(json!({ "sub": 7 }))),
        ("a long subject", claims(json!({ "sub": "x".repeat(256) }))),
        ("a long token", claims(json!({ "pad": "x".repeat(20_000) }))),
        ("Firebase: another project", fire(json!({ "aud": "other", "iss": "https://securetoken.google.com/other" }))),
        ("Firebase: another project's issuer", fire(json!({ "iss": "https://securetoken.google.com/other" }))),
        ("Firebase: a custom token", fire(json!({
            "iss": "sa@my-project.iam.gserviceaccount.com", "sub": "sa@my-project.iam.gserviceaccount.com",
            "aud": "https://identitytoolkit.googleapis.com/google.identity.identitytoolkit.v1.IdentityToolkit", "uid": "bob",
        }))),
        ("Firebase: the emulator", format!("{}.{}.", part(json!({ "alg": "none", "typ": "JWT" }).to_string()), part(good_firebase().to_string()))),
        ("Firebase: no time of sign-in", fire(json!({ "auth_time": null }))),
        ("Firebase: signed in in the future", fire(json!({ "auth_time": NOW_S + 120 }))),
        ("Firebase: a long subject", fire(json!({ "sub": "x".repeat(129) }))),
        ("Firebase: no key named", provider.signed(&json!({ "alg": "RS256" }), &good_firebase(), None)),
        ("Firebase: expired", fire(json!({ "exp": NOW_S - 61 }))),
        ("nothing", String::new()),
        ("words", "eyJhbGciOi.eyJzdWIi.c2ln".to_owned()),
    ];
    let size = zoo.len();
    for (index, (name, token)) in zoo.into_iter().enumerate() {
        // From one address they would be too many.
        let address = format!("198.51.100.{index}");
        let answer = bearer_from(&world, &token, &address).await;
        assert_eq!((answer.status, answer.code()), (401, "sign_in_missing"), "T12: {name}");
        let mut browser = world.browser();
        browser.extra = vec![("x-forwarded-for".into(), address)];
        let answer = browser.post("session/token", json!({ "id_token": token })).await;
        assert_eq!((browser.cookie, answer.status), (None, 401), "T12: {name}: {:?}", answer.body);
    }
    println!("T12: {size} tokens, 0 log-ins");
    assert_eq!(bearer(&world, &right).await.status, 200, "the one they were made from is good");
}

#[tokio::test]
async fn tokens_that_do_not_hold_use_the_attempts_of_their_address_up() {
    let (world, provider) = place().await;
    let right = provider.token(good(&provider));
    let wrong = provider.token(with(&good(&provider), json!({ "aud": "other" })));
    let (signed, _) = right.rsplit_once('.').unwrap();
    for index in 0..60 {
        let token = if index % 2 == 0 { &wrong } else { &format!("{signed}.AAAA") };
        assert_eq!(bearer_from(&world, token, "198.51.100.7").await.status, 401, "{index}");
        assert_eq!(bearer_from(&world, &right, "198.51.100.8").await.status, 200, "good ones do not count");
    }
    let answer = bearer_from(&world, &wrong, "198.51.100.7").await;
    assert_eq!((answer.status, answer.code()), (429, "too_many_attempts"));
    assert!(answer.head.to_ascii_lowercase().contains("retry-after: 6"), "{}", answer.head);
    assert_eq!(bearer_from(&world, &right, "198.51.100.7").await.status, 429, "whatever it carries");
    assert_eq!(bearer_from(&world, &wrong, "198.51.100.8").await.status, 401, "others have theirs");
    world.pass(7_000_000);
    assert_eq!(bearer_from(&world, &right, "198.51.100.7").await.status, 200);
    assert_eq!(bearer_from(&world, &wrong, "198.51.100.7").await.status, 401);
    assert_eq!(bearer_from(&world, &wrong, "198.51.100.7").await.status, 429);
}

#[tokio::test]
async fn groups_decide_each_time() {
    let (world, provider) = place().await;
    let as_in = |groups: Value| provider.token(with(&good(&provider), json!({ "groups": groups })));
    let nobody = bearer(&world, &as_in(json!(["strangers"]))).await;
    assert_eq!((nobody.status, nobody.code()), (403, "role_insufficient"));
    assert_eq!(
        world.store.list_members(world.tenant, &Default::default()).await.unwrap().items.len(),
        1,
        "no trace"
    );
    assert_eq!(bearer(&world, &as_in(json!("staff"))).await.body["role"], "auditor");
    let mut browser = world.browser();
    let id_token = json!({ "id_token": as_in(json!(["ops"])) });
    assert_eq!(browser.post("session/token", id_token).await.body["role"], "admin");
    assert_eq!(bearer(&world, &as_in(json!(["staff"]))).await.body["role"], "auditor");
    assert_eq!(browser.get("session").await.code(), "sign_in_missing", "less privilege ends sessions");
    assert_eq!(bearer(&world, &as_in(json!([]))).await.status, 403, "in no group any more");
    assert_eq!(world.store.list_members(world.tenant, &Default::default()).await.unwrap().items.len(), 1);
    world.store.audit_verify().await.unwrap().unwrap();
}

#[tokio::test]
async fn a_token_from_before_the_last_decision_gives_no_role_back() {
    let (world, provider) = place().await;
    let token = |at_s: i64, groups: Value| {
        provider.token(with(&good(&provider), json!({ "iat": NOW_S + at_s, "groups": groups })))
    };
    let old = token(0, json!(["ops"]));
    assert_eq!(bearer(&world, &old).await.body["role"], "admin");
    world.pass(20_000_000);
    // A later sign-in says less.
    let later = token(20, json!(["staff"]));
    assert_eq!(bearer(&world, &later).await.body["role"], "auditor");
    let answer = bearer(&world, &old).await;
    assert_eq!((answer.status, &answer.body["role"]), (200, &json!("auditor")), "the old one is past");
    let who = answer.body["user"]["id"].as_str().unwrap().parse().unwrap();
    world.pass(20_000_000);
    // So does what a person decides.
    let member = tollgate_store::MemberRef { tenant: world.tenant, account: who, version: None };
    let by_owner = tollgate_core::authz::authorise(
        &tollgate_core::authz::Actor::OsUser("test".into()),
        tollgate_core::authz::Action::ChangeMembers,
        None,
    );
    let now_us = NOW + 40_000_000;
    world.store.remove_member(&by_owner.unwrap(), member, now_us).await.unwrap();
    for past in [&old, &later] {
        let answer = bearer(&world, past).await;
        assert_eq!((answer.status, answer.code()), (403, "role_insufficient"), "and does not come back");
    }
    world.pass(20_000_000);
    assert_eq!(
        bearer(&world, &token(60, json!(["staff"]))).await.body["role"],
        "auditor",
        "a new one counts"
    );
    world.store.audit_verify().await.unwrap().unwrap();
}

#[tokio::test]
async fn an_invitation_is_for_who_has_its_link_and_not_for_who_has_its_address() {
    let (world, provider) = place().await;
    let guest = |groups: Value| {
        let changes = json!({ "sub": "mallory", "email": "guest@example.com", "groups": groups });
        provider.token(with(&good(&provider), changes))
    };
    let mallory = bearer(&world, &guest(json!(["staff"]))).await.body["user"]["id"].clone();
    let role = tollgate_core::authz::Role::Admin;
    let token = super::links::invite(&world, "guest@example.com", role, 1).await;
    let answer = bearer(&world, &guest(json!(["staff"]))).await;
    assert_eq!(answer.body["role"], "auditor", "whoever the provider says has the address");
    let mut browser = world.browser();
    let seen = browser.post("session/invitation/view", json!({ "token": token })).await;
    assert_eq!(seen.body["has_account"], false, "and does not stand in the way");
    let accept = json!({ "token": token, "name": "Guest", "password": "a password of mine" });
    let joined = browser.post("session/invitation", accept).await;
    assert_eq!((joined.status, &joined.body["role"]), (200, &json!("admin")), "{joined:?}");
    assert_ne!(joined.body["user"]["id"], mallory, "somebody else");
}

#[tokio::test]
async fn an_old_sign_in_elsewhere_does_what_needs_no_fresh_one() {
    let (world, provider) = place().await;
    let old = provider.token(with(&good(&provider), json!({ "auth_time": NOW_S - 3600 })));
    assert_eq!(bearer(&world, &old).await.body["fresh"], false);
    let answer = world.browser().post("session/token", json!({ "id_token": old })).await;
    assert_eq!(answer.code(), "sign_in_not_fresh");
    // When a token was made proves nothing: it may come from a refresh.
    let silent = provider.token(with(&good(&provider), json!({ "auth_time": null })));
    let answer = world.browser().post("session/token", json!({ "id_token": silent })).await;
    assert_eq!(answer.code(), "sign_in_not_fresh");
}

/// What stands behind `name=` in an address.
fn parameter(url: &str, name: &str) -> String {
    let (_, query) = url.split_once('?').unwrap();
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap_or_default();
    pair.replace("%3A", ":").replace("%2F", "/")
}

async fn visit(world: &World, path: &str, cookie: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let head = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nsec-fetch-site: cross-site\r\ncookie: {cookie}\r\n\r\n",
        world.address
    );
    let mut socket = tokio::net::TcpStream::connect(world.address).await.unwrap();
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    answer
}

fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    answer.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default()
}

#[tokio::test]
async fn the_code_flow_brings_its_own_person_back_and_nobody_else() {
    let (world, provider) = place().await;
    let began = visit(&world, "/sign-in/oidc", "").await;
    assert!(began.starts_with("HTTP/1.1 303"), "{began}");
    let url = field(&began, "location: ").to_owned();
    assert!(
        url.starts_with(&format!("{}/auth?tenant=1&response_type=code&client_id=console&", provider.issuer)),
        "{url}"
    );
    assert!(url.contains("code_challenge_method=S256"), "{url}");
    assert_eq!(parameter(&url, "redirect_uri"), format!("http://{}/sign-in/oidc/callback", world.address));
    let cookie = field(&began, "set-cookie: ").to_owned();
    for part in ["__Host-tollgate-trip=", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let (state, nonce) = (parameter(&url, "state"), parameter(&url, "nonce"));
    let token =
        |changes: Value| provider.token(with(&with(&good(&provider), json!({ "nonce": nonce })), changes));
    let back = |state: &str, iss: &str| format!("/sign-in/oidc/callback?code=c0de&state={state}&iss={iss}");
    let iss = provider.issuer.clone();

    let others = visit(&world, "/sign-in/oidc", "").await;
    let others = field(&others, "set-cookie: ").split(';').next().unwrap().to_owned();
    let wrong: [(&str, String, &str, Value); 8] = [
        ("no cookie", back(&state, &iss), "", json!({})),
        ("another browser's cookie", back(&state, &iss), &others, json!({})),
        ("another state", back("x", &iss), &cookie, json!({})),
        ("another issuer", back(&state, "https://evil.example"), &cookie, json!({})),
        ("no issuer", format!("/sign-in/oidc/callback?code=c0de&state={state}"), &cookie, json!({})),
        (
            "refused there",
            format!("/sign-in/oidc/callback?error=access_denied&state={state}&iss={iss}"),
            &cookie,
            json!({}),
        ),
        ("another nonce", back(&state, &iss), &cookie, json!({ "nonce": "x" })),
        ("no nonce", back(&state, &iss), &cookie, json!({ "nonce": null })),
    ];
    for (name, path, cookie, changes) in wrong {
        provider.desk.lock().unwrap().0 = token(changes);
        let answer = visit(&world, &path, cookie).await;
        assert!(
            answer.starts_with("HTTP/1.1 401") && !answer.contains("__Host-tollgate="),
            "T12: {name}: {answer}"
        );
    }
    provider.desk.lock().unwrap().0 = token(json!({}));
    for (next, page) in [("%2Fkeys%3Fa%3D1", "url=/keys?a=1\""), ("%2F%2Fevil.example", "url=/\"")] {
        let cookie = format!("{cookie}; __Host-tollgate-next={next}");
        let answer = visit(&world, &back(&state, &iss), &cookie).await;
        assert!(answer.contains(page) && !answer.contains("evil"), "{answer}");
    }
    for (next, page) in [
        ("%2F%26%2347evil.example", "url=/&amp;#47evil.example\""),
        ("%2F%26%239%2Fevil.example", "url=/&amp;#9/evil.example\""),
        ("%2Fkeys%3Fa%3D1%26b%3D2", "href=\"/keys?a=1&amp;b=2\""),
    ] {
        let cookie = format!("{cookie}; __Host-tollgate-next={next}");
        let answer = visit(&world, &back(&state, &iss), &cookie).await;
        assert!(answer.contains(page) && !answer.contains("&#"), "no reference makes it `//…`: {answer}");
    }
    let began = visit(&world, "/sign-in/oidc?next=%2Fkeys", "").await;
    assert!(began.contains("__Host-tollgate-next=%2Fkeys;"), "where to go on: {began}");
    let answer = visit(&world, &back(&state, &iss), &cookie).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let asked = provider.desk.lock().unwrap().1.clone();
    for part in ["grant_type=authorization_code", "code=c0de", "code_verifier="] {
        assert!(asked.contains(part), "{asked}");
    }
    let mut browser = world.browser();
    let session = answer.lines().find_map(|line| line.strip_prefix("set-cookie: __Host-tollgate=")).unwrap();
    browser.cookie = Some(session.split(';').next().unwrap().to_owned());
    let shown = browser.get("session").await;
    assert_eq!((shown.status, &shown.body["user"]["email"]), (200, &json!("alice@example.test")));
    world.pass(31 * MINUTE);
    assert_eq!(browser.get("session").await.code(), "sign_in_expired");
}

#[tokio::test]
async fn who_proves_themselves_anew_at_the_provider_keeps_their_session() {
    let (world, provider) = place().await;
    let mut browser = world.browser();
    let token = provider.token(good(&provider));
    assert_eq!(browser.post("session/token", json!({ "id_token": token })).await.status, 200);
    world.pass(11 * MINUTE);
    let listed = browser.get("sessions").await.body["items"].clone();
    let old = browser.cookie.clone().unwrap();
    let elsewhere = world.owner().await.cookie.unwrap();
    for (present, sessions) in [(&old, 1), (&elsewhere, 2)] {
        let began = visit(&world, "/sign-in/oidc?fresh=1", &format!("__Host-tollgate={present}")).await;
        let cookies = began.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        let cookies: Vec<&str> = cookies.filter_map(|cookie| cookie.split(';').next()).collect();
        let url = field(&began, "location: ");
        let claims = json!({ "nonce": parameter(url, "nonce"), "auth_time": world.now() / 1_000_000 });
        let claims = with(&claims, json!({ "iat": NOW_S + 660, "exp": NOW_S + 1200 }));
        provider.desk.lock().unwrap().0 = provider.token(with(&good(&provider), claims));
        let (state, iss) = (parameter(url, "state"), &provider.issuer);
        let back = format!("/sign-in/oidc/callback?code=c0de&state={state}&iss={iss}");
        // The session's own cookie does not come along from the provider's site.
        let answer = visit(&world, &back, &cookies.join("; ")).await;
        let new = answer.lines().find_map(|line| line.strip_prefix("set-cookie: __Host-tollgate="));
        browser.cookie = new.and_then(|cookie| cookie.split(';').next()).map(str::to_owned);
        assert_eq!(browser.get("session").await.body["fresh"], true, "{answer}");
        let now = browser.get("sessions").await.body["items"].clone();
        assert_eq!(now.as_array().unwrap().len(), sessions, "{now}");
        assert!(now.as_array().unwrap().iter().any(|item| item["id"] == listed[0]["id"]), "{now}");
        browser.cookie = Some(old.clone());
        assert_eq!(browser.get("session").await.code(), "sign_in_missing", "a new token for new privileges");
        browser.cookie = Some(elsewhere.clone());
        assert_eq!(browser.get("session").await.status, 200, "and nobody else's session is touched");
    }
}

#[tokio::test]
async fn only_an_address_that_the_provider_verified_is_kept_and_names_end() {
    let (world, provider) = place().await;
    for (verified, email) in [
        (json!(true), "owner@example.com"),
        (json!("true"), "owner@example.com"),
        (json!(false), ""),
        (json!("false"), ""),
        (json!(1), ""),
        (Value::Null, ""),
    ] {
        let claims = json!({
            "sub": format!("sub {verified}"), "email": "owner@example.com", "email_verified": verified,
            "name": format!("a\u{7}{}", "n".repeat(1000)),
        });
        let token = provider.token(with(&good(&provider), claims));
        let mut browser = world.browser();
        browser.extra = vec![("authorization".into(), format!("Bearer {token}"))];
        let user = browser.get("session").await.body["user"].clone();
        assert_eq!(user["email"], email, "{verified}: {user}");
        assert_eq!(user["name"].as_str().unwrap().len(), 200, "{user}");
        let id = user["id"].as_str().unwrap().parse().unwrap();
        assert_ne!(id, world.owner, "whoever it says it is, it is not the local account of that address");
        let kept = world.store.account(id).await.unwrap();
        assert_eq!((kept.email.as_str(), kept.name.len()), (email, 200), "{verified}");
    }
    // To be shown, a name will do that nobody verified; mail goes nowhere.
    for (claims, name) in [
        (json!({ "sub": "a", "preferred_username": "ally", "email": "a@example.test" }), "ally"),
        (json!({ "sub": "b", "email": "b@example.test" }), "b@example.test"),
    ] {
        let unverified = with(&good(&provider), json!({ "email_verified": null }));
        let user = bearer(&world, &provider.token(with(&unverified, claims))).await.body["user"].clone();
        assert_eq!((&user["name"], &user["email"]), (&json!(name), &json!("")), "{user}");
    }
}
