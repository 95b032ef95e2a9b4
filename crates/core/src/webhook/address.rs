//! The address of a receiver, read strictly: what two programs could read differently is refused, so that what is
//! checked is what is connected to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use thiserror::Error;

/// The longest address, in bytes.
pub const URL_LEN_MAX: usize = 2048;
/// Below this only the ports of HTTP are sent to: other services of a network listen there.
const PRIVILEGED_PORTS: u16 = 1024;

/// Why a text is no address of a receiver.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum AddressError {
    /// Too long.
    #[error("it is longer than {URL_LEN_MAX} bytes; shorten it")]
    TooLong,
    /// It is neither https nor http.
    #[error("it does not begin with `https://`; write `https://example.com/hooks`")]
    Scheme,
    /// It has characters that no address has.
    #[error("it has spaces, control characters, backslashes or others that an address escapes; escape them")]
    Characters,
    /// It has a user or password.
    #[error("it has a user or password; leave them away, deliveries are signed instead")]
    Credentials,
    /// It has a fragment, which is never sent.
    #[error("it has a `#`, and what comes after is never sent; leave it away")]
    Fragment,
    /// The host is none, or could be read in two ways.
    #[error(
        "its host is neither a name such as `hooks.example.com` nor an address such as `192.0.2.7` or `[2001:db8::7]`"
    )]
    Host,
    /// The port is none, or belongs to something else.
    #[error("its port is not 80, 443, or one from 1024 to 65535")]
    Port,
}

/// The host of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A name to be resolved, in lower case.
    Name(Box<str>),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Where a webhook's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiverAddress {
    /// Whether it is spoken to by TLS.
    pub is_tls: bool,
    /// The host.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Path and query, with the `/` at its beginning.
    pub target: Box<str>,
}

impl ReceiverAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.len() > URL_LEN_MAX {
            return Err(AddressError::TooLong);
        }
        let is_plain = |byte: u8| (0x21..0x7f).contains(&byte) && !b"\\\"<>^`{|}".contains(&byte);
        if !text.bytes().all(is_plain) {
            return Err(AddressError::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(AddressError::Scheme)?;
        let is_tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(AddressError::Scheme),
        };
        if rest.contains('#') {
            return Err(AddressError::Fragment);
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).ok_or(AddressError::Host)?;
        if authority.contains('@') {
            return Err(AddressError::Credentials);
        }
        let (host, port) = split_port(authority)?;
        let host = read_host(host)?;
        let port = match port {
            None if is_tls => 443,
            None => 80,
            Some(port) => read_port(port)?,
        };
        let target = if target.starts_with('/') { target.into() } else { format!("/{target}").into() };
        Ok(Self { is_tls, host, port, target })
    }

    /// The value of its `Host` field: the port is there when it is not the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        let own = if self.is_tls { 443 } else { 80 };
        if self.port == own { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), AddressError> {
    let after_v6 = authority.rfind(']').map_or(0, |end| end + 1);
    match authority.rfind(':').filter(|at| *at >= after_v6) {
        None => Ok((authority, None)),
        Some(at) => {
            let (host, port) = authority.split_at_checked(at).ok_or(AddressError::Host)?;
            Ok((host, port.strip_prefix(':')))
        }
    }
}

fn read_port(text: &str) -> Result<u16, AddressError> {
    let is_number = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse::<u16>().ok().filter(|_| is_number && !text.starts_with('0'));
    port.filter(|port| matches!(port, 80 | 443) || *port >= PRIVILEGED_PORTS).ok_or(AddressError::Port)
}

