//! Sign-in in a real directory (slapd): search, then bind (T12).

use serde_json::json;
use tollgate_control::{LdapOptions, ProviderOptions, SignInOptions};
use tollgate_core::secret::Secret;
use tollgate_testkit::Directory;

use super::world::{self, Answer, World};

fn options(directory: &Directory) -> LdapOptions {
    LdapOptions {
        url: directory.url(),
        start_tls: false,
        ca_file: None,
        bind_dn: "cn=admin,dc=example,dc=test".into(),
        bind_password: Secret::new("admin".into()),
        user_base: "ou=people,dc=example,dc=test".into(),
        user_filter: "(&(objectClass=person)(|(uid={login})(mail={login})))".into(),
        id_attribute: "uid".into(),
        group_base: Some("ou=groups,dc=example,dc=test".into()),
        group_filter: "(member={dn})".into(),
        roles: "admins=admin".parse().unwrap(),
        tenant: Some("acme".into()),
    }
}

async fn world_of(options: LdapOptions) -> World {
    let providers = ProviderOptions { ldap: Some(options), ..ProviderOptions::default() };
    world::with(SignInOptions { providers, ..SignInOptions::default() }).await
}

async fn sign_in(world: &World, login: &str, password: &str) -> Answer {
    let mut browser = world.browser();
    let answer = browser.post("session/ldap", json!({ "login": login, "password": password })).await;
    assert_eq!(browser.cookie.is_some(), answer.status == 200);
    answer
}

#[tokio::test]
async fn people_of_the_directory_sign_in_and_nobody_else() {
    let directory = Directory::start();
    let world = world_of(options(&directory)).await;
    for login in ["alice", "ALICE@example.test"] {
        let answer = sign_in(&world, login, "alicepw").await;
        assert_eq!((answer.status, &answer.body["role"]), (200, &json!("admin")), "{answer:?}");
        assert_eq!(
            (&answer.body["method"], &answer.body["user"]["name"]),
            (&json!("ldap"), &json!("Alice A"))
        );
    }
    let answer = sign_in(&world, "bob", "bobpw").await;
    assert_eq!((answer.status, answer.code()), (403, "role_insufficient"), "in no group");
    let zoo = [
        ("alice", ""),
        ("alice", " "),
        ("", "alicepw"),
        ("", ""),
        ("alice", "wrong"),
        ("nobody", "alicepw"),
        ("nopassword", ""),
        ("nopassword", "x"),
        ("*", "alicepw"),
        ("al*", "alicepw"),
        ("alice)(uid=*", "alicepw"),
        (")(uid=*", "alicepw"),
        ("alice))(|(uid=*", "alicepw"),
        ("alice\0", "alicepw"),
        ("alice", "alicepw\0"),
        ("twice@example.test", "bobpw"),
        ("uid=alice,ou=people,dc=example,dc=test", "alicepw"),
        ("admin", "admin"),
        ("cn=admin,dc=example,dc=test", "admin"),
        ("alice", "alicepw "),
    ];
    for (login, password) in zoo {
        let answer = sign_in(&world, login, password).await;
        world.pass(31_000_000);
        assert_eq!((answer.status, answer.code()), (401, "sign_in_failed"), "T12: {login:?} {password:?}");
    }
    println!("T12: {} log-ins to the directory, 0 let in", zoo.len());
}

