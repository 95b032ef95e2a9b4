//! One request to a receiver. The name is resolved here, every address it has is judged, and what is connected to is
//! an address that was judged: a name that means another one a moment later changes nothing. Redirects are not
//! followed. Time and bytes are bounded.

use std::{
    net::{IpAddr, SocketAddr, ToSocketAddrs as _},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{OnceCell, Semaphore},
    task::spawn_blocking,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tollgate_core::webhook::{Host, ReceiverAddress};

use super::{WebhookOptions, message::Message, sender::TENANT_MAX};

/// Bytes of an answer that are read; the connection is closed then.
const ANSWER_BYTES_MAX: usize = 4096;
/// How long a receiver may take for one address before the next is tried.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 4;

/// Names that are resolved at once, each on a thread of its own that goes on when its request is given up: four times
/// what one tenant has under way, so that the names of one, slow as they may be, hold back no other's.
const LOOKUPS_MAX: usize = 4 * TENANT_MAX;

/// What a receiver said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    /// The beginning of its body.
    pub(super) text: String,
}

/// Sends requests.
pub(super) struct Client {
    options: WebhookOptions,
    tls: OnceCell<Arc<ClientConfig>>,
    lookups: Arc<Semaphore>,
}

impl Client {
    pub(super) fn new(options: WebhookOptions) -> Self {
        Self { options, tls: OnceCell::new(), lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }

    /// Sends a message; why there is no answer otherwise, in words for whoever looks at the log of deliveries.
    pub(super) async fn send(&self, url: &str, message: &Message) -> Result<Answer, String> {
        let address =
            ReceiverAddress::parse(url).map_err(|error| format!("not sent: the address is none: {error}"))?;
        if !address.is_tls && !self.options.egress.allow_http {
            return Err(
                "not sent: the address is not https; the operator can set `webhooks.allow_http`".to_owned()
            );
        }
        let within = self.options.timeout;
        let exchanged = timeout(within, self.exchange(&address, message)).await;
        exchanged.unwrap_or_else(|_| Err(format!("no answer within {} s", within.as_secs())))
    }

    async fn exchange(&self, address: &ReceiverAddress, message: &Message) -> Result<Answer, String> {
        let places = self.places(address).await?;
        let stream = connect(&places).await?;
        let request = request(address, message)?;
        if !address.is_tls {
            return ask(stream, request).await;
        }
        let name = match &address.host {
            Host::Name(name) => ServerName::try_from(name.to_string()).map_err(|error| error.to_string())?,
            Host::Address(address) => ServerName::from(*address),
        };
        let connecting = TlsConnector::from(self.tls().await?).connect(name, stream);
        let stream = connecting.await.map_err(|error| format!("TLS failed: {error}"))?;
        ask(stream, request).await
    }

    /// The addresses to connect to. One that is refused refuses all: a name of which only some addresses are public
    /// is made to slip through.
    async fn places(&self, address: &ReceiverAddress) -> Result<Vec<SocketAddr>, String> {
        let found: Vec<IpAddr> = match &address.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.resolve(name.to_string()).await?,
        };
        if found.is_empty() {
            return Err("the name of the host has no address".to_owned());
        }
        // The address itself is not told: who writes a webhook does not learn how names resolve inside.
        if let Some(why) = found.iter().find_map(|address| self.options.egress.refusal(*address)) {
            return Err(format!(
                "not sent: its host is not on the public internet, {why}; the operator can allow it with \
                 `webhooks.allow_private`"
            ));
        }
        Ok(found.into_iter().take(ADDRESSES_MAX).map(|found| SocketAddr::new(found, address.port)).collect())
    }

    async fn resolve(&self, name: String) -> Result<Vec<IpAddr>, String> {
        let room = Arc::clone(&self.lookups).acquire_owned().await.map_err(|error| error.to_string())?;
        let found = spawn_blocking(move || {
            // Held until the resolver is done, whoever still waits for it.
            let _room = room;
            Ok::<_, std::io::Error>((name.as_str(), 0).to_socket_addrs()?.map(|found| found.ip()).collect())
        });
        let found = found.await.map_err(|error| error.to_string())?;
        found.map_err(|_| "the name of the host has no address".to_owned())
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let ca_file = self.options.ca_file.clone();
        let made = self.tls.get_or_try_init(|| async {
            let roots = spawn_blocking(move || roots(ca_file.as_deref())).await;
            let roots = roots.map_err(|error| error.to_string())??;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let config = config.map_err(|error| error.to_string())?;
            Ok::<_, String>(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
        });
        made.await.cloned()
    }
}

fn roots(ca_file: Option<&std::path::Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(file) = ca_file {
        let wrong =
            |error: &dyn std::fmt::Display| format!("`webhooks.ca_file`: {}: {error}", file.display());
        for certificate in CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))? {
            let certificate = certificate.map_err(|error| wrong(&error))?;
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
    }
    Ok(roots)
}

async fn connect(places: &[SocketAddr]) -> Result<TcpStream, String> {
    let mut last = String::new();
    for place in places {
        match timeout(CONNECT_MAX, TcpStream::connect(place)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("no connection: {}", error.kind()),
            Err(_) => last = format!("no connection within {} s", CONNECT_MAX.as_secs()),
        }
    }
    Err(last)
}

fn request(address: &ReceiverAddress, message: &Message) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method("POST")
        .uri(address.target.as_ref())
        .header(header::HOST, address.authority())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, "Tollgate-Webhooks")
        .header(header::CONNECTION, "close")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", message.timestamp_s)
        .header("webhook-signature", &message.signature)
        .body(Full::new(Bytes::from(message.body.clone())))
        .map_err(|error| error.to_string())
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Answer, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("no HTTP: {error}"))?;
    let driver = Driver(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(|error| format!("no answer: {error}"))?;
    let status = answer.status().as_u16();
    let retry_after = text_of(answer.headers());
    let text = beginning(answer.into_body()).await;
    drop(driver);
    Ok(Answer { status, retry_after, text })
}

/// Ends with whoever asked, even when that is given up on.
struct Driver(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn text_of(headers: &HeaderMap) -> Option<String> {
    headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The beginning of a body as text. What comes after is not read, and a body that breaks off is no fault: the status
/// says whether the message was taken.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX && !body.is_end_stream() {
        let Some(Ok(frame)) = body.frame().await else { break };
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(data.get(..data.len().min(room)).unwrap_or_default());
        }
    }
    String::from_utf8_lossy(&bytes).chars().filter(|sign| !sign.is_control() || *sign == '\n').collect()
}
