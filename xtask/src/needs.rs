//! What tests and benches need beside a Rust toolchain, and how it gets onto the machine: as root on Debian it is
//! installed; anywhere else the person is told exactly what to install. Nothing is downloaded in another way.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::command::{Outcome, find, show};

/// A program that must be there.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    /// What it is for, in words.
    what: &'static str,
    /// How to tell that it is there.
    present: fn() -> bool,
    /// The Debian package that brings it.
    package: &'static str,
}

/// Programs that the tests start.
pub(crate) const TESTS: &[Need] = &[
    Need { what: "a C compiler (cc)", present: || find("cc").is_some(), package: "gcc" },
    Need { what: "PostgreSQL's server programs", present: postgres, package: "postgresql" },
    Need { what: "setpriv", present: || find("setpriv").is_some(), package: "util-linux" },
    Need { what: "redis-server", present: || find("redis-server").is_some(), package: "redis-server" },
    Need { what: "nginx", present: || find("nginx").is_some(), package: "nginx-light" },
    Need { what: "python3 with venv", present: venv, package: "python3-venv" },
    Need { what: "caddy", present: || find("caddy").is_some(), package: "caddy" },
    Need { what: "influxd", present: || find("influxd").is_some(), package: "influxdb" },
    Need { what: "slapd", present: || Path::new("/usr/sbin/slapd").exists(), package: "slapd" },
    Need { what: "aiosmtpd for /usr/bin/python3", present: aiosmtpd, package: "python3-aiosmtpd" },
    Need { what: "openssl", present: || find("openssl").is_some(), package: "openssl" },
    Need { what: "make", present: || find("make").is_some(), package: "make" },
];

/// What building libFuzzer needs.
pub(crate) const FUZZ: &[Need] =
    &[Need { what: "a C++ compiler (c++)", present: || find("c++").is_some(), package: "g++" }];

/// A browser, and what brings axe-core.
pub(crate) const BROWSER: &[Need] = &[
    Need { what: "Chromium", present: chromium, package: "chromium" },
    Need { what: "fonts", present: fonts, package: "fonts-dejavu-core" },
    Need { what: "npm", present: || find("npm").is_some(), package: "npm" },
    Need { what: "curl", present: || find("curl").is_some(), package: "curl" },
];

/// What runs an OpenID provider, and what brings it.
pub(crate) const OPENID: &[Need] = &[
    Need { what: "node", present: || find("node").is_some(), package: "nodejs" },
    Need { what: "npm", present: || find("npm").is_some(), package: "npm" },
];

/// What brings a broker of Kafka's protocol.
pub(crate) const KAFKA: &[Need] =
    &[Need { what: "python3 with venv", present: venv, package: "python3-venv" }];

/// What building TLS to Kafka needs.
pub(crate) const KAFKA_TLS: &[Need] = &[
    Need { what: "headers of OpenSSL", present: openssl_headers, package: "libssl-dev" },
    Need { what: "pkg-config", present: || find("pkg-config").is_some(), package: "pkg-config" },
];

/// What starts a server on one CPU.
pub(crate) const TASKSET: &[Need] =
    &[Need { what: "taskset", present: || find("taskset").is_some(), package: "util-linux" }];

/// Peers and tools of the benches. Envoy is installed where it is started, for it comes from another source.
pub(crate) const BENCH: &[Need] = &[
    Need { what: "nginx", present: || find("nginx").is_some(), package: "nginx-light" },
    Need { what: "haproxy", present: || find("haproxy").is_some(), package: "haproxy" },
    Need { what: "wrk", present: || find("wrk").is_some(), package: "wrk" },
    Need { what: "taskset", present: || find("taskset").is_some(), package: "util-linux" },
    Need { what: "strace", present: || find("strace").is_some(), package: "strace" },
    Need { what: "python3 with venv", present: venv, package: "python3-venv" },
];

/// Installs what is missing, or says what to install.
pub(crate) fn provide(needs: &[Need]) -> Outcome {
    let missing: Vec<Need> = needs.iter().copied().filter(|need| !(need.present)()).collect();
    if missing.is_empty() {
        println!("everything that is needed is here");
        return Ok(());
    }
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    let names: Vec<&str> = missing.iter().map(|need| need.what).collect();
    println!("missing: {}", names.join(", "));
    if !rustix::process::geteuid().is_root() || find("apt-get").is_none() {
        return Err(format!(
            "please install {} (Debian: sudo apt-get install --no-install-recommends {})",
            names.join(", "),
            packages.join(" ")
        )
        .into());
    }
    install(&packages)?;
    match missing.iter().find(|need| !(need.present)()) {
        None => Ok(()),
        Some(need) => Err(format!("{} is still missing after installing {}", need.what, need.package).into()),
    }
}

fn install(packages: &[&str]) -> Outcome {
    let _quiet = NoServices::declare()?;
    show(apt_get().args(["update", "-q"]))?;
    if packages.contains(&"postgresql") {
        keep_the_system_without_a_cluster()?;
    }
    let quiet = ["install", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Use-Pty=0"];
    show(apt_get().args(quiet).args(packages))
}

/// Debian's packages start the servers they bring; the tests start their own and want no others. While this value
/// lives, Debian's policy file says no.
struct NoServices(Option<&'static Path>);

impl NoServices {
    fn declare() -> Outcome<Self> {
        let policy = Path::new("/usr/sbin/policy-rc.d");
        if policy.exists() {
            // Somebody has decided already.
            return Ok(Self(None));
        }
        std::fs::write(policy, "#!/bin/sh\nexit 101\n")?;
        std::fs::set_permissions(policy, std::fs::Permissions::from_mode(0o755))?;
        Ok(Self(Some(policy)))
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if let Some(policy) = self.0 {
            let _ = std::fs::remove_file(policy);
        }
    }
}

/// Debian's package of PostgreSQL makes a cluster for the whole machine as well; the tests make their own.
/// A machine that has the package already is left as it is.
fn keep_the_system_without_a_cluster() -> Outcome {
    let folder = Path::new("/etc/postgresql-common");
    if !folder.exists() {
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("createcluster.conf"), "create_main_cluster = false\n")?;
    }
    Ok(())
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    // A configuration file of ours (see above) is kept without a question.
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "Dpkg::Options::=--force-confold"]);
    command
}

/// Debian's python3 comes without what makes environments of their own.
fn venv() -> bool {
    Command::new("python3")
        .args(["-c", "import ensurepip, venv"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// A mail server of the tests, for the system's own Python.
fn aiosmtpd() -> bool {
    Command::new("/usr/bin/python3")
        .args(["-c", "import aiosmtpd"])
        .output()
        .is_ok_and(|output| output.status.success())
}

fn openssl_headers() -> bool {
    Path::new("/usr/include/openssl/ssl.h").exists()
}

fn chromium() -> bool {
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
        .iter()
        .any(|name| find(name).is_some())
}

/// Chromium's package brings none, and a page without any is a page of boxes.
fn fonts() -> bool {
    Path::new("/usr/share/fonts").read_dir().is_ok_and(|mut folders| folders.next().is_some())
}

fn postgres() -> bool {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .is_ok_and(|versions| versions.flatten().any(|entry| entry.path().join("bin/postgres").exists()));
    debian || (find("postgres").is_some() && find("initdb").is_some())
}