#[tokio::test]
async fn attempts_count_by_the_entry_that_is_found_and_not_by_its_spelling() {
    let directory = Directory::start();
    let world = world_of(options(&directory)).await;
    for index in 0..10 {
        let login = ["alice", "alice@example.test"][index % 2];
        assert_eq!(sign_in(&world, login, "wrong").await.code(), "sign_in_failed", "{login}");
    }
    let answer = sign_in(&world, "ALICE@example.test", "alicepw").await;
    assert_eq!((answer.status, answer.code()), (401, "sign_in_failed"), "none left, and nobody is told");
    world.pass(31_000_000);
    assert_eq!(sign_in(&world, "alice", "alicepw").await.status, 200);
    for _ in 0..10 {
        sign_in(&world, "nobody", "wrong").await;
    }
    assert_eq!(sign_in(&world, " Nobody", "wrong").await.code(), "too_many_attempts", "found or not");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test measures with the ordinary clock")]
async fn who_is_not_in_the_directory_takes_as_long_as_a_wrong_password() {
    let directory = Directory::start();
    let world = world_of(options(&directory)).await;
    let mut fastest = [std::time::Duration::MAX; 2];
    for _ in 0..4 {
        for (index, login) in ["alice", "nobody"].into_iter().enumerate() {
            let began = std::time::Instant::now();
            sign_in(&world, login, "wrong").await;
            fastest[index] = fastest[index].min(began.elapsed());
        }
    }
    let [there, nowhere] = fastest.map(|time| time.as_secs_f64());
    assert!(there >= 0.25 && nowhere > there * 0.8 && nowhere < there * 1.25, "{fastest:?}");
}

#[tokio::test]
async fn groups_are_named_whole_in_whatever_spelling() {
    let directory = Directory::start();
    let role = async |roles: &str| {
        let options = LdapOptions { roles: roles.parse().unwrap(), ..options(&directory) };
        let answer = sign_in(&world_of(options).await, "alice", "alicepw").await;
        answer.body["role"].as_str().map(str::to_owned)
    };
    let whole = "CN=Admins, OU=groups,DC=Example,dc=test=owner;";
    assert_eq!(role(whole).await.as_deref(), Some("owner"));
    assert_eq!(role("ADMINS=auditor").await.as_deref(), Some("auditor"));
    assert_eq!(role("cn=admins,ou=others,dc=example,dc=test=owner;").await, None);
}

#[tokio::test]
async fn tls_to_the_directory_is_verified_and_never_given_up() {
    let directory = Directory::start();
    let (ca, other) = (Some(directory.certificate()), Some(directory.other_certificate()));
    let tls = directory.tls_url();
    let with_tls = LdapOptions { url: tls.clone(), ca_file: ca.clone(), ..options(&directory) };
    assert_eq!(sign_in(&world_of(with_tls).await, "alice", "alicepw").await.status, 200, "LDAPS");
    let start = LdapOptions { start_tls: true, ca_file: ca.clone(), ..options(&directory) };
    assert_eq!(sign_in(&world_of(start).await, "alice", "alicepw").await.status, 200, "StartTLS");
    let refused = [
        LdapOptions { url: tls.clone(), ca_file: other.clone(), ..options(&directory) },
        LdapOptions { url: tls, ca_file: None, ..options(&directory) },
        LdapOptions { start_tls: true, ca_file: other.clone(), ..options(&directory) },
        LdapOptions { url: "ldap://192.0.2.1:389".into(), ..options(&directory) },
        LdapOptions { bind_password: Secret::new("wrong".into()), ..options(&directory) },
        LdapOptions { url: "ldap://127.0.0.1:1".into(), ..options(&directory) },
    ];
    for options in refused {
        let answer = sign_in(&world_of(options.clone()).await, "alice", "alicepw").await;
        assert_eq!((answer.status, answer.code()), (503, "unavailable"), "{options:?}");
        assert!(!answer.body.to_string().contains("127.0.0.1"), "causes stay in the log");
    }
}

#[tokio::test]
async fn a_directory_is_examined_step_by_step() {
    let directory = Directory::start();
    let found = async |options: LdapOptions| {
        let providers = ProviderOptions { ldap: Some(options), ..ProviderOptions::default() };
        tollgate_control::examine_providers(&providers, world::NOW).await
    };
    let start =
        LdapOptions { start_tls: true, ca_file: Some(directory.certificate()), ..options(&directory) };
    let good = found(start.clone()).await;
    let checks: Vec<_> = good.iter().map(|found| (found.check, found.is_ok)).collect();
    let all = ["ldap connect", "ldap bind", "ldap.user_base", "ldap.group_base"];
    assert_eq!(checks, all.map(|check| (check, true)), "{good:?}");
    let other = Some(directory.other_certificate());
    let nowhere = Some("ou=nowhere,dc=example,dc=test".to_owned());
    for (options, wrong) in [
        (LdapOptions { url: "ldap://127.0.0.1:1".into(), ..start.clone() }, "ldap connect"),
        (LdapOptions { ca_file: other, ..start.clone() }, "ldap connect"),
        (LdapOptions { url: "ldap://192.0.2.1".into(), start_tls: false, ..start.clone() }, "ldap connect"),
        (LdapOptions { bind_password: Secret::new("wrong".into()), ..start.clone() }, "ldap bind"),
        (
            LdapOptions { user_base: "ou=nowhere,dc=example,dc=test".into(), ..start.clone() },
            "ldap.user_base",
        ),
        (LdapOptions { group_base: nowhere, ..start }, "ldap.group_base"),
    ] {
        let found = found(options).await;
        let bad: Vec<_> = found.iter().filter(|found| !found.is_ok).collect();
        assert!(bad.len() == 1 && bad[0].check == wrong && !bad[0].remedy.is_empty(), "{wrong}: {found:?}");
        assert!(!format!("{found:?}").contains("admin\""), "no password is said");
    }
}
