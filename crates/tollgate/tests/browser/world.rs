//! What the tests begin with: a node with partners, policies and traffic, and somebody who signs in.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use serde_json::Value;
use sqlx::Connection as _;
use tollgate_testkit::browser::{Browser, Screen, Tab};
use tollgate_testkit::{Tollgate, Upstream};

use crate::history;
use crate::traffic::Call;

/// The size of a desk and of a phone.
pub(crate) const BOTH: [Screen; 2] = [Screen::DESK, Screen::PHONE];
pub(crate) const OWNER: &str = "owner@example.com";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// What stands in the configuration of every node.
const CONFIG: &str = "[journal]\nbytes_max = \"64MiB\"\n";
const RESOURCES: &str = include_str!("resources.toml");

/// Keys of the world: name, consumer, policy.
const KEYS: [(&str, &str, &str); 8] = [
    ("Android app, production", "android-team", "standard"),
    ("Android app, staging", "android-team", "standard"),
    ("Checkout page", "web-shop", "shop"),
    ("Nightly order export", "web-shop", "shop"),
    ("Fleet tracker Stockholm", "fleet-tracker", "partner"),
    ("Kiosks in the town hall", "city-portal", "standard"),
    ("Head office", "head-office", "office-only"),
    ("Map of the 2025 fair", "city-portal", "standard"),
];

/// A key that tests send.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) key: String,
}

/// A running node. Tests that change what others look at take one of their own.
pub(crate) struct World {
    pub(crate) node: Tollgate,
    keys: Vec<(&'static str, Key)>,
    _upstream: Upstream,
}

impl World {
    /// The node with everything that tests only add to; it runs as long as any test holds it.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::furnished());
        *shared = Arc::downgrade(&started);
        started
    }

    /// A node with partners, policies, keys, a day of history, and requests of just now.
    pub(crate) fn furnished() -> Self {
        Self::furnished_after(|_| {})
    }

    /// The same, after something was done to its folder before it started.
    pub(crate) fn furnished_after(prepare: impl FnOnce(&Tollgate)) -> Self {
        let upstream = Upstream::start();
        let mut node = prepared();
        let _ = node.apply(&RESOURCES.replace("UPSTREAM", &upstream.url()));
        let keys: Vec<(&str, Key)> = KEYS.iter().map(|(name, ..)| *name).zip(make_keys(&node)).collect();
        history::write(&node);
        prepare(&node);
        node.start();
        let world = Self { node, keys, _upstream: upstream };
        world.send_samples();
        world
    }

    /// A node of which only the owner is known.
    pub(crate) fn fresh() -> Self {
        Self::configured("")
    }

    /// A node of which only the owner is known, with more in its configuration. `CONTROL` there stands for where
    /// the console is.
    pub(crate) fn configured(config: &str) -> Self {
        let mut node = prepared();
        let config = format!("{CONFIG}{config}").replace("CONTROL", &format!("http://{}", node.control()));
        std::fs::write(node.folder().join("tollgate.toml"), config).expect("write the configuration");
        node.start();
        Self { node, keys: Vec::new(), _upstream: Upstream::start() }
    }

    /// Makes every session and the sign-in behind it as old as this.
    pub(crate) fn age_sessions(&self, used: Duration, signed_in: Duration) {
        let ages = format!(
            "UPDATE sessions SET used_us = used_us - {}, signed_in_us = signed_in_us - {}",
            used.as_micros(),
            signed_in.as_micros()
        );
        assert!(alter(&self.node, &ages) > 0, "somebody is signed in");
    }

    /// A key by its name.
    pub(crate) fn key(&self, name: &str) -> &Key {
        let found = self.keys.iter().find(|(own, _)| *own == name);
        found.map(|(_, key)| key).unwrap_or_else(|| panic!("no key is called {name}"))
    }

    /// A key of its own for a test, made at the command line.
    pub(crate) fn new_key(&self, name: &str) -> Key {
        let more = ["--policy", "standard", "--name", name];
        let made = self.node.create_key("maps", "android-team", &more);
        self.known(&made);
        key(&made)
    }

    /// Sends a request and returns the status of its answer.
    pub(crate) fn send(&self, call: Call<'_>) -> u16 {
        call.send(self.node.gateway())
    }

    /// A tab at the sign-in page.
    pub(crate) fn tab(&self, screen: Screen) -> Tab {
        let home = format!("http://{}", self.node.control());
        let mut tab = Browser::shared().tab(&home, screen);
        tab.open_path("/sign-in");
        tab
    }

    /// A tab of the owner, signed in.
    pub(crate) fn owner(&self, screen: Screen) -> Tab {
        let mut tab = self.tab(screen);
        sign_in(&mut tab, OWNER, PASSWORD);
        tab.is_at("/");
        tab
    }

