//! Tollgate itself: a folder with a project, its keys imported, and one data-plane thread.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::keys;
use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::sample::resident_mb;
use crate::bench::server::{Server, status};
use crate::command::{Outcome, line};
use crate::workspace;

/// A prepared folder.
pub(in crate::bench) struct Tollgate {
    binary: PathBuf,
    home: PathBuf,
    gateway: SocketAddr,
    service_api: SocketAddr,
    control: SocketAddr,
}

/// How a start went.
pub(in crate::bench) struct Start {
    pub(in crate::bench) server: Server,
    /// From the start of the process until `/readyz` answered 200.
    pub(in crate::bench) ready_after: Duration,
    /// Resident memory then.
    pub(in crate::bench) resident_mb: f64,
}

impl Tollgate {
    /// Makes the folder: `init`, `apply`, and the import of `count` keys. A folder that an earlier bench has filled
    /// with as many keys is taken again, unless `fresh`.
    pub(in crate::bench) fn prepare(
        binary: PathBuf,
        upstream: SocketAddr,
        count: usize,
        fresh: bool,
    ) -> Outcome<Self> {
        Self::furnished(binary, &format!("keys-{count}"), &resources(upstream), count, fresh)
    }

    /// The same with other resources, in a folder of this name. They have a project `bench` with a consumer `load`
    /// and a policy `standard`, which the keys get.
    pub(in crate::bench) fn furnished(
        binary: PathBuf,
        name: &str,
        resources: &str,
        count: usize,
        fresh: bool,
    ) -> Outcome<Self> {
        let home = std::path::absolute(workspace::target().join("bench").join(name))?;
        let (gateway, service_api, control) = (free_address()?, free_address()?, free_address()?);
        let tollgate = Self { binary, home, gateway, service_api, control };
        let filled = tollgate.home.join("filled");
        if fresh || !filled.exists() {
            tollgate.fill(resources, count)?;
            std::fs::write(&filled, "")?;
        }
        std::fs::write(tollgate.home.join("resources.toml"), resources)?;
        tollgate.cli(&["apply", "-f", "resources.toml"]).map_err(|error| format!("{error}; try --fresh"))?;
        Ok(tollgate)
    }

    fn fill(&self, resources: &str, count: usize) -> Outcome {
        if self.home.exists() {
            std::fs::remove_dir_all(&self.home)?;
        }
        std::fs::create_dir_all(&self.home)?;
        std::fs::write(self.home.join("tollgate.toml"), "")?;
        std::fs::write(self.home.join("resources.toml"), resources)?;
        self.cli(&["init", "--owner", "owner@example.com", "--password-stdin"])?;
        self.cli(&["apply", "-f", "resources.toml"])?;
        if count > 0 {
            println!("importing {count} keys");
            let start = Instant::now();
            std::fs::write(self.home.join("keys.csv"), keys::import_csv(count))?;
            let import = [
                "keys",
                "import",
                "keys.csv",
                "--project",
                "bench",
                "--scheme",
                "sha256",
                "--encoding",
                "hex",
            ];
            self.cli(&import)?;
            println!("imported {count} keys in {:.1} s", start.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Starts the node on the contestant's CPU.
    pub(in crate::bench) fn start(&self, folder: &Folder) -> Outcome<Start> {
        let mut command = self.command();
        command.arg("serve").args(self.folders());
        let begin = Instant::now();
        let server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("tollgate.log"))?;
        while status(self.control, "/readyz") != Some(200) {
            if begin.elapsed() > Duration::from_secs(120) {
                return Err("tollgate is not ready after 120 s; see tollgate.log in the bench folder".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let ready_after = begin.elapsed();
        let resident_mb = resident_mb(&[server.pid()]);
        Ok(Start { server, ready_after, resident_mb })
    }

    pub(in crate::bench) fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    pub(in crate::bench) fn service_api(&self) -> SocketAddr {
        self.service_api
    }

    /// A token for the service API.
    pub(in crate::bench) fn service_token(&self) -> Outcome<String> {
        // The folder may hold the tokens of earlier benches.
        let name = format!("bench-{}", std::process::id());
        let words = self.cli(&["service-tokens", "create", "--name", &name, "--output", "json"])?;
        let token = words.split('"').find(|word| word.starts_with("tgs_"));
        Ok(token.ok_or_else(|| format!("no token in {words}"))?.to_owned())
    }

    fn cli(&self, arguments: &[&str]) -> Outcome<String> {
        let mut command = self.command();
        command.args(arguments).args(self.folders());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // `init` reads a password; the others read nothing and may be gone already.
            let _ = std::io::Write::write_all(&mut pipe, b"correct horse battery staple\n");
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("`{}` failed: {words}", line(&command)).into())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .current_dir(&self.home)
            .env("TOLLGATE_GATEWAY__LISTEN", self.gateway.to_string())
            .env("TOLLGATE_GATEWAY__THREADS", "1")
            .env("TOLLGATE_SERVICE_API__LISTEN", self.service_api.to_string())
            .env("TOLLGATE_CONTROL__LISTEN", self.control.to_string());
        command
    }

    fn folders(&self) -> [PathBuf; 4] {
        let home = &self.home;
        ["--config".into(), home.join("tollgate.toml"), "--data-dir".into(), home.join("data")]
    }
}

/// One project: `/bench` with one limit and one quota, wide enough that nothing is refused, and `/open` that needs
/// no key, to see what the checks cost.
fn resources(upstream: SocketAddr) -> String {
    format!(
        r#"
[[project]]
tenant = "default"
name = "bench"
key_prefix = "tg"

[[service]]
project = "bench"
name = "bench"
kind = "proxy"
match = {{ path_prefix = "/bench" }}
upstreams = ["http://{upstream}"]

[[service]]
project = "bench"
name = "open"
kind = "proxy"
public = true
match = {{ path_prefix = "/open" }}
upstreams = ["http://{upstream}"]

[[policy]]
project = "bench"
name = "standard"
services = ["bench"]
scopes = ["read"]
  [[policy.limit]]
  name = "burst"
  unit = "requests"
  amount = 100000000
  window = "1m"
  per = "key"
  [[policy.quota]]
  name = "monthly"
  unit = "requests"
  amount = 1000000000000
  period = "month"
  per = "consumer"

[[consumer]]
project = "bench"
name = "load"
kind = "partner"
"#
    )
}
