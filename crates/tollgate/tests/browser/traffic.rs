//! Requests to the gateway, as programs send them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A request of a program.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    /// The key that it sends; none when empty.
    pub(crate) key: &'a str,
    /// The address that it comes from, as a trusted proxy tells it.
    pub(crate) from: &'a str,
}

impl<'a> Call<'a> {
    /// A GET.
    pub(crate) const fn get(path: &'a str, key: &'a str, from: &'a str) -> Self {
        Self { method: "GET", path, key, from }
    }

    /// Sends it on a connection of its own; the status of the answer.
    pub(crate) fn send(self, gateway: SocketAddr) -> u16 {
        let mut stream = TcpStream::connect(gateway).expect("connect to the gateway");
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("set an option of a socket");
        let credential = match self.key {
            "" => String::new(),
            key => format!("Authorization: Bearer {key}\r\n"),
        };
        let head = format!(
            "{} {} HTTP/1.1\r\nHost: {gateway}\r\nX-Forwarded-For: {}\r\nUser-Agent: okhttp/4.12\r\n{credential}Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.method, self.path, self.from
        );
        stream.write_all(head.as_bytes()).expect("send a request");
        let mut answer = Vec::new();
        // An upstream that breaks off is part of the traffic.
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}
