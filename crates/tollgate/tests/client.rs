//! A client generated from the OpenAPI document manages keys end to end: `openapi-python-client` makes it
//! without a warning, and `client.py` uses nothing else.

use std::path::Path;
use std::process::{Command, Output};

use tollgate_testkit::Upstream;
use tollgate_testkit::http::get;

use crate::world::{node, resources};

/// The generator's path comes in by this name; `cargo xtask test` installs it and says where.
const GENERATOR: &str = "TOLLGATE_CLIENT_GENERATOR";

/// Bodies that are no JSON are left to the caller, and nothing is formatted afterwards.
const CONFIGURATION: &str = "post_hooks: []\n\
                             content_type_overrides:\n  application/x-ndjson: application/octet-stream\n  \
                             text/csv: application/octet-stream\n";

fn ran(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{out}\n{err}");
    out.into_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs openapi-python-client; `cargo xtask test` brings it"]
async fn a_generated_client_manages_keys_end_to_end() {
    let generator = std::env::var(GENERATOR).unwrap_or_else(|_| panic!("{GENERATOR} must name the program"));
    let upstream = Upstream::start();
    let node = node(&upstream);
    node.apply(&resources(&upstream.url()));
    let folder = tempfile::tempdir().expect("make a folder");
    let at = |name: &str| folder.path().join(name);
    let document = get(node.control(), "/api/admin/v1/openapi.json").await.text();
    std::fs::write(at("openapi.json"), document).expect("write the document");
    std::fs::write(at("config.yaml"), CONFIGURATION).expect("write the configuration");
    let made = Command::new(&generator)
        .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
        .arg(at("openapi.json"))
        .arg("--config")
        .arg(at("config.yaml"))
        .arg("--output-path")
        .arg(at("tollgate_client"))
        .output();
    ran(&made.expect("run the generator"));
    let python = Path::new(&generator).with_file_name("python");
    let used = Command::new(python)
        .env("PYTHONPATH", folder.path())
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/client.py"))
        .args([format!("http://{}", node.control()), format!("http://{}", node.gateway())])
        .output();
    println!("{}", ran(&used.expect("run the client")));
}
