//! Mail at a real SMTP server (aiosmtpd): TLS of both kinds, logging in, refusals, outages, bounds.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use tollgate_control::{Courier as _, Mail, Sender, SmtpCourier, SmtpOptions, SmtpSecurity, check_smtp};
use tollgate_core::secret::Secret;

use tollgate_testkit::{certificate, free_port};

/// Appends what it takes to a file, one JSON a line. `refuse-…@` is refused for good, `later-…@` once.
const SERVER: &str = r#"
import json, ssl, sys, asyncio
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
folder, port, security, login = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
seen = set()
class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("refuse"):
            return "550 no such mailbox"
        if address.startswith("later") and address not in seen:
            seen.add(address)
            return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"
    async def handle_DATA(self, server, session, envelope):
        with open(folder + "/mails", "a") as file:
            file.write(json.dumps({"from": envelope.mail_from, "to": envelope.rcpt_tos, "tls": server.transport.get_extra_info("sslcontext") is not None,
                                   "text": envelope.content.decode("utf-8", "replace")}) + "\n")
        return "250 OK"
def authenticate(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"gate", b"mail secret")
    return AuthResult(success=good, handled=False)
tls = None
if security != "none":
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder + "/cert.pem", folder + "/key.pem")
def factory():
    extra = {}
    if login == "login":
        extra = dict(authenticator=authenticate, auth_required=True, auth_require_tls=False)
    if security == "starttls":
        extra.update(tls_context=tls, require_starttls=True)
    return SMTP(Handler(), hostname="localhost", **extra)
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(factory, "127.0.0.1", port, ssl=tls if security == "tls" else None)
    await server.serve_forever()
asyncio.run(main())
"#;

