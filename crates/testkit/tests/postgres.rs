//! The throw-away PostgreSQL: separate databases, outages, and nothing left behind.

use tollgate_testkit::Postgres;

#[test]
fn each_test_gets_a_database_of_its_own() {
    let server = Postgres::shared();
    let (one, two) = (server.create_database(), server.create_database());
    server.sql(&one, "create table t (n int); insert into t values (7)");
    assert_eq!(server.sql(&one, "select n from t"), "7");
    assert_eq!(server.sql(&two, "select count(*) from pg_tables where tablename = 't'"), "0");
}

#[test]
fn an_outage_keeps_the_rows_and_the_end_removes_the_server() {
    let mut server = Postgres::start();
    let url = server.create_database();
    server.sql(&url, "create table t (n int); insert into t values (7)");
    let port: u16 = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    server.stop();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    server.resume();
    assert_eq!(server.sql(&url, "select n from t"), "7");
    drop(server);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
