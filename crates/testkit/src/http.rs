//! A plain HTTP/1.1 client for tests: one connection a value, no retries, no redirects, nothing hidden.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// Status of the answer.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

impl Reply {
    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When the body is not JSON; the message shows it.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}), status {}: {}", self.status, self.text()),
        }
    }

    /// The member `code` of a problem+json answer.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// One header as text, or nothing when it is absent.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request being put together.
#[derive(Clone, Debug)]
pub struct Call {
    method: Method,
    target: String,
    headers: Vec<(String, String)>,
    body: Bytes,
}

impl Call {
    /// A request with any method. `target` is path and query, as on the request line.
    pub fn new(method: &str, target: &str) -> Self {
        let method = Method::from_bytes(method.as_bytes()).expect("a method of a test is a token");
        Self { method, target: target.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST with a JSON body.
    pub fn post(target: &str, body: &Value) -> Self {
        Self::new("POST", target).header("content-type", "application/json").body(body.to_string())
    }

    /// A POST with the fields of a form.
    pub fn post_form(target: &str, fields: &[(&str, &str)]) -> Self {
        let encoded = |text: &str| -> String {
            let plain = |byte: u8| byte.is_ascii_alphanumeric();
            let byte = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
            text.bytes().map(byte).collect()
        };
        let fields: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let call = Self::new("POST", target).header("content-type", "application/x-www-form-urlencoded");
        call.body(fields.join("&"))
    }

    /// Adds one header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request on a connection of its own.
    ///
    /// # Panics
    /// When no whole answer arrives; [`Call::try_send`] gives the error instead.
    pub async fn send(self, address: SocketAddr) -> Reply {
        let what = format!("{} {}", self.method, self.target);
        match self.try_send(address).await {
            Ok(reply) => reply,
            Err(error) => panic!("no whole answer to {what} from {address}: {error}"),
        }
    }

    /// Sends the request on a connection of its own.
    ///
    /// # Errors
    /// When the connection fails or ends before the whole answer arrived.
    pub async fn try_send(self, address: SocketAddr) -> Result<Reply, Error> {
        Connection::open(address).await?.send(self).await
    }
}

/// Why no whole answer arrived.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// One keep-alive connection.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    /// Opens a connection. Requests carry `address` as their Host unless they set their own.
    ///
    /// # Errors
    /// When nothing listens there.
    pub async fn open(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Self { sender, host: address.to_string() })
    }

    /// Sends one request and reads its whole answer.
    ///
    /// # Errors
    /// When the connection ends before the whole answer arrived: the request may or may not have run.
    pub async fn send(&mut self, call: Call) -> Result<Reply, Error> {
        self.sender.ready().await?;
        let answer = self.sender.send_request(request(call, &self.host)?).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

fn request(call: Call, host: &str) -> Result<Request<Full<Bytes>>, Error> {
    let mut request = Request::new(Full::new(call.body));
    *request.method_mut() = call.method;
    *request.uri_mut() = call.target.parse()?;
    for (name, value) in &call.headers {
        let value = HeaderValue::from_bytes(value.as_bytes())?;
        request.headers_mut().append(HeaderName::from_bytes(name.as_bytes())?, value);
    }
    if !request.headers().contains_key("host") {
        request.headers_mut().insert("host", HeaderValue::from_str(host)?);
    }
    Ok(request)
}

/// `GET target`, on a connection of its own.
///
/// # Panics
/// When no whole answer arrives.
pub async fn get(address: SocketAddr, target: &str) -> Reply {
    Call::get(target).send(address).await
}

/// `POST target` with a JSON body, on a connection of its own.
///
/// # Panics
/// When no whole answer arrives.
pub async fn post(address: SocketAddr, target: &str, body: &Value) -> Reply {
    Call::post(target, body).send(address).await
}
