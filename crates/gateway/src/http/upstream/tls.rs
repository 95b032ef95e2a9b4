//! TLS towards upstreams: whom to trust, which name to verify, which protocols to offer.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use super::{OriginInvalid, OriginTls, OriginTlsReady};

/// Checks the settings once, when an origin is made, so that a request never meets a mistake in them.
pub(super) fn ready(host: &str, settings: &OriginTls) -> Result<OriginTlsReady, OriginInvalid> {
    let name = settings.server_name.as_deref().unwrap_or(host).to_owned();
    let name = ServerName::try_from(name.clone())
        .map_err(|_| OriginInvalid::Tls(format!("{name} is neither a host name nor an IP address")))?;
    let roots = match &settings.roots_pem {
        None => native_roots()?,
        Some(pem) => Arc::new(roots_of(pem)?),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| OriginInvalid::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config_http1 = Arc::new(config.clone());
    if !settings.http1_only {
        config.alpn_protocols.insert(0, b"h2".to_vec());
    }
    Ok(OriginTlsReady { settings: settings.clone(), config: Arc::new(config), config_http1, name })
}

fn roots_of(pem: &[u8]) -> Result<RootCertStore, OriginInvalid> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| OriginInvalid::Tls(format!("roots: {error}")))?;
        roots.add(certificate).map_err(|error| OriginInvalid::Tls(format!("roots: {error}")))?;
    }
    if roots.is_empty() {
        return Err(OriginInvalid::Tls("roots: the PEM text holds no certificate".to_owned()));
    }
    Ok(roots)
}

/// The operating system's authorities, read once per process.
fn native_roots() -> Result<Arc<RootCertStore>, OriginInvalid> {
    static NATIVE: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = NATIVE.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        let problem =
            "the operating system has no certificate authorities: install ca-certificates or name a file";
        return Err(OriginInvalid::Tls(problem.to_owned()));
    }
    Ok(Arc::clone(roots))
}
