//! The configuration: all errors at once with their places, layers, generated documentation.

use std::path::{Path, PathBuf};

use tollgate::config::{Config, Sources, docs, parse, settings::SETTINGS};

fn from_file(text: &str) -> Sources {
    Sources { file: Some(("tollgate.toml".to_owned(), text.to_owned())), ..Sources::default() }
}

fn errors(sources: &Sources) -> String {
    let errors = parse(sources).expect_err("the configuration is wrong");
    errors.iter().map(|error| format!("{error}\n")).collect()
}

fn good(sources: &Sources) -> Config {
    parse(sources).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

#[test]
fn defaults_need_no_file() {
    let config = good(&Sources { data_dir: PathBuf::from("d"), ..Sources::default() });
    assert_eq!(config.gateway.listener.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database_url().expose(), "sqlite://d/tollgate.db");
    assert_eq!(config.journal_dir(), Path::new("d/journal"));
    assert_eq!(config.gateway.body_bytes_max, 100 << 20);
}

#[test]
fn environment_wins_over_the_file_and_flags_over_both() {
    let mut sources =
        from_file("[gateway]\nlisten = \"127.0.0.1:1\"\nthreads = 1\ntrusted_proxies = [\"10.0.0.0/8\"]");
    sources.environment = vec![
        ("TOLLGATE_GATEWAY__LISTEN".into(), "127.0.0.1:2".into()),
        ("TOLLGATE_GATEWAY__THREADS".into(), "2".into()),
        ("TOLLGATE_TEST_DEPTH".into(), "not ours".into()),
    ];
    sources.flags = vec![("gateway.threads".into(), "3".into())];
    let config = good(&sources);
    assert_eq!(config.gateway.listener.listen.port(), 2);
    assert_eq!(config.gateway.threads, 3);
    assert_eq!(config.gateway.trusted_proxies.len(), 1);
}

#[test]
fn everything_that_is_wrong_is_reported_at_once_with_its_place() {
    let mut sources = from_file(
        r#"[gateway]
listen = "localhost:8080"
threads = -3
trusted_proxies = ["10.0.0.0/8", "10.0.0.0/40"]
head_bytes_max = "1TiB"
head_timout = "5s"
[gateway.tls]
cert = "cert.pem"

[memcached]
url = "redis://localhost"

[retention]
decisions = 30

[log]
level = "loud=,"
format = "xml"
[database]
url = "mysql://root:secret@localhost"
[service_api]
listen = "127.0.0.1:8081"
"#,
    );
    sources.environment = vec![("TOLLGATE_GATEWAY__LISTN".into(), "x".into())];
    sources.flags = vec![("journal.bytes_max".into(), "12".into()), ("feed.lease".into(), "1s".into())];
    let errors = errors(&sources);
    assert!(!errors.contains("root:secret"), "a password is not repeated");
    insta::assert_snapshot!(errors);
}

#[test]
fn a_file_that_is_no_toml_shows_every_place_that_is_not() {
    insta::assert_snapshot!(errors(&from_file("[gateway\nlisten = \n\nthreads = 1 2\n")));
}

#[test]
fn every_setting_has_a_default_that_it_accepts_and_a_doc() {
    good(&Sources::default());
    for setting in SETTINGS {
        assert!(setting.doc.ends_with('.'), "{}", setting.path);
        assert!(!setting.shape.is_empty(), "{}", setting.path);
    }
}

#[test]
fn groups_with_commas_are_written_as_a_table() {
    let file = |roles: &str| {
        format!(
            "[ldap]\nurl = \"ldaps://x\"\nbind_dn = \"cn=a\"\nbind_password = \"b\"\nuser_base = \"dc=x\"\n{roles}\n"
        )
    };
    let table = file("[ldap.roles]\n\"cn=admins,ou=groups,dc=x\" = \"admin\"\ndevs = \"developer\"");
    let words = file("roles = \"cn=admins,ou=groups,dc=x=admin;devs=developer\"");
    let roles = |text: &str| good(&from_file(text)).people.ldap.roles;
    assert_eq!(roles(&table), roles(&words));
    let cut = errors(&from_file(&file("roles = \"cn=admins,ou=groups,dc=x=admin\"")));
    assert!(cut.contains("ldap.roles"), "{cut}");
    let wrong = errors(&from_file(&file("[ldap.roles]\nadmins = \"root\"\nops = 7")));
    assert!(wrong.contains("ldap.roles"), "{wrong}");
}

#[test]
fn the_generated_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated/configuration.md");
    let page = docs::markdown();
    if std::env::vars_os().any(|(name, _)| name == "UPDATE_DOCS") {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("make the folder");
        std::fs::write(&path, &page).expect("write the page");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == page, "docs/generated/configuration.md is stale; run with UPDATE_DOCS=1");
}
