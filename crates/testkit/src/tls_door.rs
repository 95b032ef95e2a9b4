//! TLS for a server that speaks in the clear: a door on a port of its own, with a certificate of a private
//! authority, that hands on what comes through it.

use std::{net::Ipv4Addr, sync::Arc};

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// An open door; closed when it is dropped.
#[derive(Debug)]
pub struct TlsDoor {
    /// Where it is.
    pub port: u16,
    /// The authority that its certificate comes from, PEM.
    pub authority: String,
    task: JoinHandle<()>,
}

impl TlsDoor {
    /// Opens one to a loopback port, with a certificate for this name.
    pub async fn open(to: u16, name: &str) -> Self {
        let (acceptor, authority) = acceptor(name);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Who does not like the certificate goes away; that is what a test is about.
                    let Ok(mut near) = acceptor.accept(stream).await else { return };
                    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
                    let _ended = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { port, authority, task }
    }
}

impl Drop for TlsDoor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A certificate for one name, its key, and the authority it comes from (PEM).
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) authority: String,
    pub(crate) certificate: Certificate,
    pub(crate) key: KeyPair,
}

/// Makes an authority and has it issue a certificate for this name.
pub(crate) fn issue(name: &str) -> Issued {
    let mut authority = CertificateParams::new(Vec::new()).expect("parameters");
    // A name of its own: OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "an authority for tests");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().expect("a key");
    let root = authority.self_signed(&authority_key).expect("an authority");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = own.signed_by(&key, &issuer).expect("a certificate");
    Issued { authority: root.pem(), certificate, key }
}

fn acceptor(name: &str) -> (TlsAcceptor, String) {
    let Issued { authority, certificate, key } = issue(name);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions of the provider")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        )
        .expect("a fresh certificate fits its key");
    (TlsAcceptor::from(Arc::new(config)), authority)
}
