//! PostgreSQL over TLS, to a real server: spoken when it is asked for, and believed only as far as it is asked for.

use tollgate_store::{OpenOptions, Store, StoreError};
use tollgate_testkit::Postgres;

/// Opens a database of a server as `localhost`, with these parameters.
async fn open(server: &Postgres, database: &str, parameters: &str) -> Result<Store, StoreError> {
    let url = format!("postgres://postgres@localhost:{}/{database}?{parameters}", server.port());
    Store::open(&url, OpenOptions { wait_ms: 5_000, connections_max: 2, ..OpenOptions::default() }).await
}

fn refusal(outcome: Result<Store, StoreError>) -> String {
    let error = outcome.map(|_| ()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_postgresql_is_verified_as_far_as_the_url_asks() {
    let server = Postgres::start_with_tls("localhost");
    let stranger = Postgres::start_with_tls("db.example.com");
    let own = format!("sslrootcert={}", server.authority().display());
    let others = format!("sslrootcert={}", stranger.authority().display());
    let database = server.create_database().rsplit('/').next().unwrap().to_owned();

    for (nth, mode) in ["sslmode=require", "sslmode=verify-ca", "sslmode=verify-full"].iter().enumerate() {
        let store =
            open(&server, &database, &format!("{mode}&{own}&application_name=tls{nth}")).await.unwrap();
        assert_eq!(store.head().await.unwrap(), 0);
        let sessions = format!(
            "select count(*), count(*) filter (where not s.ssl) from pg_stat_ssl s \
             join pg_stat_activity a using (pid) where a.application_name = 'tls{nth}'"
        );
        let counts = server.sql(&server.url(&database), &sessions);
        let (all, clear) = counts.split_once('|').unwrap();
        assert!(all.parse::<u32>().unwrap() >= 1 && clear == "0", "{mode}: {counts}");
        store.close().await;
    }

    // An authority that is not believed.
    let wrong = refusal(open(&server, &database, &format!("sslmode=verify-full&{others}")).await);
    assert!(wrong.contains("no authority that is believed") && wrong.contains("sslrootcert"), "{wrong}");
    let wrong = refusal(open(&server, &database, "sslmode=verify-full").await);
    assert!(wrong.contains("no authority that is believed"), "{wrong}");
    let wrong = refusal(open(&server, &database, &format!("sslmode=verify-ca&{others}")).await);
    assert!(wrong.contains("no authority that is believed"), "{wrong}");

    // A server of another name, with a certificate that is good but for it.
    let wrong = refusal(open(&stranger, "postgres", &format!("sslmode=verify-full&{others}")).await);
    assert!(wrong.contains("another name"), "{wrong}");
    open(&stranger, "postgres", &format!("sslmode=verify-ca&{others}")).await.unwrap().close().await;

    // A file that is not there, and a mode that is none.
    let wrong = refusal(open(&server, &database, "sslmode=verify-full&sslrootcert=/no/such/file.pem").await);
    assert!(wrong.contains("sslrootcert"), "{wrong}");
    let wrong = refusal(open(&server, &database, "sslmode=always").await);
    assert!(wrong.contains("parameter"), "{wrong}");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_asked_for() {
    let server = Postgres::shared();
    for mode in ["require", "verify-ca", "verify-full"] {
        let wrong = refusal(open(server, "postgres", &format!("sslmode={mode}")).await);
        assert!(wrong.contains("speaks no TLS"), "{mode}: {wrong}");
    }
}
