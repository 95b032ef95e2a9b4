//! A throw-away PostgreSQL server on a free loopback port, in a temporary folder, without touching anything of
//! the system. It ends with the test process, however that ends: a small shell holds the server and waits on a
//! pipe that the kernel closes for us.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::port::free_port;
use crate::tls_door::issue;

/// How long initialisation and start may take together on a loaded machine.
const START_MAX: Duration = Duration::from_secs(60);
/// The superuser of every throw-away server; it needs no password.
const SUPERUSER: &str = "postgres";
/// Starts the server given as arguments, waits for a line or the end of its input, stops the server,
/// and removes its folder unless the line was `keep`.
const HOLDER: &str = r#"
    folder=$1; log=$2; shift 2
    "$@" >>"$log" 2>&1 </dev/null &
    server=$!
    line=; read -r line
    kill -INT "$server" 2>/dev/null
    wait "$server"
    [ "$line" = keep ] || rm -rf "$folder"
"#;

/// A running PostgreSQL server of our own.
#[derive(Debug)]
pub struct Postgres {
    binaries: PathBuf,
    folder: PathBuf,
    port: u16,
    has_tls: bool,
    holder: Option<Child>,
}

impl Postgres {
    /// The server that all tests of this process share; each takes a database of its own from it.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server for this test alone, e.g. because the test stops it.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start; the message says what to do.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// As [`Postgres::start`], speaking TLS as well, with a certificate for this name from an authority of its own
    /// ([`Postgres::authority`]).
    pub fn start_with_tls(name: &str) -> Self {
        Self::start_with(Some(name))
    }

    fn start_with(certificate_for: Option<&str>) -> Self {
        let binaries = find_binaries();
        let folder = tempfile::Builder::new()
            .prefix("tollgate-postgres-")
            .tempdir()
            .expect("make a temporary folder")
            .keep();
        if let Some((user, group)) = unprivileged() {
            chown(&folder, Some(user), Some(group)).expect("give the folder to the server's user");
        }
        let mut server =
            Self { binaries, folder, port: free_port(), has_tls: certificate_for.is_some(), holder: None };
        server.initialise();
        if let Some(name) = certificate_for {
            server.keep_certificate(name);
        }
        server.run();
        server
    }

