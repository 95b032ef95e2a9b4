//! Tollgate with services of kind `ingest`, one tenant and key each, for benches and torture.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{Outcome, line};

/// How long it may take to be ready.
const READY_MAX: Duration = Duration::from_secs(120);

/// A folder with a configuration, and the process when it runs.
pub(crate) struct Node {
    binary: PathBuf,
    home: PathBuf,
    environment: Vec<(String, String)>,
    gateway: SocketAddr,
    control: SocketAddr,
    process: Option<Child>,
}

impl Node {
    /// Makes the folder, a tenant for each of `tenants`, and starts it.
    pub(crate) fn start(
        binary: &Path,
        home: &Path,
        tenants: usize,
        environment: &[(&str, String)],
    ) -> Outcome<(Self, Vec<String>)> {
        let (gateway, control, service_api) = (free()?, free()?, free()?);
        std::fs::create_dir_all(home)?;
        std::fs::write(home.join("tollgate.toml"), "")?;
        let mut all: Vec<(String, String)> = [
            ("TOLLGATE_GATEWAY__LISTEN", gateway.to_string()),
            ("TOLLGATE_GATEWAY__THREADS", "2".to_owned()),
            ("TOLLGATE_CONTROL__LISTEN", control.to_string()),
            ("TOLLGATE_SERVICE_API__LISTEN", service_api.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec();
        all.extend(environment.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        let mut node = Self {
            binary: binary.to_owned(),
            home: home.to_owned(),
            environment: all,
            gateway,
            control,
            process: None,
        };
        node.cli(&["init", "--owner", "owner@example.com", "--password-stdin"])?;
        std::fs::write(home.join("resources.toml"), resources(tenants))?;
        node.cli(&["apply", "-f", "resources.toml"])?;
        let key = |tenant: usize| -> Outcome<String> {
            let project = format!("shop-{tenant}/events");
            let consumer = ["--consumer", "spark", "--policy", "standard", "--output", "json"];
            let words = node.cli(&[&["keys", "create", "--project", &project][..], &consumer].concat())?;
            let answer: serde_json::Value = serde_json::from_str(&words)?;
            Ok(answer["key"].as_str().ok_or("no key in the answer")?.to_owned())
        };
        let keys = (0..tenants).map(key).collect::<Outcome<Vec<String>>>()?;
        node.run()?;
        Ok((node, keys))
    }

    /// Starts the process and waits until it is ready; how long that took.
    pub(crate) fn run(&mut self) -> Outcome<Duration> {
        let log = File::options().create(true).append(true).open(self.home.join("serve.log"))?;
        let mut command = self.command();
        command.arg("serve").args(self.folders());
        let start = Instant::now();
        self.process = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        while !is_ready(self.control) {
            if start.elapsed() > READY_MAX {
                return Err(format!("tollgate is not ready; see {}/serve.log", self.home.display()).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(start.elapsed())
    }

    /// Ends the process as the kernel does when there is no memory left.
    pub(crate) fn kill(&mut self) -> Outcome {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    pub(crate) fn gateway(&self) -> SocketAddr {
        self.gateway
    }

    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Records that Kafka has not had.
    pub(crate) fn behind(&self) -> Outcome<u64> {
        let status: serde_json::Value =
            serde_json::from_str(&self.cli(&["outbox", "status", "--output", "json"])?)?;
        let sinks = status["sinks"].as_array().into_iter().flatten();
        let kafka = sinks.into_iter().find(|sink| sink["sink"] == "kafka");
        let behind = kafka.and_then(|sink| sink["behind"].as_u64());
        Ok(behind.ok_or_else(|| format!("no sink `kafka` in {status}"))?)
    }

    /// Bytes of everything that it keeps.
    pub(crate) fn bytes(&self) -> u64 {
        fn of(folder: &Path) -> u64 {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
            entries
                .map(|entry| match entry.metadata() {
                    Ok(metadata) if metadata.is_dir() => of(&entry.path()),
                    Ok(metadata) => metadata.len(),
                    Err(_) => 0,
                })
                .sum()
        }
        of(&self.home.join("data"))
    }

    /// Runs a command of the binary on its folder; what it prints.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Outcome<String> {
        let mut command = self.command();
        command.args(arguments).args(self.folders());
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // `init` reads a password; the others read nothing and may be gone already.
            let _read = std::io::Write::write_all(&mut pipe, b"correct horse battery staple\n");
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(format!("`{}` failed: {}", line(&command), String::from_utf8_lossy(&output.stderr)).into())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.current_dir(&self.home).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    fn folders(&self) -> [PathBuf; 4] {
        ["--config".into(), self.home.join("tollgate.toml"), "--data-dir".into(), self.home.join("data")]
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Nothing is measured any more, and what it promised was promised for a kill as well.
        let _gone = self.kill();
    }
}

/// A loopback address whose port was free a moment ago.
pub(crate) fn free() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn is_ready(control: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&control, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        let request = format!("GET /readyz HTTP/1.1\r\nHost: {control}\r\nConnection: close\r\n\r\n");
        std::io::Write::write_all(&mut stream, request.as_bytes())?;
        let mut head = [0_u8; 12];
        std::io::Read::read_exact(&mut stream, &mut head)?;
        Ok(head.ends_with(b"200"))
    };
    ask().unwrap_or(false)
}

/// A tenant, project, service, policy and consumer for each number.
fn resources(tenants: usize) -> String {
    let one = |tenant: usize| {
        let project = format!("shop-{tenant}/events");
        format!(
            r#"
[[tenant]]
name = "shop-{tenant}"

[[project]]
tenant = "shop-{tenant}"
name = "events"
key_prefix = "s{tenant}"

[[service]]
project = "{project}"
name = "orders"
kind = "ingest"
match = {{ path_prefix = "{path}" }}
ingest = {{ default_type = "order.placed" }}

[[policy]]
project = "{project}"
name = "standard"
services = ["orders"]
scopes = ["write"]

[[consumer]]
project = "{project}"
name = "spark"
"#,
            path = path(tenant)
        )
    };
    (0..tenants).map(one).collect()
}

/// Where a tenant posts to: no two services may be at one place.
pub(crate) fn path(tenant: usize) -> String {
    if tenant == 0 { "/api/v1/ingest".to_owned() } else { format!("/shop-{tenant}/api/v1/ingest") }
}
