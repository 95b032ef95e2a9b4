//! Messages to and from Chromium: calls with their answers, and events between them.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};

/// How long an answer may take.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long one look for messages waits: the pace of waiting for states.
const LOOK: Duration = Duration::from_millis(15);
/// How long the first exchange may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// One connection to Chromium.
#[derive(Debug)]
pub(super) struct Wire {
    socket: WebSocket<TcpStream>,
    calls: u64,
    events: VecDeque<Value>,
}

impl Wire {
    /// Connects to the browser as a whole.
    pub(super) fn open(port: u16, path: &str) -> Self {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("connect to Chromium");
        stream.set_nodelay(true).expect("set an option of a socket");
        stream.set_read_timeout(Some(HANDSHAKE_MAX)).expect("set an option of a socket");
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = client(address.as_str(), stream)
            .unwrap_or_else(|error| panic!("Chromium takes no connection: {error}"));
        socket.get_ref().set_read_timeout(Some(LOOK)).expect("set an option of a socket");
        Self { socket, calls: 0, events: VecDeque::new() }
    }

    /// Calls a method, of a page (`session`) or of the browser.
    ///
    /// # Errors
    /// What Chromium answers, e.g. that the page went away meanwhile.
    pub(super) fn call(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, String> {
        self.calls += 1;
        let number = self.calls;
        let mut message = json!({ "id": number, "method": method, "params": parameters });
        if let Some(session) = session {
            message["sessionId"] = json!(session);
        }
        self.socket
            .send(Message::text(message.to_string()))
            .unwrap_or_else(|error| panic!("Chromium is gone: {error}"));
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < ANSWER_MAX, "no answer to {method} within {ANSWER_MAX:?}");
            let Some(message) = self.read() else { continue };
            if message.get("id").and_then(Value::as_u64) != Some(number) {
                self.keep(message);
                continue;
            }
            return match message.get("error") {
                Some(error) => Err(format!("{method}: {error}")),
                None => Ok(message.get("result").cloned().unwrap_or_default()),
            };
        }
    }

    /// Waits a moment for events and takes those that came.
    pub(super) fn events(&mut self) -> Vec<Value> {
        while let Some(message) = self.read() {
            self.keep(message);
            if self.events.len() > 64 {
                break;
            }
        }
        self.events.drain(..).collect()
    }

    /// Events that came with answers.
    pub(super) fn kept(&mut self) -> Vec<Value> {
        self.events.drain(..).collect()
    }

    fn keep(&mut self, message: Value) {
        if message.get("method").is_some() {
            self.events.push_back(message);
        }
    }

    fn read(&mut self) -> Option<Value> {
        match self.socket.read() {
            Ok(Message::Text(text)) => serde_json::from_str(text.as_str()).ok(),
            Ok(_) => None,
            Err(Error::Io(error))
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
            {
                None
            }
            Err(error) => panic!("Chromium is gone: {error}"),
        }
    }
}
