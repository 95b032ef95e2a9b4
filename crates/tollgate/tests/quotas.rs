//! Quotas over several processes on one PostgreSQL: never more than the amount, and all of it (I22).

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tollgate_testkit::{
    Postgres, Tollgate, Upstream,
    http::{Call, Connection},
    wait_until,
};

use crate::world::{SOON, builder, create_key, resources, text, tiles};

/// How many requests a month, of the consumer.
const AMOUNT: u64 = 600;

/// What clients heard.
#[derive(Default)]
struct Heard {
    allowed: AtomicU64,
    exhausted: AtomicU64,
    other: AtomicU64,
    /// Sent, and no whole answer came.
    unknown: AtomicU64,
}

impl Heard {
    fn of(count: &AtomicU64) -> u64 {
        count.load(Ordering::Relaxed)
    }
}

async fn client(address: SocketAddr, key: String, heard: Arc<Heard>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::open(address).await else {
            tokio::time::sleep(Duration::from_millis(5)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let count = match connection.send(Call::get("/tiles/7").bearer(&key)).await {
                Ok(reply) if reply.status == 200 => &heard.allowed,
                Ok(reply) if reply.code() == "quota_exhausted" => {
                    assert!(reply.headers.contains_key("retry-after"));
                    // As a client does that was told to wait.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    &heard.exhausted
                }
                Ok(_) => &heard.other,
                Err(_) => {
                    heard.unknown.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct World {
    _upstream: Upstream,
    nodes: Vec<Tollgate>,
    key: String,
}

async fn world(count: usize) -> World {
    let upstream = Upstream::start();
    let url = Postgres::shared().create_database();
    let quota = format!(
        "  [[policy.quota]]\n  name = \"monthly\"\n  amount = {AMOUNT}\n  period = \"month\"\n  per = \"consumer\"\n\n\
         [[consumer]]"
    );
    let text_of = resources(&upstream.url()).replace("[[consumer]]", &quota);
    let mut nodes = vec![builder().database(&url).resources(&text_of).start()];
    nodes.extend((1..count).map(|_| builder().database(&url).without_init().start()));
    let key = text(&create_key(&nodes[0], &[]), "key").to_owned();
    for node in &nodes {
        wait_until(SOON, || async { tiles(node, &key).await.status == 200 }).await;
    }
    World { _upstream: upstream, nodes, key }
}

struct Load {
    heard: Arc<Heard>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(world: &World) -> Self {
        let (heard, stop) = (Arc::new(Heard::default()), Arc::new(AtomicBool::new(false)));
        // One request of each node was answered before.
        heard.allowed.store(world.nodes.len() as u64, Ordering::Relaxed);
        let spawn = |node: &Tollgate| {
            tokio::spawn(client(node.gateway(), world.key.clone(), heard.clone(), stop.clone()))
        };
        let clients = world.nodes.iter().flat_map(|node| [spawn(node), spawn(node)]).collect();
        Self { heard, stop, clients }
    }

    async fn until_allowed(&self, count: u64) {
        wait_until(SOON, || async { Heard::of(&self.heard.allowed) >= count }).await;
    }

    async fn end(self) -> Arc<Heard> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("the client ends");
        }
        self.heard
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_use_all_of_a_quota_and_no_more() {
    let world = world(3).await;
    let load = Load::start(&world);
    load.until_allowed(AMOUNT * 99 / 100).await;
    let seen = Heard::of(&load.heard.exhausted);
    wait_until(SOON, || async { Heard::of(&load.heard.exhausted) >= seen + 30 }).await;
    let heard = load.end().await;
    let allowed = Heard::of(&heard.allowed);
    assert!((AMOUNT * 99 / 100..=AMOUNT).contains(&allowed), "{allowed} of {AMOUNT}");
    assert_eq!((Heard::of(&heard.other), Heard::of(&heard.unknown)), (0, 0));
    let usage = world.nodes[1].json(&["usage", "--by", "code"]);
    let valid = usage["rows"].as_array().expect("rows").iter().find(|row| row["code"] == "valid");
    assert_eq!(valid.and_then(|row| row["requests"].as_u64()), Some(allowed), "{usage}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_node_keeps_its_part_until_it_is_back() {
    let mut world = world(2).await;
    let load = Load::start(&world);
    load.until_allowed(AMOUNT / 4).await;
    world.nodes[1].kill9();
    // The other node uses what the killed one does not hold.
    let seen = Heard::of(&load.heard.exhausted);
    wait_until(SOON, || async { Heard::of(&load.heard.exhausted) >= seen + 30 }).await;
    let between = Heard::of(&load.heard.allowed);
    assert!(between <= AMOUNT, "{between} of {AMOUNT}");
    world.nodes[1].start();
    // What the killed one had and did not use is there again, for both.
    let unknown = Heard::of(&load.heard.unknown);
    load.until_allowed(AMOUNT * 99 / 100 - unknown.min(4)).await;
    let seen = Heard::of(&load.heard.exhausted);
    wait_until(SOON, || async { Heard::of(&load.heard.exhausted) >= seen + 30 }).await;
    let heard = load.end().await;
    let allowed = Heard::of(&heard.allowed);
    assert!(allowed <= AMOUNT, "{allowed} of {AMOUNT}, {between} while the node was away");
}
