//! T3: budgets under fire. A provider that bills stands behind the gateway; whatever happens to clients,
//! connections, processes and the database, what it billed is never more than what is settled, and what is
//! settled never more than the budget (I7–I11).
//!
//! The long form is `cargo xtask torture money`; how long and how hard is read from the environment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tollgate_testkit::{Billing, ModelUpstream, Postgres, Rates, Redis, Tollgate, wait_until};

use crate::world::{SOON, builder, text};

const NANOS: f64 = 1e9;

/// Rates, as the provider bills them and as the price table says them: a token that is produced costs a
/// tenth of a cent, so that a call costs 0.1 to 50 cents.
const RATES: Rates = Rates { input: 1_000, output: 1_000_000 };
const PRICE: [&str; 2] = ["1.00", "1000.00"];

fn resources(url: &str, budget: &str, price: [&str; 2]) -> String {
    let [input, output] = price;
    format!(
        r#"
[[project]]
tenant = "default"
name = "ai"

[[service]]
project = "ai"
name = "models"
kind = "llm"
provider = "openai"
match = {{ path_prefix = "/v1" }}
upstreams = ["{url}"]
credential = {{ env = "PROVIDER_KEY" }}

[[price]]
tenant = "default"
provider = "openai"
model = "m-*"
input = "{input}"
output = "{output}"

[[policy]]
project = "ai"
name = "standard"
services = ["*"]
models = ["m-*"]

[[consumer]]
project = "ai"
name = "team"

[[budget]]
project = "ai"
consumer = "team"
currency = "USD"
amount = "{budget}"
period = "once"
"#
    )
}

fn body(number: u64, output_max: u64) -> String {
    json!({
        "model": "m-1",
        "max_completion_tokens": 1 + number % output_max,
        "stream": number.is_multiple_of(3),
        "messages": [{ "role": "user", "content": format!("say {number}") }],
    })
    .to_string()
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    Status(u16),
    Cut,
}

/// One call on a connection of its own; `leaves` goes away in the middle.
async fn call(gateway: SocketAddr, key: &str, body: &str, leaves: bool) -> Went {
    let said = async {
        let mut stream = TcpStream::connect(gateway).await.ok()?;
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {gateway}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(head.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        if leaves {
            let mut some = [0; 64];
            let _ = tokio::time::timeout(Duration::from_millis(3), stream.read(&mut some)).await;
            return None;
        }
        stream.read_to_end(&mut answer).await.ok()?;
        let status = answer.get(9..12).map(|digits| String::from_utf8_lossy(digits).into_owned())?;
        status.parse().ok()
    };
    let answered = tokio::time::timeout(Duration::from_secs(20), said).await;
    answered.ok().flatten().map_or(Went::Cut, Went::Status)
}

/// What the ledger says of the only account: funded, reserved, spent, in billionths.
fn account(node: &Tollgate) -> (f64, f64, f64) {
    let listed = node.json(&["ledger", "list", "--all"]);
    let accounts = listed["accounts"].as_array().expect("accounts");
    assert_eq!(accounts.len(), 1, "{listed}");
    let number = |name: &str| -> f64 {
        let value: f64 = text(&accounts[0], name).parse().expect("a decimal");
        (value * NANOS).round()
    };
    assert_eq!(number("overrun"), 0.0, "{listed}");
    (number("funded"), number("reserved"), number("spent"))
}

fn assert_clean(node: &Tollgate) {
    let found = node.json(&["ledger", "reconcile"]);
    assert_eq!(found["clean"], json!(true), "{found}");
    assert_eq!((&found["sum"], &found["pending"]), (&json!(0), &json!(0)), "{found}");
}

/// The key of the only consumer, once the node knows it.
async fn key(node: &Tollgate) -> String {
    let made: Value = node.create_key("ai", "team", &["--policy", "standard"]);
    let key = text(&made, "key").to_owned();
    let probe = key.clone();
    wait_until(SOON, || {
        let key = probe.clone();
        async move { call(node.gateway(), &key, "{}", false).await != Went::Status(401) }
    })
    .await;
    key
}

/// Clients that call until nobody pays any more, each beginning with a number of its own. They end with
/// whoever waits for them.
async fn spend_all(gateway: SocketAddr, key: &str, clients: u64, output_max: u64) {
    let mut calls = JoinSet::new();
    for client in 0..clients {
        let key = key.to_owned();
        calls.spawn(async move {
            let mut refused = 0;
            for number in (client * 1_000..).take(400) {
                let went = call(gateway, &key, &body(number, output_max), number.is_multiple_of(7)).await;
                refused = if went == Went::Status(402) { refused + 1 } else { 0 };
                if refused == 3 {
                    return;
                }
            }
        });
    }
    while let Some(client) = calls.join_next().await {
        client.expect("a client");
    }
}

/// A cent, concurrent clients, a kill in the middle: the provider's bill is never over what is settled, and
/// that never over the cent; at the end nothing is reserved, and nearly all of it is spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cent_is_spent_and_no_more_though_the_process_is_killed() {
    const CENT: f64 = 10_000_000.0;
    let rates = Rates { input: 100, output: 10_000 };
    let billing = Billing { rates, output_max: 40, resets_percent: 5, thinks: Duration::from_millis(2) };
    let provider = ModelUpstream::start(billing).await;
    let mut node = builder()
        .env("PROVIDER_KEY", "sk-provider")
        .resources(&resources(&provider.url(), "0.01", ["0.10", "10.00"]))
        .start();
    let key = key(&node).await;
    let gateway = node.gateway();
    let spending = {
        let key = key.clone();
        tokio::spawn(async move { spend_all(gateway, &key, 12, 40).await })
    };
    wait_until(SOON, || async { provider.calls() > 25 }).await;
    node.kill9();
    spending.abort();
    let _ = spending.await;
    node.restart();
    let (funded, _, spent) = account(&node);
    assert_eq!(funded, CENT);
    assert!(spent >= provider.bill() as f64, "settled {spent}, billed {}", provider.bill());
    spend_all(node.gateway(), &key, 12, 40).await;
    node.term_and_wait();
    let (_, reserved, spent) = account(&node);
    let bill = provider.bill() as f64;
    assert_eq!(reserved, 0.0, "nothing is reserved when nothing runs");
    assert!(bill <= spent && spent <= CENT, "billed {bill}, settled {spent}");
    assert!(spent >= 0.9 * CENT, "what is there can be spent: {spent}");
    assert_clean(&node);
    let usage = node.json(&["usage", "--by", "model"]);
    assert!(usage["total"]["tokens_out"].as_u64() > Some(100), "{usage}");
}

