//! Faults injected under load: the process killed, the database locked, the disk full. What was
//! answered is counted, exactly once, and what cannot be promised is refused.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use sqlx::{Connection as _, Executor as _};
use tollgate_testkit::http::{Call, Connection};
use tollgate_testkit::{Depth, Tollgate, Upstream, wait_until};

use crate::world::{SOON, builder, create_key, node, resources, text, tiles};

/// How soon a node serves again after any end.
const START_MAX: Duration = Duration::from_secs(2);
/// Clients that send without a pause.
const CLIENTS: u64 = 4;
/// The quota of the policy in these tests: more than will be asked.
const QUOTA: u64 = 100_000_000;

/// What the clients know of what they sent.
#[derive(Default)]
struct Book {
    next: AtomicU64,
    answered: std::sync::Mutex<HashSet<u64>>,
    /// Sent, and no whole answer arrived: may or may not have been counted.
    unknown: AtomicU64,
    /// How often the gate itself said no, by status and code.
    refused: std::sync::Mutex<HashMap<(u16, String), u64>>,
}

impl Book {
    fn answered(&self) -> HashSet<u64> {
        self.answered.lock().expect("no client panicked").clone()
    }

    fn refused(&self) -> HashMap<(u16, String), u64> {
        self.refused.lock().expect("no client panicked").clone()
    }
}

/// One client on keep-alive connections until told to stop; every request has a path of its own.
async fn client(address: std::net::SocketAddr, key: String, book: Arc<Book>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok(mut connection) = Connection::open(address).await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        while !stop.load(Ordering::Relaxed) {
            let number = book.next.fetch_add(1, Ordering::Relaxed);
            match connection.send(Call::get(&format!("/tiles/{number}")).bearer(&key)).await {
                Ok(reply) if reply.status == 200 => {
                    let _new = book.answered.lock().expect("no client panicked").insert(number);
                }
                Ok(reply) => {
                    let mut refused = book.refused.lock().expect("no client panicked");
                    *refused.entry((reply.status.as_u16(), reply.code())).or_default() += 1;
                }
                Err(_) => {
                    book.unknown.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
        }
    }
}

struct Load {
    book: Arc<Book>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(node: &Tollgate, key: &str, book: &Arc<Book>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spawn = |_| tokio::spawn(client(node.gateway(), key.to_owned(), book.clone(), stop.clone()));
        Self { book: book.clone(), stop: stop.clone(), clients: (0..CLIENTS).map(spawn).collect() }
    }

    async fn until_answered(&self, more: usize) {
        let wanted = self.book.answered().len() + more;
        wait_until(SOON, || async { self.book.answered().len() >= wanted }).await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("the client ends");
        }
    }
}

fn with_quota(upstream: &Upstream) -> String {
    let quota = format!(
        "  [[policy.quota]]\n  name = \"monthly\"\n  amount = {QUOTA}\n  period = \"month\"\n\n[[consumer]]"
    );
    resources(&upstream.url()).replace("[[consumer]]", &quota)
}

/// What the quota says was used.
async fn quota_used(node: &Tollgate, key: &str) -> u64 {
    let me = Call::get("/v1/me").bearer(key).send(node.gateway()).await.json();
    QUOTA - me["quotas"][0]["remaining"].as_u64().expect("a quota in /v1/me")
}

/// The paths of the decisions that let a request pass, with how often each was recorded.
fn recorded(node: &Tollgate) -> Vec<u64> {
    let events = node.json(&["events", "query", "--code", "valid", "--limit", "1000000"]);
    let paths =
        events["events"].as_array().expect("events").iter().map(|event| text(event, "path").to_owned());
    paths.filter_map(|path| path.strip_prefix("/tiles/")?.parse().ok()).collect()
}

/// I12, I13, T4: kill -9 at moments nobody chose, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_is_counted_exactly_once_whenever_the_process_is_killed() {
    let rounds = Depth::pick(5, 50, 500);
    let upstream = Upstream::start();
    let mut node = builder().resources(&with_quota(&upstream)).start();
    let created = create_key(&node, &[]);
    let (id, mut key) = (text(&created, "id").to_owned(), text(&created, "key").to_owned());
    wait_until(SOON, || async { tiles(&node, &key).await.status == 200 }).await;
    let before = recorded(&node).len();
    let book = Arc::new(Book::default());
    // From number 8 on, so that the one request above is told apart.
    book.next.store(8, Ordering::Relaxed);
    let mut slowest = Duration::ZERO;
    for round in 0..rounds {
        let load = Load::start(&node, &key, &book);
        load.until_answered(20).await;
        // A different moment each round: 0 to 60 ms, by a step that shares no divisor with 61.
        tokio::time::sleep(Duration::from_millis(round * 23 % 61)).await;
        if round % 5 == 0 {
            key = text(&node.json(&["keys", "rotate", &id, "--overlap", "1h"]), "key").to_owned();
        }
        node.kill9();
        load.end().await;
        slowest = slowest.max(node.start());
    }
    assert!(slowest < START_MAX, "the slowest of {rounds} starts took {slowest:?}");

    let events = recorded(&node);
    let answered = book.answered();
    let unique: HashSet<u64> = events.iter().copied().collect();
    assert_eq!(unique.len(), events.len(), "no request is recorded twice");
    let lost: Vec<u64> = answered.difference(&unique).copied().collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered requests are not recorded: {lost:?}",
        lost.len(),
        answered.len()
    );
    let surplus = (unique.len() - before - answered.len()) as u64;
    assert!(surplus <= book.unknown.load(Ordering::Relaxed), "{surplus} recorded that nobody sent");

    let usage = node.json(&["usage", "--by", "code", "--key", &id]);
    let used = quota_used(&node, &key).await;
    assert_eq!(used, events.len() as u64, "the quota counts what is recorded");
    assert_eq!(usage["total"]["units"].as_u64(), Some(used), "so do the roll-ups: {usage}");
    assert_eq!(node.json(&["audit", "verify"])["intact"], true);
    println!(
        "{rounds} kills, {} answered, {surplus} counted without answer, start {slowest:?} at most",
        answered.len()
    );
}