/// A host that every program reads alike. A name whose last label is a number is an IPv4 address to browsers
/// (WHATWG URL, "ends in a number"): `0177.0.0.1`, `0x7f.1` and `2130706433` are 127.0.0.1 there, so only the form
/// of four decimal numbers is taken.
///
/// # Errors
/// [`AddressError::Host`].
pub fn read_host(text: &str) -> Result<Host, AddressError> {
    if let Some(inner) = text.strip_prefix('[') {
        let inner = inner.strip_suffix(']').ok_or(AddressError::Host)?;
        return inner
            .parse::<Ipv6Addr>()
            .map(|address| Host::Address(address.into()))
            .map_err(|_| AddressError::Host);
    }
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with(|sign: char| sign.is_ascii_digit()) {
        return name
            .parse::<Ipv4Addr>()
            .map(|address| Host::Address(address.into()))
            .map_err(|_| AddressError::Host);
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err(AddressError::Host);
    }
    Ok(Host::Name(name.into()))
}

#[cfg(test)]
mod tests {
    use super::{AddressError, Host, ReceiverAddress};

    #[test]
    fn addresses_are_read_in_one_way_only() {
        let good = |text: &str| {
            let read = ReceiverAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            (read.is_tls, read.authority(), read.port, read.target.to_string())
        };
        let is =
            |tls: bool, host: &str, port: u16, target: &str| (tls, host.to_owned(), port, target.to_owned());
        assert_eq!(good("https://Example.com/hooks?a=b"), is(true, "example.com", 443, "/hooks?a=b"));
        assert_eq!(good("https://example.com"), is(true, "example.com", 443, "/"));
        assert_eq!(good("https://example.com."), is(true, "example.com", 443, "/"));
        assert_eq!(good("https://example.com?x"), is(true, "example.com", 443, "/?x"));
        assert_eq!(good("HTTP://h:8080/"), is(false, "h:8080", 8080, "/"));
        assert_eq!(good("https://[2001:db8::7]:8443/a"), is(true, "[2001:db8::7]:8443", 8443, "/a"));
        assert_eq!(good("https://192.0.2.7/"), is(true, "192.0.2.7", 443, "/"));
        let mapped = ReceiverAddress::parse("https://[::ffff:127.0.0.1]/").unwrap();
        assert!(matches!(mapped.host, Host::Address(address) if address.to_canonical().is_loopback()));
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        use AddressError::{Characters, Credentials, Fragment, Host, Port, Scheme, TooLong};
        for (text, error) in [
            ("example.com", Scheme),
            ("ftp://example.com", Scheme),
            ("//example.com", Scheme),
            ("https:/example.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("https://user:pass@example.com/", Credentials),
            ("https://example.com@127.0.0.1/", Credentials),
            ("https://example.com\\@127.0.0.1/", Characters),
            ("https://exa mple.com/", Characters),
            ("https://example.com/\u{e9}", Characters),
            ("https://ex\u{e4}mple.com/", Characters),
            ("https://example.com/a\r\nHost: b", Characters),
            ("https://example.com/#a", Fragment),
            ("https://example.com#@127.0.0.1/", Fragment),
            ("https://", Host),
            ("https:///path", Host),
            ("https://.example.com", Host),
            ("https://example..com", Host),
            ("https://-a.example.com", Host),
            ("https://2130706433/", Host),
            ("https://0x7f000001/", Host),
            ("https://0177.0.0.1/", Host),
            ("https://127.1/", Host),
            ("https://127.0.0.0x1/", Host),
            ("https://1.2.3.4.5/", Host),
            ("https://%31%32%37.0.0.1/", Host),
            ("https://[::1/", Host),
            ("https://[fe80::1%25eth0]/", Host),
            ("https://::1/", Host),
            ("https://example.com:0/", Port),
            ("https://example.com:/", Port),
            ("https://example.com:22/", Port),
            ("https://example.com:+443/", Port),
            ("https://example.com:0443/", Port),
            ("https://example.com:65536/", Port),
            ("https://example.com:443:80/", Host),
        ] {
            assert_eq!(ReceiverAddress::parse(text), Err(error), "{text}");
        }
        let long = format!("https://example.com/{}", "a".repeat(3000));
        assert_eq!(ReceiverAddress::parse(&long), Err(TooLong));
    }
}
