//! A PostgreSQL server of our own, with the durability that it has out of the box, on a free loopback port.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{Outcome, find, take};

/// How long it may take to answer after its start.
const START_MAX: Duration = Duration::from_secs(60);

/// A running server; ended when it is dropped, its folder stays with the bench's.
pub(crate) struct Postgres {
    programs: PathBuf,
    port: u16,
    server: Child,
}

impl Postgres {
    /// Makes a cluster in a folder that is not there yet and starts it.
    pub(crate) fn start(folder: &Path, port: u16) -> Outcome<Self> {
        let programs = programs()?;
        std::fs::create_dir_all(folder)?;
        let account = account()?;
        if let Some((user, group)) = account {
            chown(folder, Some(user), Some(group))?;
        }
        let data = folder.join("data");
        let mut initialise = as_server(&programs.join("initdb"), account, folder);
        initialise.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"]).arg(&data);
        take(&mut initialise)?;
        let mut command = as_server(&programs.join("postgres"), account, folder);
        command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]).arg(folder);
        // What anybody sets on a server that is written to: not a checkpoint every few seconds of load.
        for setting in ["max_wal_size=4GB", "shared_buffers=512MB", "max_connections=100"] {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(folder.join("server.log"))?;
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
        let postgres = Self { programs, port, server };
        let start = Instant::now();
        while postgres.sql("postgres", "SELECT 1").is_err() {
            if start.elapsed() > START_MAX {
                return Err(format!("PostgreSQL does not answer; see {}", folder.display()).into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(postgres)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.id()
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs SQL text; what it says.
    pub(crate) fn sql(&self, database: &str, text: &str) -> Outcome<String> {
        Ok(take(self.psql(database).args(["-A", "-t", "-c", text]))?.trim().to_owned())
    }

    /// A client that reads SQL from its standard input.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut command = Command::new(self.programs.join("psql"));
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database)]);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT: clients are sent away, nothing is lost.
        if let Some(pid) = i32::try_from(self.server.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ended = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _status = self.server.wait();
    }
}

/// The newest version that is here.
fn programs() -> Outcome<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        Some((version, entry.path().join("bin")))
    });
    let newest = folders.filter(|(_, folder)| folder.join("initdb").exists()).max();
    let elsewhere = || find("initdb").and_then(|program| program.parent().map(Path::to_owned));
    Ok(newest
        .map(|(_, folder)| folder)
        .or_else(elsewhere)
        .ok_or("PostgreSQL's server programs are missing")?)
}

/// User and group of the server when this process is root, for PostgreSQL refuses root.
fn account() -> Outcome<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let table = std::fs::read_to_string("/etc/passwd")?;
    let of = |name: &str| {
        let mut fields = table.lines().find(|line| line.split(':').next() == Some(name))?.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Ok(Some(of("postgres").or_else(|| of("nobody")).ok_or("there is no user to run PostgreSQL as")?))
}

fn as_server(program: &Path, account: Option<(u32, u32)>, folder: &Path) -> Command {
    let mut command = match account {
        None => Command::new(program),
        Some((user, group)) => {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={user}"), &format!("--regid={group}"), "--clear-groups"]);
            command.arg(program);
            command
        }
    };
    command.current_dir(folder);
    command
}
