//! A control listener with an owner, a clock that a test moves, a courier that keeps what it is given,
//! and a browser that keeps its cookie.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tollgate_control::{Control, Courier, Health, Mail, Report, SignInOptions, hash_password, serve};
use tollgate_core::{
    authz::{Action, Actor, Permit, authorise},
    id::{TenantId, UserId},
    secret::Secret,
    time::{Clock, Now},
};
use tollgate_store::{NewInstallation, Store};

pub(crate) const OWNER: &str = "owner@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery";
pub(crate) const NOW: i64 = 1_767_225_600_000_000;
pub(crate) const MINUTE: i64 = 60_000_000;

pub(crate) struct Hand(AtomicI64);

impl Clock for Hand {
    fn now(&self) -> Now {
        let wall_us = self.0.load(Ordering::SeqCst);
        Now { wall_us, mono_ns: (wall_us - NOW).unsigned_abs() * 1000 + 1 }
    }
}

struct Well;

impl Health for Well {
    fn report(&self) -> Report {
        Report { node: "n1".into(), roles: vec![], parts: vec![] }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Pigeonhole(Mutex<Vec<Mail>>);

impl Courier for Pigeonhole {
    fn send(&self, mail: Mail) {
        self.0.lock().unwrap().push(mail);
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<Hand>,
    pub(crate) mails: Arc<Pigeonhole>,
    pub(crate) tenant: TenantId,
    pub(crate) owner: UserId,
    _folder: tempfile::TempDir,
}

pub(crate) async fn world() -> World {
    with(SignInOptions::default()).await
}

/// A listener that sends no mail.
pub(crate) async fn without_mail() -> World {
    build(SignInOptions::default(), false).await
}

pub(crate) async fn with(options: SignInOptions) -> World {
    build(options, true).await
}

async fn build(options: SignInOptions, has_mail: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/tollgate.db", folder.path().display());
    let store = Arc::new(Store::open(&url, crate::with_keys()).await.unwrap());
    let new = NewInstallation {
        tenant: "acme".into(),
        owner_email: OWNER.into(),
        password_hash: hash_password(&Secret::new(PASSWORD.into())).unwrap(),
    };
    let made = store.init(&host(Action::Initialise), new, NOW).await.unwrap().value;
    let clock = Arc::new(Hand(AtomicI64::new(NOW)));
    let mails = Arc::new(Pigeonhole::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = Control {
        health: Arc::new(Well),
        metrics: Arc::new(String::new),
        version: "9.9.9",
        store: store.clone(),
        clock: clock.clone(),
        sign_in: SignInOptions {
            courier: has_mail.then(|| Arc::clone(&mails) as Arc<dyn Courier>),
            ..options
        },
        follow: Arc::new(()),
        models: Arc::new(()),
        kept: crate::KEPT,
    };
    tokio::spawn(serve(listener, control, std::future::pending()));
    World { address, store, clock, mails, tenant: made.tenant, owner: made.owner, _folder: folder }
}

pub(crate) fn host(action: Action) -> Permit {
    authorise(&Actor::OsUser("test".into()), action, None).unwrap()
}

impl World {
    pub(crate) fn pass(&self, micros: i64) {
        self.clock.0.fetch_add(micros, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().wall_us
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser { address: self.address, cookie: None, csrf: None, extra: Vec::new() }
    }

    /// A browser in which the owner is signed in.
    pub(crate) async fn owner(&self) -> Browser {
        let mut browser = self.browser();
        let answer = browser.sign_in(OWNER, PASSWORD).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        browser
    }

    /// The mails sent so far, once there are at least so many.
    pub(crate) async fn mails(&self, count: usize) -> Vec<Mail> {
        for _ in 0..1000 {
            let mails = self.mails.0.lock().unwrap().clone();
            if mails.len() >= count {
                return mails;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        Vec::new()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}

#[derive(Clone)]
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: Option<String>,
    pub(crate) extra: Vec<(String, String)>,
}

impl Browser {
    pub(crate) async fn sign_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("session", serde_json::json!({ "email": email, "password": password })).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, Some(body)).await
    }

    pub(crate) async fn delete(&mut self, path: &str) -> Answer {
        self.ask("DELETE", path, None).await
    }

    /// Asks, and keeps the cookie and the token that the answer brings.
    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let mut head = format!(
            "{method} /api/admin/v1/{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n",
            self.address,
            body.len()
        );
        if !body.is_empty() {
            head.push_str("content-type: application/json\r\n");
        }
        if let Some(cookie) = &self.cookie {
            head.push_str(&format!("cookie: __Host-tollgate={cookie}\r\n"));
        }
        if let Some(csrf) = &self.csrf {
            head.push_str(&format!("x-csrf-token: {csrf}\r\n"));
        }
        for (name, value) in &self.extra {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut socket = tokio::net::TcpStream::connect(self.address).await.unwrap();
        socket.write_all(format!("{head}\r\n{body}").as_bytes()).await.unwrap();
        let mut text = String::new();
        socket.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or(Value::Null);
        if let Some((_, rest)) = head.split_once("set-cookie: __Host-tollgate=") {
            self.cookie = Some(rest.split(';').next().unwrap().to_owned()).filter(|text| !text.is_empty());
        }
        if let Some(csrf) = body["csrf_token"].as_str() {
            self.csrf = Some(csrf.to_owned());
        }
        Answer { status, head: head.to_owned(), body }
    }
}