    /// Waits until everything that was answered is in what pages show.
    pub(crate) fn settled(&self) {
        let _ = self.node.json(&["usage"]);
    }

    /// Waits until the running node decides by a change that the command line made.
    fn known(&self, made: &Value) {
        let key = key(made);
        tollgate_testkit::poll_until(Duration::from_secs(20), || {
            self.send(Call::get("/tiles/1", &key.key, "192.0.2.1")) == 200
        });
    }

    fn send_samples(&self) {
        let key = |name: &str| self.key(name).key.clone();
        let (app, shop, fleet) =
            (key("Android app, production"), key("Checkout page"), key("Fleet tracker Stockholm"));
        let (office, fair) = (key("Head office"), key("Map of the 2025 fair"));
        let wrong = if app.ends_with('x') { 'y' } else { 'x' };
        let mistyped = format!("{}{wrong}", &app.get(..app.len() - 1).unwrap_or_default());
        for number in 0..12 {
            let tile = format!("/tiles/7/66/{number}.png");
            let from = if number % 3 == 0 { "198.51.100.7" } else { "203.0.113.24" };
            assert_eq!(self.send(Call::get(&tile, &app, from)), 200);
            assert_eq!(self.send(Call::get("/routes?from=Kista&to=Solna", &fleet, "10.1.4.20")), 200);
        }
        let post = Call { method: "POST", path: "/orders", key: &shop, from: "192.0.2.44" };
        let strange = [
            (post, 200),
            (Call { method: "DELETE", path: "/orders/1", ..post }, 403),
            (Call::get("/tiles/7/66/42.png", "", "198.51.100.9"), 401),
            (Call::get("/tiles/7/66/42.png", &mistyped, "198.51.100.9"), 401),
            (Call::get("/tiles/7/66/42.png", &fair, "198.51.100.9"), 401),
            (Call::get("/orders", &app, "203.0.113.24"), 403),
            (Call::get("/orders", &office, "198.51.100.61"), 403),
            (Call::get("/routes", &fleet, "172.16.9.9"), 403),
            (Call::get("/orders/status/503", &shop, "192.0.2.44"), 503),
            (Call::get("/nowhere", &app, "203.0.113.24"), 404),
            (Call::get("/status", "", "203.0.113.99"), 200),
        ];
        for (call, expected) in strange {
            assert_eq!(self.send(call), expected, "{} {}", call.method, call.path);
        }
        self.settled();
    }
}

/// Fills in the form of the sign-in page and sends it.
pub(crate) fn sign_in(tab: &mut Tab, email: &str, password: &str) {
    tab.fill("#email", email);
    tab.fill("#password", password);
    tab.follow("button >> Sign in");
}

/// Changes rows behind the back of the node; how many.
pub(crate) fn alter(node: &Tollgate, statement: &str) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}", node.data_dir().join("tollgate.db").display());
        let mut rows = sqlx::AnyConnection::connect(&url).await.expect("open the database");
        let statement = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned()));
        statement.execute(&mut rows).await.expect("change the rows").rows_affected()
    })
}

fn prepared() -> Tollgate {
    let node = Tollgate::builder(env!("CARGO_BIN_EXE_tollgate"))
        .env("TOLLGATE_GATEWAY__THREADS", "1")
        .env("TOLLGATE_GATEWAY__TRUSTED_PROXIES", "127.0.0.0/8")
        .config(CONFIG)
        .without_init()
        .prepare();
    let init = ["init", "--owner", OWNER, "--tenant", "acme", "--password-stdin"];
    let _ = node.cli_with_input(&init, &format!("{PASSWORD}\n")).success();
    node
}

fn make_keys(node: &Tollgate) -> Vec<Key> {
    let made: Vec<Key> = KEYS
        .iter()
        .map(|(name, consumer, policy)| {
            key(&node.create_key("maps", consumer, &["--policy", policy, "--name", name, "--expires", "90d"]))
        })
        .collect();
    let id = |name: &str| {
        let index = KEYS.iter().position(|(own, ..)| *own == name).expect("a key of the world");
        made.get(index).map(|key| key.id.clone()).expect("a key of the world")
    };
    let _ = node.json(&["keys", "expire", &id("Map of the 2025 fair"), "2025-12-31"]);
    let _ = node.json(&["keys", "expire", &id("Kiosks in the town hall"), "6d"]);
    let _ = node.json(&["keys", "disable", &id("Android app, staging")]);
    made
}

fn key(made: &Value) -> Key {
    let text = |name: &str| made[name].as_str().unwrap_or_else(|| panic!("no {name} in {made}")).to_owned();
    Key { id: text("id"), key: text("key") }
}
