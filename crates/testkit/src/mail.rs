//! A real mail server: aiosmtpd in the clear on loopback, which keeps what it is given.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::port::free_port;
use crate::process::Process;
use crate::wait::poll_until;

/// How long it may take to listen, and a mail to arrive, on a loaded machine.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Appends what it takes to a file, a line of JSON each, its text decoded.
const SERVER: &str = r#"
import asyncio, email, email.policy, json, sys
from aiosmtpd.smtp import SMTP
port, mails = int(sys.argv[1]), sys.argv[2]
class Handler:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with open(mails, "a") as file:
            file.write(json.dumps({"to": envelope.rcpt_tos, "from": envelope.mail_from,
                                   "subject": mail["subject"], "text": mail.get_content()}) + "\n")
        return "250 OK"
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), hostname="localhost"), "127.0.0.1", port)
    await server.serve_forever()
asyncio.run(main())
"#;

/// A mail that it was given.
#[derive(Clone, Debug)]
pub struct Received {
    /// The address that it went to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
}

/// The running server.
#[derive(Debug)]
pub struct MailServer {
    port: u16,
    mails: PathBuf,
    // In this order: the process is gone before its folder is.
    _process: Process,
    _folder: TempDir,
}

impl MailServer {
    /// Starts it; returns once it listens.
    ///
    /// # Panics
    /// When python3-aiosmtpd (the Debian package, of the system's own Python) is missing.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new()
            .prefix("tollgate-mail-")
            .tempdir()
            .expect("make a temporary folder for the mail server");
        let (script, mails) = (folder.path().join("server.py"), folder.path().join("mails"));
        std::fs::write(&script, SERVER).expect("write the mail server's script");
        let port = free_port();
        let mut python = Command::new("/usr/bin/python3");
        python.arg(&script).arg(port.to_string()).arg(&mails);
        let mut process = Process::start(&mut python, &folder.path().join("log"));
        poll_until(WAIT_MAX, || {
            assert!(
                process.ended().is_none(),
                "the mail server ended at its start:\n{}",
                process.log_end(20)
            );
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        Self { port, mails, _process: process, _folder: folder }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Everything that it was given so far, in that order.
    pub fn received(&self) -> Vec<Received> {
        let text = std::fs::read_to_string(&self.mails).unwrap_or_default();
        // What is being written is read the next time.
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).map(received).collect()
    }

    /// Waits for a mail to an address whose subject has these words, the newest of them.
    ///
    /// # Panics
    /// When none comes within a minute.
    #[track_caller]
    pub fn wait_for(&self, to: &str, subject: &str) -> Received {
        let mut found = None;
        poll_until(WAIT_MAX, || {
            let all = self.received();
            found = all.into_iter().rfind(|mail| mail.to == to && mail.subject.contains(subject));
            found.is_some()
        });
        found.expect("a mail that was waited for")
    }
}

fn received(line: Value) -> Received {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Received { to: text(&line["to"][0]), subject: text(&line["subject"]), text: text(&line["text"]) }
}