struct Server {
    process: Option<Child>,
    folder: tempfile::TempDir,
    port: u16,
    security: SmtpSecurity,
    login: bool,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Server {
    async fn start(security: SmtpSecurity, login: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        certificate(folder.path(), "");
        certificate(folder.path(), "other-");
        fs::write(folder.path().join("server.py"), SERVER).unwrap();
        let mut server = Self { process: None, folder, port: free_port(), security, login };
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let security = match self.security {
            SmtpSecurity::None => "none",
            SmtpSecurity::StartTls => "starttls",
            SmtpSecurity::Tls => "tls",
        };
        // Of the Debian package python3-aiosmtpd, which is the system's own Python's.
        let process = Command::new("/usr/bin/python3")
            .arg(self.folder.path().join("server.py"))
            .arg(self.folder.path())
            .arg(self.port.to_string())
            .args([security, if self.login { "login" } else { "anybody" }])
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        for _ in 0..1000 {
            if tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the mail server does not start; is python3-aiosmtpd installed?");
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _killed = process.kill();
            let _ended = process.wait();
        }
    }

    fn options(&self) -> SmtpOptions {
        let login = self.login.then(|| ("gate".to_owned(), Secret::new("mail secret".to_owned())));
        let from: Sender = "Tollgate <gate@example.com>".parse().unwrap();
        let ca_file = Some(self.folder.path().join("cert.pem"));
        let (host, port) = ("localhost".to_owned(), Some(self.port));
        SmtpOptions { host, port, security: self.security, ca_file, login, from }
    }

    fn taken(&self) -> Vec<serde_json::Value> {
        let text = fs::read_to_string(self.folder.path().join("mails")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    async fn taken_once_there_are(&self, count: usize) -> Vec<serde_json::Value> {
        for _ in 0..1500 {
            let taken = self.taken();
            if taken.len() >= count {
                return taken;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} mails came, {count} should", self.taken().len());
    }
}

fn mail(to: &str) -> Mail {
    let text = "Open this link:\nhttps://gate.example.com/reset/abc\n".to_owned();
    Mail { to: to.to_owned(), subject: "Ein neues Paßwort".to_owned(), text: Secret::new(text) }
}

#[tokio::test]
async fn mail_goes_by_each_kind_of_security() {
    for (security, login) in
        [(SmtpSecurity::None, false), (SmtpSecurity::StartTls, true), (SmtpSecurity::Tls, true)]
    {
        let server = Server::start(security, login).await;
        check_smtp(&server.options()).await.unwrap();
        let courier = SmtpCourier::start(&server.options()).unwrap();
        courier.send(mail("alice@example.com"));
        let taken = server.taken_once_there_are(1).await;
        assert_eq!(taken[0]["to"], serde_json::json!(["alice@example.com"]));
        assert_eq!(taken[0]["from"], "gate@example.com");
        assert_eq!(taken[0]["tls"], security != SmtpSecurity::None);
        let text = taken[0]["text"].as_str().unwrap();
        for part in ["From: Tollgate <gate@example.com>", "=?utf-8?", "Date: ", "Message-ID: ", "/reset/abc"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}

#[tokio::test]
async fn nothing_is_said_to_a_server_that_is_not_who_it_should_be() {
    for security in [SmtpSecurity::StartTls, SmtpSecurity::Tls] {
        let server = Server::start(security, true).await;
        let other = |file: Option<PathBuf>| SmtpOptions { ca_file: file, ..server.options() };
        let wrong = check_smtp(&other(Some(server.folder.path().join("other-cert.pem")))).await;
        assert!(wrong.is_err_and(|problem| problem.to_lowercase().contains("certificate")));
        let wrong = check_smtp(&other(None)).await;
        assert!(wrong.is_err(), "the operating system's authorities did not sign it");
        let missing = check_smtp(&other(Some(PathBuf::from("/nowhere.pem")))).await;
        assert!(missing.is_err_and(|problem| problem.contains("/nowhere.pem")));
    }
    // A server that cannot turn to TLS gets no mail in the clear.
    let plain = Server::start(SmtpSecurity::None, false).await;
    let courier =
        SmtpCourier::start(&SmtpOptions { security: SmtpSecurity::StartTls, ..plain.options() }).unwrap();
    courier.send(mail("alice@example.com"));
    courier.end(Duration::from_secs(20)).await;
    assert!(plain.taken().is_empty());
}

#[tokio::test]
async fn digests_leave_room_for_links() {
    let server = Server::start(SmtpSecurity::None, false).await;
    // The task that sends does not run before this test waits for something.
    let courier = SmtpCourier::start(&server.options()).unwrap();
    let taken = (0..3_000).filter(|_| courier.take_digest(mail("digest@example.com"))).count();
    assert_eq!((taken, courier.room_for_digests()), (1_024, 0));
    courier.send(mail("link@example.com"));
    assert!(!courier.take_digest(mail("digest@example.com")), "the link took one of its own places");
    courier.end(Duration::ZERO).await;
}

#[tokio::test]
async fn a_wrong_password_is_told_without_it() {
    let server = Server::start(SmtpSecurity::StartTls, true).await;
    let login = Some(("gate".to_owned(), Secret::new("guessed secret".to_owned())));
    let problem = check_smtp(&SmtpOptions { login, ..server.options() }).await.unwrap_err();
    assert!(problem.contains("535") && !problem.contains("guessed"), "{problem}");
}

#[tokio::test]
async fn a_refused_mail_holds_nobody_up_and_one_put_off_is_tried_again() {
    let server = Server::start(SmtpSecurity::None, false).await;
    let courier = SmtpCourier::start(&server.options()).unwrap();
    for to in ["refuse@example.com", "later@example.com", "no address", "bob@example.com"] {
        courier.send(mail(to));
    }
    let taken = server.taken_once_there_are(2).await;
    let to: Vec<_> = taken.iter().map(|mail| mail["to"][0].as_str().unwrap()).collect();
    assert_eq!(to, ["bob@example.com", "later@example.com"], "who was put off comes after whoever was not");
}

#[tokio::test]
async fn an_outage_of_the_server_loses_no_mail_that_waits() {
    let mut server = Server::start(SmtpSecurity::None, false).await;
    let courier = SmtpCourier::start(&server.options()).unwrap();
    server.stop();
    courier.send(mail("alice@example.com"));
    courier.send(mail("bob@example.com"));
    server.run().await;
    assert_eq!(server.taken_once_there_are(2).await.len(), 2);
    // The end tries once more what waits, and takes nothing new.
    server.stop();
    courier.send(mail("carol@example.com"));
    server.run().await;
    courier.end(Duration::from_secs(20)).await;
    courier.send(mail("dave@example.com"));
    assert_eq!(server.taken().len(), 3);
}

#[tokio::test]
async fn what_waits_has_a_bound_and_asking_never_waits() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = SmtpOptions {
        host: "127.0.0.1".to_owned(),
        port: Some(port),
        security: SmtpSecurity::None,
        ca_file: None,
        login: None,
        from: "gate@example.com".parse().unwrap(),
    };
    // A server that takes connections and says nothing.
    let courier = SmtpCourier::start(&options).unwrap();
    for number in 0..5000 {
        courier.send(mail(&format!("a{number}@example.com")));
    }
    assert!(format!("{courier:?}").contains(&port.to_string()));
    courier.end(Duration::from_millis(50)).await;
}