    /// Makes an empty database for one test and returns its URL, `postgres://…`.
    pub fn create_database(&self) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let output = self.client("createdb").arg(&name).output().expect("run createdb");
        assert_succeeded("createdb", &output);
        self.url(&name)
    }

    /// The URL of a database of this server.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{}/{database}", self.port)
    }

    /// The port it listens on, at 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs SQL text in a database given by its URL; returns what `psql` prints, unaligned, without headings.
    ///
    /// # Panics
    /// When the text fails; the message holds the server's words.
    pub fn sql(&self, url: &str, text: &str) -> String {
        let output = Command::new(self.binaries.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", text])
            .output()
            .expect("run psql");
        assert_succeeded("psql", &output);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Stops the server and keeps its data, as an outage does. [`Postgres::resume`] ends the outage.
    pub fn stop(&mut self) {
        self.end("keep\n");
    }

    /// Starts the server again on the same port with the same data.
    pub fn resume(&mut self) {
        assert!(self.holder.is_none(), "the server was not stopped");
        self.run();
    }

    /// The PEM file of the authority that its certificate comes from.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    fn keep_certificate(&self, name: &str) {
        let issued = issue(name);
        std::fs::write(self.authority(), issued.authority).expect("keep the authority");
        std::fs::write(self.folder.join("server.crt"), issued.certificate.pem())
            .expect("keep the certificate");
        let key = self.folder.join("server.key");
        std::fs::write(&key, issued.key.serialize_pem()).expect("keep the key");
        // PostgreSQL takes no key that others can read.
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).expect("keep the key private");
        if let Some((user, group)) = unprivileged() {
            chown(&key, Some(user), Some(group)).expect("give the key to the server's user");
        }
    }

    fn initialise(&self) {
        let output = self
            .as_server_user("initdb")
            .args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"])
            .arg(self.data())
            .output()
            .expect("run initdb");
        assert_succeeded("initdb", &output);
    }

    /// Starts the server under its holder; a port taken in between is replaced, three times at most.
    fn run(&mut self) {
        for _ in 0..3 {
            self.spawn();
            if self.became_ready() {
                return;
            }
            self.end("keep\n");
            self.port = free_port();
        }
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL did not start; its log:\n{log}");
    }

    fn spawn(&mut self) {
        let mut holder = Command::new("sh");
        holder.args(["-c", HOLDER, "postgres-holder"]).arg(&self.folder).arg(self.folder.join("log"));
        let server = self.as_server_user("postgres");
        holder.arg(server.get_program()).args(server.get_args()).arg("-D").arg(self.data());
        holder.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-k"]).arg(&self.folder);
        // Throw-away data needs no fsync; the crash tests of the product end the product, not this server.
        for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300"]
        {
            holder.args(["-c", setting]);
        }
        if self.has_tls {
            for (setting, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")] {
                holder.arg("-c").arg(format!("{setting}={}", self.folder.join(file).display()));
            }
            holder.args(["-c", "ssl=on"]);
        }
        holder.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.holder = Some(holder.spawn().expect("start a shell to hold PostgreSQL"));
    }

    fn became_ready(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < START_MAX {
            if self.client("pg_isready").arg("-q").status().expect("run pg_isready").success() {
                return true;
            }
            // A server that gave up leaves no pid file; one that is starting has written it at once.
            if start.elapsed() > Duration::from_secs(2) && !self.data().join("postmaster.pid").exists() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    fn end(&mut self, word: &str) {
        if let Some(mut holder) = self.holder.take() {
            if let Some(mut pipe) = holder.stdin.take() {
                let _ = pipe.write_all(word.as_bytes());
            }
            let _ = holder.wait();
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// A client program with the connection arguments set.
    fn client(&self, program: &str) -> Command {
        let mut command = Command::new(self.binaries.join(program));
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", SUPERUSER]);
        command
    }

    /// A server program; run by root it gets another user, because PostgreSQL refuses root.
    fn as_server_user(&self, program: &str) -> Command {
        let path = self.binaries.join(program);
        let mut command = match unprivileged() {
            None => Command::new(path),
            Some((user, group)) => {
                let mut command = Command::new("setpriv");
                command.arg(format!("--reuid={user}")).arg(format!("--regid={group}"));
                command.arg("--clear-groups").arg(path);
                command
            }
        };
        command.current_dir(&self.folder);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.end("remove\n");
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The user and group to run the server as when this process is root: `postgres`, else `nobody`.
fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let table = std::fs::read_to_string("/etc/passwd").expect("read the table of users");
    let find = |name: &str| {
        let line = table.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(find("postgres").or_else(|| find("nobody")).expect("a user `postgres` or `nobody`"))
}

/// The folder with `initdb`, `postgres` and the clients: the newest Debian version, else from `PATH`.
fn find_binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let debian = versions
        .filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, folder)| holds_server(folder))
        .max();
    if let Some((_, folder)) = debian {
        return folder;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).find(|folder| holds_server(folder)).unwrap_or_else(|| {
        panic!(
            "PostgreSQL's server programs (initdb, postgres) were not found.\n\
             `cargo xtask test` installs them on Debian as root; else: apt-get install postgresql"
        )
    })
}

fn holds_server(folder: &Path) -> bool {
    ["initdb", "postgres", "psql", "createdb", "pg_isready"].iter().all(|name| folder.join(name).exists())
}

#[track_caller]
fn assert_succeeded(program: &str, output: &Output) {
    assert!(output.status.success(), "{program} failed:\n{}", String::from_utf8_lossy(&output.stderr));
}
