//! What tests begin with: a node with one project, and running the binary without one.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tollgate_testkit::http::{Call, Reply};
use tollgate_testkit::{Tollgate, TollgateBuilder, Upstream};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");
/// How long a state may take to come about on a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// One project with a service, a policy and a consumer.
pub(crate) fn resources(upstream: &str) -> String {
    format!(
        r#"
[[project]]
tenant = "default"
name = "maps"
key_prefix = "mbk"

[[service]]
project = "maps"
name = "tiles"
kind = "proxy"
match = {{ path_prefix = "/tiles" }}
upstreams = ["{upstream}"]

[[policy]]
project = "maps"
name = "standard"
services = ["tiles"]
scopes = ["read"]

[[consumer]]
project = "maps"
name = "android-team"
"#
    )
}

pub(crate) fn builder() -> TollgateBuilder {
    Tollgate::builder(BINARY)
        .env("TOLLGATE_GATEWAY__THREADS", "1")
        .config("[journal]\nbytes_max = \"64MiB\"\n")
}

/// A running node in front of an upstream.
pub(crate) fn node(upstream: &Upstream) -> Tollgate {
    builder().resources(&resources(&upstream.url())).start()
}

/// A folder that was initialised and furnished, without a server.
pub(crate) fn prepared() -> Tollgate {
    builder().resources(&resources("http://127.0.0.1:9")).prepare()
}

pub(crate) fn create_key(node: &Tollgate, more: &[&str]) -> Value {
    let mut arguments = vec!["--policy", "standard"];
    arguments.extend_from_slice(more);
    node.create_key("maps", "android-team", &arguments)
}

pub(crate) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().unwrap_or_else(|| panic!("no text `{name}` in {value}"))
}

pub(crate) async fn tiles(node: &Tollgate, key: &str) -> Reply {
    Call::get("/tiles/7").bearer(key).send(node.gateway()).await
}

/// What one run of the binary printed.
pub(crate) struct Printed {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary in a folder, with nothing of the environment that could matter.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Printed {
    let output = Command::new(BINARY)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("run the binary");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Printed { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}