/// Two processes on one PostgreSQL spend one budget together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_never_spend_more_than_one_budget() {
    let rates = Rates { input: 100, output: 10_000 };
    let billing = Billing { rates, output_max: 40, resets_percent: 0, thinks: Duration::from_millis(1) };
    let provider = ModelUpstream::start(billing).await;
    let url = Postgres::shared().create_database();
    let one = || builder().env("PROVIDER_KEY", "sk-provider").database(&url);
    let mut first = one().resources(&resources(&provider.url(), "0.20", ["0.10", "10.00"])).start();
    let mut second = one().without_init().start();
    let key = key(&first).await;
    wait_until(SOON, || async { call(second.gateway(), &key, "{}", false).await != Went::Status(401) }).await;
    let (one, other) = (first.gateway(), second.gateway());
    tokio::join!(spend_all(one, &key, 6, 40), spend_all(other, &key, 6, 40));
    first.term_and_wait();
    second.term_and_wait();
    let (funded, reserved, spent) = account(&first);
    let bill = provider.bill() as f64;
    assert_eq!((funded, reserved), (200_000_000.0, 0.0));
    assert!(bill <= spent && spent <= funded, "billed {bill}, settled {spent}");
    assert!(spent >= 0.99 * funded, "what is there can be spent: {spent}");
    assert_clean(&first);
}

