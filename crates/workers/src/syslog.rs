//! One message at a time to a system log: RFC 5424, over UDP (RFC 5426), TCP (RFC 6587, counted) or a
//! socket of this machine.
//!
//! Each message has a connection of its own: there is about one a minute. A datagram that is lost on
//! the way is not noticed; whoever must not lose any uses TCP or the checkpoint file.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UdpSocket, UnixDatagram, lookup_host},
};

/// How long handing over a message may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Facility 13, log audit; severity 5, notice (RFC 5424 §6.2.1).
const PRIORITY: u8 = 13 * 8 + 5;

/// Where a system log listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// Datagrams to `host:port`.
    Udp(String),
    /// A stream to `host:port`.
    Tcp(String),
    /// Datagrams to a socket of this machine.
    Unix(PathBuf),
}

impl FromStr for SyslogAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = || {
            format!(
                "`{text}` is no address of a system log; write `udp://HOST:514`, `tcp://HOST:601` or `unix:///dev/log`"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(problem)?;
        let place = || {
            let (host, port) = rest.rsplit_once(':').ok_or_else(problem)?;
            let is_place =
                !host.is_empty() && !host.contains('/') && port.parse::<u16>().is_ok_and(|port| port > 0);
            if is_place { Ok(rest.to_owned()) } else { Err(problem()) }
        };
        match scheme {
            "udp" => place().map(Self::Udp),
            "tcp" => place().map(Self::Tcp),
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            _ => Err(problem()),
        }
    }
}

impl fmt::Display for SyslogAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp(place) => write!(f, "udp://{place}"),
            Self::Tcp(place) => write!(f, "tcp://{place}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// Hands a message over. `kind` is its MSGID; the text is one line of plain characters.
pub(crate) async fn send(
    address: &SyslogAddress,
    kind: &str,
    text: &str,
    now_us: i64,
) -> std::io::Result<()> {
    let message = message(kind, text, now_us);
    let handed = tokio::time::timeout(TIMEOUT, hand_over(address, &message)).await;
    handed.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

async fn hand_over(address: &SyslogAddress, message: &str) -> std::io::Result<()> {
    match address {
        SyslogAddress::Udp(place) => {
            let to = lookup_host(place).await?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
            let own = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let socket = UdpSocket::bind(own).await?;
            socket.send_to(message.as_bytes(), to).await?;
        }
        SyslogAddress::Tcp(place) => {
            let mut stream = TcpStream::connect(place).await?;
            stream.write_all(format!("{} {message}", message.len()).as_bytes()).await?;
            stream.shutdown().await?;
        }
        SyslogAddress::Unix(path) => {
            let socket = UnixDatagram::unbound()?;
            socket.connect(path)?;
            socket.send(message.as_bytes()).await?;
        }
    }
    Ok(())
}

/// `<109>1 TIME HOST tollgate PID KIND - TEXT`. The host is left to the receiver, who knows it better.
fn message(kind: &str, text: &str, now_us: i64) -> String {
    format!("<{PRIORITY}>1 {} - tollgate {} {kind} - {text}", timestamp(now_us), std::process::id())
}

/// A moment as RFC 5424 §6.2.3 wants it, in UTC. Years 1970 to 9999.
fn timestamp(at_us: i64) -> String {
    // Outside the years that a calendar has: the nil value of RFC 5424 §6.2.3.
    jiff::Timestamp::from_microsecond(at_us).map_or_else(|_| "-".to_owned(), |at| format!("{at:.6}"))
}

#[cfg(test)]
mod tests {
    use super::{SyslogAddress, message, timestamp};

    #[test]
    fn a_moment_is_written_as_the_standard_wants_it() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp(1_767_225_600_123_456), "2026-01-01T00:00:00.123456Z");
        assert_eq!(timestamp(1_709_251_199_000_001), "2024-02-29T23:59:59.000001Z");
        assert_eq!(timestamp(951_868_800_000_000), "2000-03-01T00:00:00.000000Z");
    }

    #[test]
    fn a_message_has_every_field_of_the_header() {
        let text = message("audit-checkpoint", "{}", 0);
        let fields: Vec<&str> = text.splitn(8, ' ').collect();
        assert_eq!(fields[0], "<109>1");
        assert_eq!(
            (fields[2], fields[3], fields[5], fields[6], fields[7]),
            ("-", "tollgate", "audit-checkpoint", "-", "{}")
        );
    }

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in ["udp://10.0.0.1:514", "tcp://log.example.com:601", "udp://[::1]:514", "unix:///dev/log"]
        {
            assert_eq!(text.parse::<SyslogAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for bad in [
            "",
            "udp://",
            "udp://host",
            "tcp://:601",
            "udp://host:0",
            "unix://dev/log",
            "http://a:1",
            "tcp://a/b:1",
        ] {
            assert!(bad.parse::<SyslogAddress>().is_err(), "{bad}");
        }
    }
}
