//! The official SDKs of OpenAI, Anthropic and Google through the gateway, with only base URL and key changed:
//! `sdks/flows.py` does what programs do with them, `sdks/providers.py` stands for the providers and says what it
//! would have billed, and Tollgate's own account must say the same.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tollgate_testkit::Tollgate;

use crate::world::{builder, text};

/// The Python that has the SDKs comes in by this name; `cargo xtask test` installs them and says where.
const PYTHON: &str = "TOLLGATE_SDK_PYTHON";
const CREDENTIAL: &str = "sk-the-provider-s-own";
/// What `providers.py` bills for each call.
const TOKENS_IN: u64 = 21;
const TOKENS_OUT: u64 = 7;

/// The providers as a process of their own.
struct Providers {
    process: Child,
    url: String,
    bill: Arc<Mutex<Vec<Value>>>,
}

impl Providers {
    fn start(python: &str) -> Self {
        let mut process = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks/providers.py"))
            .arg(CREDENTIAL)
            .stdout(Stdio::piped())
            .spawn()
            .expect("start the providers");
        let mut said = std::io::BufReader::new(process.stdout.take().expect("its output")).lines();
        let port = said.next().expect("its port").expect("read its port");
        let bill = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&bill);
        std::thread::spawn(move || {
            for line in said.map_while(Result::ok) {
                let call = serde_json::from_str(&line).expect("a line of the bill");
                written.lock().expect("the bill").push(call);
            }
        });
        Self { process, url: format!("http://127.0.0.1:{port}"), bill }
    }
}

impl Drop for Providers {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn resources(url: &str) -> String {
    let service = |name: &str| {
        format!(
            r#"
[[service]]
project = "ai"
name = "{name}"
kind = "llm"
provider = "{name}"
match = {{ path_prefix = "/{name}" }}
strip_prefix = true
upstreams = ["{url}"]
credential = {{ env = "PROVIDER_KEY" }}
"#
        )
    };
    let policy = |name: &str, more: &str| {
        format!("\n[[policy]]\nproject = \"ai\"\nname = \"{name}\"\nservices = [\"*\"]\n{more}")
    };
    let budget = |consumer: &str, amount: &str| {
        format!(
            "\n[[consumer]]\nproject = \"ai\"\nname = \"{consumer}\"\n\n[[budget]]\nproject = \"ai\"\n\
             consumer = \"{consumer}\"\ncurrency = \"USD\"\namount = \"{amount}\"\nperiod = \"month\"\n"
        )
    };
    let models = "models = [\"gpt-*\", \"text-embedding-*\", \"claude-*\", \"gemini-2.5-*\"]\n";
    let once = "[[policy.limit]]\nname = \"hourly\"\namount = 1\nwindow = \"1h\"\n";
    [
        "[[project]]\ntenant = \"default\"\nname = \"ai\"\n".to_owned(),
        ["openai", "anthropic", "gemini"].map(service).concat(),
        policy("standard", models),
        policy("narrow", "models = []\n"),
        policy("slow", once),
        budget("rich", "20.00"),
        budget("poor", "0"),
    ]
    .concat()
}

fn key(node: &Tollgate, consumer: &str, policy: &str) -> String {
    let made = node.create_key("ai", consumer, &["--policy", policy]);
    text(&made, "key").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the SDKs; `cargo xtask test` brings them"]
async fn the_official_sdks_work_with_only_base_url_and_key_changed() {
    let python = std::env::var(PYTHON).unwrap_or_else(|_| panic!("{PYTHON} must name the program"));
    let providers = Providers::start(&python);
    let node = builder().env("PROVIDER_KEY", CREDENTIAL).resources(&resources(&providers.url)).start();
    let keys = json!({
        "good": key(&node, "rich", "standard"),
        "poor": key(&node, "poor", "standard"),
        "narrow": key(&node, "rich", "narrow"),
        "slow": key(&node, "rich", "slow"),
    });
    let flows = Command::new(&python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/sdks/flows.py"))
        .args([format!("http://{}", node.gateway()), keys.to_string()])
        .output()
        .expect("run the SDKs");
    let [out, err] = [&flows.stdout, &flows.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(flows.status.success(), "{out}\n{err}");
    println!("{out}");

    let bill = providers.bill.lock().expect("the bill").clone();
    let embeddings = bill.iter().filter(|call| text(call, "path").ends_with("/embeddings")).count() as u64;
    let calls = bill.len() as u64;
    let usage = node.json(&["usage", "--by", "model"]);
    let total = &usage["total"];
    assert_eq!(total["tokens_in"], json!(calls * TOKENS_IN), "{usage}\n{bill:?}");
    assert_eq!(total["tokens_out"], json!((calls - embeddings) * TOKENS_OUT), "{usage}");
    // Streamed chats are always asked for their usage upstream, whether the client wants to see it or not.
    let streamed = bill.iter().filter(|call| call["include_usage"] == json!(true)).count();
    assert!(streamed >= 3, "{bill:?}");
}