/// A number of the environment, or its default.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The torture in full: 500 clients, three processes on PostgreSQL, a third of the clients leaving, resets,
/// a kill every five seconds, the database restarted, Redis emptied and killed. At every instant: billed ≤
/// settled and held ≤ limit.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; `cargo xtask torture money` runs it"]
async fn torture_by_kills_leaves_and_restarts_never_overspends() {
    let (clients, seconds, kill_every) =
        (number("TORTURE_CLIENTS", 500), number("TORTURE_SECONDS", 600), number("TORTURE_KILL_SECONDS", 5));
    let limit = number("TORTURE_DOLLARS", 20_000);
    let resets_percent = number("TORTURE_RESETS", 5);
    let billing =
        Billing { rates: RATES, output_max: 500, resets_percent, thinks: Duration::from_millis(20) };
    let provider = ModelUpstream::start(billing).await;
    let mut postgres = tokio::task::spawn_blocking(Postgres::start).await.expect("a server");
    let url = postgres.create_database();
    let mut redis = tokio::task::spawn_blocking(Redis::start).await.expect("a server");
    let redis_url = redis.url();
    let builder = || {
        let builder = builder().env("PROVIDER_KEY", "sk-provider").env("TOLLGATE_REDIS__URL", &redis_url);
        builder.database(&url)
    };
    // A limit that all nodes count together, and that nobody reaches.
    let shared = "models = [\"m-*\"]\n  [[policy.limit]]\n  name = \"all\"\n  amount = 1000000\n  window = \"1s\"\n  \
                  per = \"consumer\"\n  mode = \"shared\"\n";
    let furnished =
        resources(&provider.url(), &limit.to_string(), PRICE).replace("models = [\"m-*\"]\n", shared);
    let mut nodes = vec![builder().resources(&furnished).start()];
    nodes.extend((0..2).map(|_| builder().without_init().start()));
    let key: Arc<str> = key(&nodes[0]).await.into();
    let gateways: Arc<std::sync::Mutex<Vec<SocketAddr>>> =
        Arc::new(std::sync::Mutex::new(nodes.iter().map(Tollgate::gateway).collect()));
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let calls: Vec<_> = (0..clients)
        .map(|client| {
            let (key, gateways) = (Arc::clone(&key), Arc::clone(&gateways));
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut number = client * 1_000_003;
                while !stop.load(Ordering::SeqCst) {
                    number += 1;
                    let gateway = {
                        let all = gateways.lock().expect("the gateways");
                        all[(number % all.len() as u64) as usize]
                    };
                    let leaves = number.wrapping_mul(0x9e37_79b9) % 10 < 3;
                    match call(gateway, &key, &body(number, 500), leaves).await {
                        Went::Status(200) => {
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Went::Status(_) | Went::Cut if leaves => {}
                        _ => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
            })
        })
        .collect();
    let began = Instant::now();
    let mut turn = 0;
    let mut crashes = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(kill_every)).await;
        turn += 1;
        if turn % 12 == 0 {
            postgres.stop();
            tokio::time::sleep(Duration::from_secs(1)).await;
            postgres.resume();
        }
        if turn % 6 == 3 {
            redis.kill9();
            redis.run();
        } else {
            redis.flush();
        }
        let index = turn % nodes.len();
        nodes[index].kill9();
        crashes += 1;
        nodes[index].restart();
        gateways.lock().expect("the gateways")[index] = nodes[index].gateway();
        // What is billed now is covered by what the ledger holds or has spent after.
        let bill = provider.bill() as f64;
        let (funded, reserved, spent) = account(&nodes[index]);
        println!(
            "{:>4} s: billed ${:.2} <= settled ${:.2} and held ${:.2} <= limit ${:.2}",
            began.elapsed().as_secs(),
            bill / NANOS,
            spent / NANOS,
            reserved / NANOS,
            funded / NANOS
        );
        assert!(bill <= spent + reserved && spent + reserved <= funded, "{bill} {spent} {reserved} {funded}");
    }
    stop.store(true, Ordering::SeqCst);
    for client in calls {
        client.await.expect("a client");
    }
    for node in &mut nodes {
        node.term_and_wait();
    }
    let (funded, reserved, spent) = account(&nodes[0]);
    let bill = provider.bill() as f64;
    println!(
        "{} answered, {} calls billed ${:.2}, settled ${:.2} of ${limit}, {crashes} crashes: \
         over-charge {:.3} %, overspend ${:.2}, lost ${:.2}",
        answered.load(Ordering::SeqCst),
        provider.calls(),
        bill / NANOS,
        spent / NANOS,
        (spent - bill) / bill * 100.0,
        (spent - funded).max(0.0) / NANOS,
        (bill - spent).max(0.0) / NANOS,
    );
    assert!(bill <= spent && spent <= funded, "billed {bill}, settled {spent}, limit {funded}");
    assert_eq!(reserved, 0.0, "nothing is reserved at the end");
    assert_clean(&nodes[0]);
}
