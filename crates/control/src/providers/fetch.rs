//! Requests to identity providers: HTTP/1.1, over TLS but on loopback, answers of bounded size within a
//! bounded time, no redirects. The addresses come from the configuration and from what a configured
//! provider says about itself.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    http::{Method, Request, Uri, header},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// The largest answer.
const ANSWER_BYTES_MAX: usize = 512 << 10;
/// How long an exchange may take, from the name to the last byte.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A body, and the time that the other side says it has, seconds.
type Dated = (Bytes, Option<i64>);

/// Sends requests.
#[derive(Debug, Default)]
pub(crate) struct Fetcher {
    tls: tokio::sync::OnceCell<Arc<ClientConfig>>,
}

impl Fetcher {
    /// What an address answers as JSON; why not, for the log.
    pub(crate) async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, String> {
        let request = Request::builder().method(Method::GET).uri(url).body(Full::default());
        let bytes = self.send(request.map_err(|error| format!("{url}: {error}"))?).await?;
        serde_json::from_slice(&bytes).map_err(|error| format!("{url}: {error}"))
    }

    /// The same, with the time that the other side says it has, seconds.
    pub(crate) async fn dated_json<T: DeserializeOwned>(
        &self,
        url: &str,
    ) -> Result<(T, Option<i64>), String> {
        let request = Request::builder().method(Method::GET).uri(url).body(Full::default());
        let answer = self.send_dated(request.map_err(|error| format!("{url}: {error}"))?).await?;
        let value = serde_json::from_slice(&answer.0).map_err(|error| format!("{url}: {error}"))?;
        Ok((value, answer.1))
    }

    /// Sends a request; the body of a 200.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
        Ok(self.send_dated(request).await?.0)
    }

    async fn send_dated(&self, request: Request<Full<Bytes>>) -> Result<Dated, String> {
        let url = request.uri().clone();
        let outcome = tokio::time::timeout(TIMEOUT, self.exchange(request)).await;
        outcome
            .unwrap_or_else(|_| Err("no answer in time".to_owned()))
            .map_err(|error| format!("{url}: {error}"))
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Dated, String> {
        let url = request.uri().clone();
        let host = url.host().ok_or("no host")?.to_owned();
        let is_https = check_url(&url)?;
        let port = url.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await.map_err(|error| error.to_string())?;
        if is_https {
            let name = ServerName::try_from(bare.to_owned()).map_err(|error| error.to_string())?;
            let tls = TlsConnector::from(self.tls().await?);
            let stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
            ask(stream, request).await
        } else {
            ask(stream, request).await
        }
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        let made = self.tls.get_or_try_init(|| async {
            let certificates = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates.map_err(|error| error.to_string())?.certs);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Ok::<_, String>(Arc::new(config))
        });
        made.await.cloned()
    }
}

/// Whether an address is of https; in the clear only this machine is spoken to.
pub(crate) fn check_url(url: &Uri) -> Result<bool, String> {
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => Ok(true),
        (Some("http"), Some(host)) => {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            let is_own =
                bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
            if is_own { Ok(false) } else { Err("it is not https".to_owned()) }
        }
        _ => Err("it is no http address".to_owned()),
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    mut request: Request<Full<Bytes>>,
) -> Result<Dated, String> {
    let url = request.uri().clone();
    let authority = url.authority().ok_or("no host")?.as_str().parse().map_err(|_| "no host")?;
    request.headers_mut().insert(header::HOST, authority);
    *request.uri_mut() =
        url.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(|_| "no path")?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let driver = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| error.to_string());
    let outcome = match answer {
        Ok(answer) if answer.status() == 200 => {
            // RFC 9110 §5.6.7, which RFC 2822 reads too.
            let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
            let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
            let date_s = date.map(|date| date.timestamp().as_second());
            let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
            body.map(|body| (body.to_bytes(), date_s)).map_err(|error| error.to_string())
        }
        Ok(answer) => Err(format!("it answered {}", answer.status())),
        Err(error) => Err(error),
    };
    driver.abort();
    outcome
}
