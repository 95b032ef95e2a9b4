//! Webhooks: told at least once with one id, again on the schedule, nobody held back by another, nothing sent where
//! it must not go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::hmac;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tollgate_core::{
    authz::Action,
    key::Environment,
    secret::Secret,
    time::Clock,
    webhook::{Egress, WebhookSpec},
};
use tollgate_store::{
    DeliveryFilter, DeliveryRow, DeliveryState, NewKey, OpenOptions, PageRequest, Store, WebhookReplay,
    WebhookView,
};
use tollgate_workers::{WebhookOptions, Webhooks};

use crate::world::{START_US, World, permit, until};

/// A request as it was received: names in lower case.
#[derive(Clone, Debug)]
struct Received {
    headers: BTreeMap<String, String>,
    body: String,
}

impl Received {
    fn id(&self) -> String {
        self.headers["webhook-id"].clone()
    }

    /// Which of the signatures are of this secret, computed here once more.
    fn signed_by(&self, secret: &str) -> Vec<bool> {
        let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
        let signed = format!("{}.{}.{}", self.id(), self.headers["webhook-timestamp"], self.body);
        let signatures = self.headers["webhook-signature"].split(' ');
        let own = signatures.map(|one| STANDARD.decode(one.strip_prefix("v1,").unwrap()).unwrap());
        own.map(|own| hmac::verify(&key, signed.as_bytes(), &own).is_ok()).collect()
    }
}

/// Answers every request with the same bytes; never, when there are none.
struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    answer: Arc<Mutex<Option<String>>>,
}

impl Receiver {
    async fn start(answer: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let answer = Arc::new(Mutex::new(answer.map(str::to_owned)));
        let (kept, said) = (Arc::clone(&received), Arc::clone(&answer));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (kept, said) = (Arc::clone(&kept), Arc::clone(&said));
                tokio::spawn(async move { serve(stream, &kept, &said).await });
            }
        });
        Self { address, received, answer }
    }

    fn say(&self, answer: &str) {
        *self.answer.lock().unwrap() = Some(answer.to_owned());
    }

    fn all(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    fn count(&self) -> usize {
        self.received.lock().unwrap().len()
    }

    fn url(&self) -> String {
        format!("http://{}/hooks", self.address)
    }
}

async fn serve(mut stream: TcpStream, kept: &Mutex<Vec<Received>>, said: &Mutex<Option<String>>) {
    let mut bytes = Vec::new();
    let (head, length) = loop {
        let mut part = [0; 4096];
        let Ok(read @ 1..) = stream.read(&mut part).await else { return };
        bytes.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase().strip_prefix("content-length: ").map(|n| n.parse::<usize>().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                break (head.to_owned(), body.to_owned());
            }
        }
    };
    let headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    kept.lock().unwrap().push(Received { headers, body: length });
    let answer = said.lock().unwrap().clone();
    match answer {
        Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
        None => std::future::pending().await,
    }
}

const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const BROKEN: &str = "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops";

struct Told {
    world: World,
    store: Arc<Store>,
    made: u64,
}

impl Told {
    async fn new() -> Self {
        let world = World::new().await;
        let options = OpenOptions {
            secrets_key_file: Some(world.folder.path().join("keys")),
            ..OpenOptions::default()
        };
        let store = Arc::new(Store::open(&world.url, options).await.unwrap());
        Self { world, store, made: 0 }
    }

    fn now_us(&self) -> i64 {
        self.world.clock.now().wall_us
    }

    /// A webhook with its secret.
    async fn hook(&self, url: &str) -> (WebhookView, String) {
        let spec = WebhookSpec {
            tenant: None,
            project: Some("maps".to_owned()),
            url: url.to_owned(),
            events: vec!["key.created".to_owned(), "webhook.disabled".to_owned()],
            enabled: true,
            description: String::new(),
        };
        let made = self.store.create_webhook(&permit(Action::ChangeResources), spec, START_US).await.unwrap();
        (made.value.0, made.value.1.secret.expose().clone())
    }

    /// Makes keys, each of which is told.
    async fn keys(&mut self, count: usize) {
        let keys = (0..count).map(|_| {
            self.made += 1;
            let mut bytes = [9; 32];
            bytes[..8].copy_from_slice(&self.made.to_le_bytes());
            (new_key(), Secret::new(bytes))
        });
        let keys = keys.collect();
        self.store.create_keys(&permit(Action::ChangeKeys), keys, self.now_us()).await.unwrap();
    }

