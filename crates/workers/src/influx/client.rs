//! HTTP to InfluxDB: one connection that is kept, lines compressed, answers of bounded size within a bounded time.

use std::{io::Write as _, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{InfluxOptions, InfluxTarget, answer::Answer};

/// How long one exchange may take, from the name to the last byte.
const EXCHANGE_MAX: Duration = Duration::from_secs(30);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A client of one InfluxDB.
pub(super) struct Client {
    host: String,
    port: u16,
    /// The value of the `Host` field.
    authority: HeaderValue,
    /// Path and query of writing.
    target: String,
    credential: Option<HeaderValue>,
    tls: Option<Arc<ClientConfig>>,
    /// The connection, while it can be used.
    open: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// Reads how InfluxDB is reached; connects when something is written.
    pub(super) fn new(options: &InfluxOptions) -> Result<Self, String> {
        let url: Uri = options.url.parse().map_err(|error| format!("`influx.url`: {error}"))?;
        let is_tls = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err("`influx.url` is not an http or https address".to_owned()),
        };
        let authority = url.authority().ok_or("`influx.url` has no host")?;
        let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
        Ok(Self {
            host: bare.to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: value(authority.as_str())?,
            target: format!("{}{}", url.path().trim_end_matches('/'), target(&options.target)),
            credential: credential(&options.target)?,
            tls: if is_tls { Some(tls(options)?) } else { None },
            open: None,
        })
    }

    /// What it writes to, for the log.
    pub(super) fn place(&self) -> String {
        format!("InfluxDB at {}:{}", self.host, self.port)
    }

    /// Writes lines; why there is no answer otherwise. Whether anything was written is then not known.
    pub(super) async fn write(&mut self, lines: &str) -> Result<Answer, String> {
        let request = self.request(lines)?;
        let exchanged = tokio::time::timeout(EXCHANGE_MAX, self.exchange(request)).await;
        let outcome = exchanged.unwrap_or_else(|_| Err("no answer in time".to_owned()));
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    fn request(&self, lines: &str) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&self.target)
            .header(header::HOST, &self.authority)
            .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
            .header(header::USER_AGENT, "tollgate");
        if let Some(credential) = &self.credential {
            request = request.header(header::AUTHORIZATION, credential);
        }
        if lines.is_empty() {
            return request.body(Full::default()).map_err(|error| error.to_string());
        }
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        let packed = packed.write_all(lines.as_bytes()).and_then(|()| packed.finish());
        let packed = packed.map_err(|error| error.to_string())?;
        let request = request.header(header::CONTENT_ENCODING, "gzip");
        request.body(Full::new(Bytes::from(packed))).map_err(|error| error.to_string())
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let mut connection = match self.open.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.connect().await?,
        };
        connection.ready().await.map_err(|error| error.to_string())?;
        let answer = connection.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let answer = Answer {
            status: head.status.as_u16(),
            retry_after_s: text("retry-after").and_then(|seconds| seconds.trim().parse().ok()),
            version: text("x-influxdb-version").map(str::to_owned),
            body: Vec::new(),
        };
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| error.to_string())?;
        self.open = Some(connection);
        Ok(Answer { body: body.to_bytes().into(), ..answer })
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        match &self.tls {
            None => begin(stream).await,
            Some(config) => {
                let name = ServerName::try_from(self.host.clone()).map_err(|error| error.to_string())?;
                let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
                begin(connecting.await.map_err(|error| error.to_string())?).await
            }
        }
    }
}

async fn begin<S>(stream: S) -> Result<SendRequest<Full<Bytes>>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // Ends with the sender, or when the other side closes.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to InfluxDB ended");
        }
    });
    Ok(sender)
}

/// Path and query of writing: of 1.x <https://docs.influxdata.com/influxdb/v1/tools/api/#write-http-endpoint>, of 2.x
/// <https://docs.influxdata.com/influxdb/v2/api/#operation/PostWrite>.
fn target(target: &InfluxTarget) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    match target {
        InfluxTarget::Database { name, .. } => format!("/write?db={}&precision=ns", encoded(name)),
        InfluxTarget::Bucket { org, name, .. } => {
            format!("/api/v2/write?org={}&bucket={}&precision=ns", encoded(org), encoded(name))
        }
    }
}

fn credential(target: &InfluxTarget) -> Result<Option<HeaderValue>, String> {
    let text = match target {
        InfluxTarget::Database { user: Some((user, password)), .. } => {
            format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.expose())))
        }
        InfluxTarget::Bucket { token: Some(token), .. } => format!("Token {}", token.expose()),
        InfluxTarget::Database { user: None, .. } | InfluxTarget::Bucket { token: None, .. } => {
            return Ok(None);
        }
    };
    let mut value = value(&text)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn value(text: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(text).map_err(|_| "a setting of `influx` cannot stand in a header".to_owned())
}

fn tls(options: &InfluxOptions) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match &options.ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(file) => {
            let wrong =
                |error: &dyn std::fmt::Display| format!("`influx.ca_file`: {}: {error}", file.display());
            let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(&error))?;
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| error.to_string())?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}
