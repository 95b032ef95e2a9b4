//! A real directory: OpenLDAP's slapd with a few people, in the clear and with TLS, on loopback.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::port::free_port;
use crate::process::Process;
use crate::wait::poll_until;

/// How long slapd may take to listen on a loaded machine.
const START_MAX: Duration = Duration::from_secs(30);

const CONFIGURATION: &str = r#"
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile DIR/slapd.pid
argsfile DIR/slapd.args
TLSCACertificateFile DIR/cert.pem
TLSCertificateFile DIR/cert.pem
TLSCertificateKeyFile DIR/key.pem
database mdb
maxsize 67108864
suffix "dc=example,dc=test"
rootdn "cn=admin,dc=example,dc=test"
rootpw admin
directory DIR/db
access to attrs=userPassword by self write by anonymous auth by * none
access to * by users read by anonymous auth
"#;

const PEOPLE: &str = "dn: dc=example,dc=test
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: ou=people,dc=example,dc=test
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=test
objectClass: organizationalUnit
ou: groups

dn: uid=alice,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: alice
cn: Alice A
sn: A
mail: alice@example.test
userPassword: alicepw

dn: uid=bob,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob B
sn: B
mail: twice@example.test
userPassword: bobpw

dn: uid=carol,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: carol
cn: Carol C
sn: C
mail: twice@example.test
userPassword: bobpw

dn: uid=nopassword,ou=people,dc=example,dc=test
objectClass: inetOrgPerson
uid: nopassword
cn: Nobody
sn: N

dn: cn=admins,ou=groups,dc=example,dc=test
objectClass: groupOfNames
cn: admins
member: uid=alice,ou=people,dc=example,dc=test
";

/// A running slapd. Its people are `alice` (password `alicepw`, in the group `admins`), `bob` and `carol` (both
/// `bobpw`, in no group, with one mail address) and `nopassword`, below `ou=people,dc=example,dc=test`; groups are
/// below `ou=groups,dc=example,dc=test`; `cn=admin,dc=example,dc=test` (password `admin`) reads everything.
#[derive(Debug)]
pub struct Directory {
    plain: u16,
    tls: u16,
    // In this order: the process is gone before its folder is.
    _process: Process,
    folder: TempDir,
}

impl Directory {
    /// Starts it; returns once it listens.
    ///
    /// # Panics
    /// When slapd (the Debian package) or openssl is missing, or it does not listen in time.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-slapd-")
            .tempdir()
            .expect("make a temporary folder for slapd");
        let dir = folder.path();
        std::fs::create_dir(dir.join("db")).expect("make the folder of the database");
        certificate(dir, "");
        certificate(dir, "other-");
        let configuration = dir.join("slapd.conf");
        std::fs::write(&configuration, CONFIGURATION.replace("DIR", &dir.display().to_string()))
            .expect("write slapd's configuration");
        let people = dir.join("people.ldif");
        std::fs::write(&people, PEOPLE).expect("write the people");
        let mut add = Command::new("/usr/sbin/slapadd");
        let added = add.arg("-f").arg(&configuration).arg("-l").arg(&people).stderr(Stdio::null()).status();
        assert!(added.is_ok_and(|status| status.success()), "slapadd fails; install the package slapd");
        let (plain, tls) = (free_port(), free_port());
        let listen = format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls}");
        let mut slapd = Command::new("/usr/sbin/slapd");
        slapd.arg("-f").arg(&configuration).args(["-h", &listen, "-d", "0"]);
        let mut process = Process::start(&mut slapd, &dir.join("log"));
        poll_until(START_MAX, || {
            assert!(process.ended().is_none(), "slapd ended at its start:\n{}", process.log_end(20));
            TcpStream::connect(("127.0.0.1", plain)).is_ok()
        });
        Self { plain, tls, _process: process, folder }
    }

    /// Where it listens in the clear: `ldap://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.plain)
    }

    /// Where it listens with TLS: `ldaps://127.0.0.1:…`.
    pub fn tls_url(&self) -> String {
        format!("ldaps://127.0.0.1:{}", self.tls)
    }

    /// The PEM file of its certificate, which is its own authority.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The PEM file of a certificate that is not its.
    pub fn other_certificate(&self) -> PathBuf {
        self.folder.path().join("other-cert.pem")
    }
}

/// Makes `…cert.pem` and `…key.pem` for `localhost` and 127.0.0.1 in a folder.
///
/// # Panics
/// When openssl is missing.
pub fn certificate(folder: &Path, name: &str) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.join(format!("{name}key.pem")))
        .arg("-out")
        .arg(folder.join(format!("{name}cert.pem")))
        .stderr(Stdio::null())
        .status();
    assert!(made.is_ok_and(|status| status.success()), "openssl makes no certificate; is it installed?");
}