    fn start(&self, egress: Egress) -> Webhooks {
        self.start_on(1, egress)
    }

    fn start_on(&self, node: u64, egress: Egress) -> Webhooks {
        let options = WebhookOptions {
            egress,
            ca_file: None,
            disabled_after: Duration::from_secs(5 * 86_400),
            timeout: Duration::from_secs(20),
        };
        let clock: Arc<dyn Clock> = self.world.clock.clone();
        Webhooks::start(&self.store, &clock, node, options)
    }

    async fn log(&self, hook: &WebhookView) -> Vec<DeliveryRow> {
        let page = PageRequest { limit: 1000, cursor: None };
        self.store.deliveries(hook.id, &DeliveryFilter::default(), &page).await.unwrap().items
    }

    async fn one(&self, hook: &WebhookView) -> DeliveryRow {
        self.log(hook).await.remove(0)
    }

    /// Waits until the only delivery was tried so often.
    async fn tried(&self, hook: &WebhookView, attempts: u64) {
        until("it was tried", || async {
            self.log(hook).await.first().is_some_and(|row| row.attempts >= attempts)
        })
        .await;
    }
}

fn new_key() -> NewKey {
    NewKey {
        project: "maps".into(),
        consumer: "app".into(),
        policy: None,
        environment: Environment::Live,
        name: None,
        expires_us: None,
        bind_host: None,
        allow_ips: None,
        metadata: BTreeMap::new(),
    }
}

