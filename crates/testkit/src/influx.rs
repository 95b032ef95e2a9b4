//! A real InfluxDB 1.x on loopback, which can be stopped and started again with its data.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::http::Call;
use crate::port::free_port;
use crate::process::Process;
use crate::wait::poll_until;

/// How long it may take to listen on a loaded machine.
const START_MAX: Duration = Duration::from_secs(60);
/// How often another port is tried when one was taken in between.
const PORT_TRIES_MAX: usize = 3;

/// The server of the Debian package `influxdb`.
#[derive(Debug)]
pub struct Influx {
    port: u16,
    process: Option<Process>,
    folder: TempDir,
}

impl Influx {
    /// Starts it; returns once it listens.
    ///
    /// # Panics
    /// When it is not installed or does not listen in time; the message says what to do.
    pub fn start() -> Self {
        let folder =
            tempfile::Builder::new().prefix("tollgate-influx-").tempdir().expect("make a temporary folder");
        let mut server = Self { port: free_port(), process: None, folder };
        for _ in 0..PORT_TRIES_MAX {
            if server.try_run() {
                return server;
            }
            server.port = free_port();
        }
        panic!(
            "influxd does not start; `cargo xtask test` installs it on Debian as root, else: apt-get install influxdb"
        );
    }

    /// Kills it and keeps its data, as an outage does. [`Influx::resume`] ends the outage.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it again on the same port with the same data.
    ///
    /// # Panics
    /// When it does not listen in time.
    pub fn resume(&mut self) {
        assert!(self.process.is_none(), "the server was not stopped");
        assert!(self.try_run(), "influxd does not start again on port {}", self.port);
    }

    /// Its address, as `influx.url` has it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The answer to a statement, times in nanoseconds.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn query(&self, database: &str, statement: &str) -> Value {
        let call = Call::post_form("/query", &[("db", database), ("epoch", "ns"), ("q", statement)]);
        let reply = call.send(SocketAddr::from(([127, 0, 0, 1], self.port))).await;
        assert_eq!(reply.status, 200, "{statement}: {}", reply.text());
        let answer = reply.json();
        assert!(answer["results"][0].get("error").is_none(), "{statement}: {answer}");
        answer
    }

    fn try_run(&mut self) -> bool {
        let dir = self.folder.path().display().to_string();
        let rpc = free_port();
        let configuration = format!(
            "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n\
             [meta]\ndir = \"{dir}/meta\"\n\
             [data]\ndir = \"{dir}/data\"\nwal-dir = \"{dir}/wal\"\nquery-log-enabled = false\n\
             [monitor]\nstore-enabled = false\n\
             [http]\nbind-address = \"127.0.0.1:{}\"\nlog-enabled = false\n",
            self.port
        );
        let file = self.folder.path().join("influxdb.conf");
        std::fs::write(&file, configuration).expect("write influxd's configuration");
        let mut command = Command::new("influxd");
        command.args(["run", "-config"]).arg(&file);
        let mut process = Process::start(&mut command, &self.folder.path().join("log"));
        let mut is_up = false;
        poll_until(START_MAX, || {
            is_up = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            is_up || process.ended().is_some()
        });
        self.process = Some(process).filter(|_| is_up);
        is_up
    }
}