/// Another program holds the database's write lock: requests go on, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_stops_no_request_and_loses_none() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;

    let url = format!("sqlite://{}", node.data_dir().join("tollgate.db").display());
    let mut lock = sqlx::SqliteConnection::connect(&url).await.expect("open the database");
    let _ = lock.execute("BEGIN IMMEDIATE").await.expect("take the write lock");
    let book = Arc::new(Book::default());
    let load = Load::start(&node, key, &book);
    // Longer than a write waits for the lock.
    tokio::time::sleep(Duration::from_secs(3)).await;
    load.until_answered(50).await;
    load.end().await;
    assert_eq!(book.refused(), HashMap::new(), "known keys are served while nothing can be written");
    let _ = lock.execute("ROLLBACK").await.expect("let go");

    let answered = upstream.count();
    wait_until(SOON, || async {
        let usage = node.json(&["usage", "--by", "code", "--key", text(&created, "id")]);
        usage["total"]["requests"].as_u64() == Some(answered)
    })
    .await;
}

/// A small file system of its own; `None` where this user may not mount.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<Self> {
        let folder = tempfile::tempdir().expect("make a folder");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(folder.path())
            .output()
            .is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        use std::io::Write as _;
        let mut filler = std::fs::File::create(self.path().join("filler")).expect("make a file");
        for size in [65_536, 4_096, 64, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("take the filler away");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn node_on(disk: &SmallDisk, upstream: &Upstream) -> Tollgate {
    let url = format!("sqlite://{}", disk.path().join("tollgate.db").display());
    builder()
        .database(&url)
        .config("[journal]\nbytes_max = \"1MiB\"\n")
        .resources(&resources(&upstream.url()))
        .start()
}

/// The database's disk is full: known keys are served as long as the journal has room, then requests
/// are refused rather than go uncounted; with room again everything answered is in the usage.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_what_it_cannot_count_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("8m") else {
        return println!("skipped: this user may not mount a small file system; run as root");
    };
    let upstream = Upstream::start();
    let node = node_on(&disk, &upstream);
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    disk.fill();
    let book = Arc::new(Book::default());
    let load = Load::start(&node, key, &book);
    load.until_answered(100).await;
    let overloaded = (503, "overloaded".to_owned());
    wait_until(Duration::from_secs(60), || async { book.refused().contains_key(&overloaded) }).await;
    load.end().await;
    assert_eq!(book.refused().len(), 1, "nothing else is refused: {:?}", book.refused());
    let answered = upstream.count();
    disk.make_room();

    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let answered_since = upstream.count() - answered;
    wait_until(SOON, || async {
        let usage =
            node.json(&["events", "query", "--count", "--code", "valid", "--key", text(&created, "id")]);
        usage["count"].as_u64() == Some(answered + answered_since)
    })
    .await;
}

/// Makes a file unchangeable for everybody, root and open descriptors included, or changeable again.
fn immutable(file: &Path, how: &str) -> bool {
    Command::new("chattr").arg(how).arg(file).output().is_ok_and(|output| output.status.success())
}

/// The database can be read and not written: known keys are served, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_stops_no_request_and_loses_none() {
    let upstream = Upstream::start();
    let node = node(&upstream);
    let created = create_key(&node, &[]);
    let key = text(&created, "key");
    wait_until(SOON, || async { tiles(&node, key).await.status == 200 }).await;
    let files = ["tollgate.db", "tollgate.db-wal"].map(|name| node.data_dir().join(name));
    if !files.iter().all(|file| immutable(file, "+i")) {
        let _ = files.map(|file| immutable(&file, "-i"));
        return println!("skipped: this user or file system knows no immutable files; run as root on ext4");
    }
    for _ in 0..50 {
        assert_eq!(tiles(&node, key).await.status, 200);
    }
    let changed = node.cli(&["keys", "disable", text(&created, "id")]);
    assert_eq!(changed.code(), Some(1), "what cannot be written is not acknowledged");
    assert_eq!(tiles(&node, key).await.status, 200);
    assert!(files.iter().all(|file| immutable(file, "-i")));
    let answered = upstream.count();
    wait_until(SOON, || async {
        let usage = node.json(&["usage", "--by", "code", "--key", text(&created, "id")]);
        usage["total"]["requests"].as_u64() == Some(answered)
    })
    .await;
}