fn here() -> Egress {
    Egress { allow_private: vec!["127.0.0.0/8".parse().unwrap()], allow_http: true, ..Egress::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_is_told_signed_and_again_with_the_same_id() {
    let mut told = Told::new().await;
    let receiver = Receiver::start(Some(BROKEN)).await;
    let (hook, secret) = told.hook(&receiver.url()).await;
    let running = told.start(here());
    told.keys(1).await;
    told.tried(&hook, 1).await;
    let row = told.one(&hook).await;
    assert_eq!((row.state, row.status, row.answer.as_str()), (DeliveryState::Pending, 500, "oops"));
    let pause_us = row.next_us.unwrap() - told.now_us();
    assert!((5_000_000..=6_000_000).contains(&pause_us), "{pause_us}");
    assert_eq!(receiver.count(), 1, "not again before its time");
    receiver.say(OK);
    told.world.clock.advance(Duration::from_secs(6));
    until("it is taken", || async { told.one(&hook).await.state == DeliveryState::Taken }).await;
    let all = receiver.all();
    assert_eq!((all.len(), all[0].id() == all[1].id()), (2, true));
    for one in &all {
        assert_eq!(one.signed_by(&secret), [true]);
        assert_eq!(one.headers["content-type"], "application/json");
        let body: serde_json::Value = serde_json::from_str(&one.body).unwrap();
        assert_eq!(
            (body["type"].as_str(), body["data"]["project"].as_str()),
            (Some("key.created"), Some("maps"))
        );
    }
    assert_ne!(all[0].headers["webhook-timestamp"], all[1].headers["webhook-timestamp"]);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_is_waited_for_as_long_as_it_asks_and_no_redirect_is_followed() {
    let mut told = Told::new().await;
    let elsewhere = Receiver::start(Some(OK)).await;
    let busy = Receiver::start(Some(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 600\r\ncontent-length: 0\r\n\r\n",
    ))
    .await;
    let moved = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        elsewhere.url()
    );
    let moved = Receiver::start(Some(&moved)).await;
    let ((busy_hook, _), (moved_hook, _)) = (told.hook(&busy.url()).await, told.hook(&moved.url()).await);
    let running = told.start(here());
    told.keys(1).await;
    told.tried(&busy_hook, 1).await;
    told.tried(&moved_hook, 1).await;
    assert!(told.one(&busy_hook).await.next_us.unwrap() >= told.now_us() + 600_000_000);
    let row = told.one(&moved_hook).await;
    assert_eq!((row.state, row.status), (DeliveryState::Pending, 307));
    assert_eq!(elsewhere.count(), 0);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_is_told_nothing_more() {
    let mut told = Told::new().await;
    let gone = Receiver::start(Some("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n")).await;
    let other = Receiver::start(Some(OK)).await;
    let (hook, _) = told.hook(&gone.url()).await;
    told.hook(&other.url()).await;
    let running = told.start(here());
    told.keys(1).await;
    until("it is switched off", || async {
        told.store.webhook(hook.tenant, hook.id).await.unwrap().disabled.is_some()
    })
    .await;
    until("others are told so", || async {
        other.all().iter().any(|one| one.body.contains("\"webhook.disabled\""))
    })
    .await;
    told.keys(1).await;
    until("others are told on", || async { other.count() >= 3 }).await;
    assert_eq!(gone.count(), 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_into_the_own_network() {
    let mut told = Told::new().await;
    let receiver = Receiver::start(Some(OK)).await;
    let port = receiver.address.port();
    let hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.0.0.2"];
    let mut hooks = Vec::new();
    for host in hosts {
        hooks.push(told.hook(&format!("http://{host}:{port}/hooks")).await.0);
    }
    // In the clear is allowed, the own network is not.
    let running = told.start(Egress { allow_http: true, ..Egress::default() });
    told.keys(1).await;
    for hook in &hooks {
        told.tried(hook, 1).await;
        let row = told.one(hook).await;
        assert!(row.answer.starts_with("not sent:"), "{}: {}", hook.spec.url, row.answer);
        assert!(!row.answer.contains("127.0.0"), "how names resolve is not told");
    }
    // Neither is a replay.
    let failed = WebhookReplay::One(told.one(&hooks[0]).await.notice);
    let may = permit(Action::ChangeResources);
    let again = told.store.replay_deliveries(&may, (hooks[0].id, failed), told.now_us()).await;
    assert_eq!(again.unwrap().value, 1);
    told.tried(&hooks[0], 1).await;
    running.stop().await;
    assert_eq!(receiver.count(), 0);
    // And in the clear only when that is allowed.
    let running = told.start(Egress { allow_http: false, ..here() });
    told.keys(1).await;
    until("it is refused", || async { told.log(&hooks[0]).await[0].answer.contains("not https") }).await;
    running.stop().await;
    assert_eq!(receiver.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_receiver_holds_no_other_back_over_a_thousand_notices() {
    let mut told = Told::new().await;
    let (dead, live) = (Receiver::start(None).await, Receiver::start(Some(OK)).await);
    let (dead_hook, _) = told.hook(&dead.url()).await;
    let (live_hook, secret) = told.hook(&live.url()).await;
    let running = told.start(here());
    told.keys(1000).await;
    until("all are told", || async {
        told.store.webhook(live_hook.tenant, live_hook.id).await.unwrap().pending == 0 && live.count() >= 1000
    })
    .await;
    let all = live.all();
    assert_eq!(all.iter().map(Received::id).collect::<BTreeSet<_>>().len(), 1000);
    assert!(all.iter().all(|one| one.signed_by(&secret) == [true]));
    assert!(dead.count() <= 8, "a few at once, no more: {}", dead.count());
    assert_eq!(
        told.store.webhook(dead_hook.tenant, dead_hook.id).await.unwrap().pending,
        1000,
        "and nothing is lost"
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_sign_while_one_follows_the_other() {
    let mut told = Told::new().await;
    let receiver = Receiver::start(Some(OK)).await;
    let (hook, first) = told.hook(&receiver.url()).await;
    let running = told.start(here());
    let may = permit(Action::ChangeResources);
    let made = told.store.rotate_webhook_secret(&may, (hook.id, 60_000_000), told.now_us()).await.unwrap();
    let second = made.value.secret.expose().clone();
    told.keys(1).await;
    until("it is told", || async { receiver.count() == 1 }).await;
    assert_eq!(receiver.all()[0].signed_by(&first), [false, true]);
    assert_eq!(receiver.all()[0].signed_by(&second), [true, false]);
    told.world.clock.advance(Duration::from_secs(61));
    told.keys(1).await;
    until("it is told", || async { receiver.count() == 2 }).await;
    assert_eq!(receiver.all()[1].signed_by(&second), [true], "the former one has ended");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_sends_and_another_takes_over() {
    let mut told = Told::new().await;
    let receiver = Receiver::start(Some(OK)).await;
    told.hook(&receiver.url()).await;
    let (first, second) = (told.start_on(1, here()), told.start_on(2, here()));
    told.keys(20).await;
    until("all are told", || async { receiver.count() >= 20 }).await;
    first.stop().await;
    told.keys(20).await;
    until("all are told", || async { receiver.count() >= 40 }).await;
    second.stop().await;
    let ids: Vec<String> = receiver.all().iter().map(Received::id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 40);
    assert_eq!(ids.len(), 40, "each once: nothing went wrong");
}
