//! Mail over SMTP (RFC 5321): how the server is reached, and whether it can be.
//!
//! TLS is verified and never given up: `starttls` is required of the server, not merely tried. In the
//! clear only this machine is spoken to. What sends, and what becomes of a mail that cannot be sent,
//! is in `courier`.

mod courier;

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use lettre::{
    AsyncSmtpTransport, Tokio1Executor,
    message::Mailbox,
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder},
    },
};
use tollgate_core::secret::Secret;

pub use courier::SmtpCourier;

/// How long each step with the server may take.
const STEP: Duration = Duration::from_secs(10);
/// How long looking whether the server can be used may take.
const CHECK: Duration = Duration::from_secs(20);

/// Where mail is handed in, and as whom.
#[derive(Clone, Debug)]
pub struct SmtpOptions {
    /// The server: a name, or an address.
    pub host: String,
    /// Its port; the one of the kind of security when not said.
    pub port: Option<u16>,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// PEM file of the authorities to believe; the operating system's when not said.
    pub ca_file: Option<PathBuf>,
    /// Who hands in; `None` where the server asks nobody.
    pub login: Option<(String, Secret<String>)>,
    /// Whom mails are from: `Tollgate <tollgate@example.com>`.
    pub from: Sender,
}

/// How the connection to the server is secured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// In the clear, then TLS before anything is said (RFC 3207); port 587.
    #[default]
    StartTls,
    /// TLS from the first byte (RFC 8314); port 465.
    Tls,
    /// In the clear, on this machine only; port 25.
    None,
}

/// Whom mails are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(Mailbox);

impl FromStr for Sender {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            format!("`{text}` is no mail address; write `tollgate@example.com` or `Tollgate <tollgate@example.com>`")
        })
    }
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl SmtpOptions {
    /// Host and port, for people.
    #[must_use]
    pub fn place(&self) -> String {
        format!("{}:{}", self.host, self.port())
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(match self.security {
            SmtpSecurity::StartTls => 587,
            SmtpSecurity::Tls => 465,
            SmtpSecurity::None => 25,
        })
    }

    /// What is sent with. Reads the file of authorities.
    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let tls = match self.security {
            SmtpSecurity::StartTls => Tls::Required(self.tls()?),
            SmtpSecurity::Tls => Tls::Wrapper(self.tls()?),
            SmtpSecurity::None if is_own_machine(&self.host) => Tls::None,
            SmtpSecurity::None => {
                return Err(
                    "without TLS mails would be read on the way; set smtp.security to `starttls` or `tls`"
                        .to_owned(),
                );
            }
        };
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(self.host.as_str())
            .port(self.port())
            .timeout(Some(STEP))
            .tls(tls);
        if let Some((user, password)) = &self.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose().clone()));
        }
        Ok(builder.build())
    }

    fn tls(&self) -> Result<TlsParameters, String> {
        let mut builder = TlsParametersBuilder::new(self.host.clone());
        if let Some(file) = &self.ca_file {
            let wrong = |problem: String| format!("smtp.ca_file {}: {problem}", file.display());
            let pem = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
            let authorities = Certificate::from_pem(&pem).map_err(|error| wrong(words(&error)))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authorities);
        }
        builder.build_rustls().map_err(|error| words(&error))
    }
}

/// Whether the server can be reached, proves who it is, and lets us hand in; sends nothing.
///
/// # Errors
/// Why not, in words for the operator.
pub async fn check_smtp(options: &SmtpOptions) -> Result<(), String> {
    let blocking = options.clone();
    let transport = tokio::task::spawn_blocking(move || blocking.transport());
    let transport = transport.await.map_err(|error| error.to_string())??;
    match tokio::time::timeout(CHECK, transport.test_connection()).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false)) => Err("the server ended the conversation".to_owned()),
        Ok(Err(error)) => Err(words(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

fn is_own_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An error and its causes, of bounded length: a server's words may be long.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    const CHARS_MAX: usize = 300;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.chars().take(CHARS_MAX).map(|sign| if sign.is_control() { ' ' } else { sign }).collect()
}

#[cfg(test)]
mod tests {
    use super::{Sender, SmtpOptions, SmtpSecurity, is_own_machine};

    fn options(host: &str, security: SmtpSecurity) -> SmtpOptions {
        let from: Sender = "Tollgate <gate@example.com>".parse().expect("an address");
        SmtpOptions { host: host.to_owned(), port: None, security, ca_file: None, login: None, from }
    }

    #[test]
    fn in_the_clear_only_this_machine_is_spoken_to() {
        assert!(options("127.0.0.1", SmtpSecurity::None).transport().is_ok());
        for host in ["mail.example.com", "localhost.example.com", "10.0.0.1", "127.0.0.1.example.com"] {
            assert!(options(host, SmtpSecurity::None).transport().is_err(), "{host}");
        }
        assert!(is_own_machine("[::1]") && is_own_machine("localhost"));
    }

    #[test]
    fn the_port_follows_the_security() {
        let port = |security| options("mail.example.com", security).place();
        assert_eq!(port(SmtpSecurity::StartTls), "mail.example.com:587");
        assert_eq!(port(SmtpSecurity::Tls), "mail.example.com:465");
        assert_eq!(port(SmtpSecurity::None), "mail.example.com:25");
    }

    #[test]
    fn a_sender_is_one_address() {
        assert!("gate@example.com".parse::<Sender>().is_ok());
        for bad in ["", "gate", "gate@example.com\r\nBcc: a@example.com", "a@b.c, d@e.f"] {
            assert!(bad.parse::<Sender>().is_err(), "{bad}");
        }
    }
}
