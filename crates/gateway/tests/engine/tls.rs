//! TLS both ways: both protocols by ALPN, and whom it trusts.

use std::sync::Arc;

use tokio::net::TcpStream;
use tollgate_gateway::http::serve::Tls;
use tollgate_gateway::http::upstream::{Origin, OriginTls};

use super::http2::{request, runtime};
use super::support::{Rig, Setup};

/// Certificate files for `localhost`.
pub(crate) struct Certificate {
    dir: tempfile::TempDir,
    pem: String,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let pem = made.cert.pem();
        std::fs::write(dir.path().join("cert.pem"), &pem).unwrap();
        std::fs::write(dir.path().join("key.pem"), made.signing_key.serialize_pem()).unwrap();
        Self { dir, pem }
    }

    pub(crate) fn files(&self) -> Tls {
        Tls { cert: self.dir.path().join("cert.pem"), key: self.dir.path().join("key.pem") }
    }

    pub(crate) fn trusted(&self) -> OriginTls {
        OriginTls {
            roots_pem: Some(self.pem.clone().into_bytes()),
            server_name: Some("localhost".to_owned()),
            http1_only: false,
        }
    }

    fn client(&self, protocol: &str) -> tokio_rustls::TlsConnector {
        use rustls_pki_types::CertificateDer;
        use rustls_pki_types::pem::PemObject;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        Arc::new(config).into()
    }
}

#[test]
fn tls_offers_both_protocols_and_reaches_tls_upstreams() {
    let certificate = Certificate::new();
    let inner = Rig::start(Setup { tls: Some(certificate.files()), ..Setup::default() });
    let url = format!("https://{}", inner.addr);
    for http1_only in [false, true] {
        let tls = OriginTls { http1_only, ..certificate.trusted() };
        let origin = Origin::with_tls(&url, &tls).unwrap();
        let outer =
            Rig::start(Setup { tls: Some(certificate.files()), origin: Some(origin), ..Setup::default() });
        runtime().block_on(async {
            let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
            let tcp = TcpStream::connect(outer.addr).await.unwrap();
            let tls = certificate.client("h2").connect(name.clone(), tcp).await.unwrap();
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
            let (sender, connection) = h2::client::handshake(tls).await.unwrap();
            tokio::spawn(connection);
            let mut sender = sender.ready().await.unwrap();
            // "/head" is answered by the outer one, everything unknown by the inner one.
            for _ in 0..3 {
                let answer = sender.send_request(request("GET", "/inner"), true).unwrap().0.await.unwrap();
                assert_eq!(answer.status(), 404);
            }

            let tcp = TcpStream::connect(outer.addr).await.unwrap();
            let mut tls = certificate.client("http/1.1").connect(name, tcp).await.unwrap();
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            tls.write_all(b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            tls.read_to_string(&mut answer).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("hello"), "{answer}");
        });
    }
    assert_eq!(inner.seen().len(), 6);
}

#[test]
fn an_upstream_with_another_name_is_not_trusted() {
    let certificate = Certificate::new();
    let inner = Rig::start(Setup { tls: Some(certificate.files()), ..Setup::default() });
    let tls = OriginTls { server_name: Some("example.com".to_owned()), ..certificate.trusted() };
    let origin = Origin::with_tls(&format!("https://{}", inner.addr), &tls).unwrap();
    let outer = Rig::start(Setup { origin: Some(origin), ..Setup::default() });
    assert_eq!(outer.client().get("/inner").status, 502);
    let error = outer.error();
    assert!(error.to_string().contains("TLS") && error.nothing_sent, "{error}");
    assert!(inner.seen().is_empty());
}

#[test]
fn a_clear_text_client_on_a_tls_port_is_closed() {
    let certificate = Certificate::new();
    let rig = Rig::start(Setup { tls: Some(certificate.files()), ..Setup::default() });
    let mut client = rig.client();
    client.send("GET /hello HTTP/1.1$Host: a$$");
    assert!(!client.rest().starts_with(b"HTTP/"));
    assert!(rig.seen().is_empty());
}
