//! What thousands of idle keep-alive connections cost in memory, after one request each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::contestants::tollgate::Tollgate;
use super::contestants::{haproxy, nginx, upstream};
use super::gateway::TOLLGATE;
use super::places::Folder;
use super::report::{self, Aim};
use super::sample::resident_mb;
use super::{Options, keys};
use crate::command::Outcome;

/// Connections held open.
const CONNECTIONS: usize = 9_000;
/// How long nothing happens on them before the memory is read: servers give buffers back meanwhile.
const IDLE: Duration = Duration::from_secs(5);
/// What Tollgate may take for them, in MB.
const RESIDENT_MB_MAX: f64 = 200.0;
/// Files that load and contestants need for that: both ends of a connection, and the upstream's.
const FILES: u64 = 65_536;

pub(super) fn run(options: &Options) -> Outcome {
    let folder = Folder::fresh("idle")?;
    let (_upstream, upstream) = upstream::start(&folder)?;
    let known = vec![keys::key(0)];
    println!(
        "{:<22} {:>10} {:>10} {:>10} {:>16}",
        "contestant", "start MB", "busy MB", "idle MB", "bytes/connection"
    );
    if options.wants("nginx") {
        let (server, address) = nginx::start(&folder, upstream)?;
        hold("nginx", server.pid(), address)?;
    }
    if options.wants("haproxy") {
        let (server, address) = haproxy::start(&folder, upstream, &known, haproxy::Job::Whole)?;
        hold("haproxy", server.pid(), address)?;
    }
    let tollgate = Tollgate::prepare(options.tollgate()?, upstream, 1, options.fresh)?;
    let start = tollgate.start(&folder)?;
    let now = hold(TOLLGATE, start.server.pid(), tollgate.gateway())?;
    let what = format!("resident memory with {CONNECTIONS} idle connections");
    report::print_aims(&[Aim { what, now, at_most: RESIDENT_MB_MAX, unit: "MB" }]);
    Ok(())
}

/// Raises the limit of open files of this process and those it starts, as far as the system allows.
pub(super) fn raise_file_limit() -> Outcome {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |maximum| maximum.min(FILES));
    if limit.current.is_some_and(|now| now < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })?;
    }
    Ok(())
}

/// Opens the connections, prints the row and returns the memory at the end, in MB.
fn hold(name: &str, pid: u32, address: SocketAddr) -> Outcome<f64> {
    let before = resident_mb(&[pid]);
    let mut connections = Vec::with_capacity(CONNECTIONS);
    for number in 0..CONNECTIONS {
        let connection = one_request(address)
            .map_err(|error| format!("{name}: connection {number} of {CONNECTIONS}: {error}"))?;
        connections.push(connection);
    }
    let busy = resident_mb(&[pid]);
    std::thread::sleep(IDLE);
    let after = resident_mb(&[pid]);
    let each = (after - before) * 1024.0 * 1024.0 / CONNECTIONS as f64;
    println!("{name:<22} {before:>10.1} {busy:>10.1} {after:>10.1} {each:>16.0}");
    Ok(after)
}

/// A connection on which one request was answered; it stays open.
fn one_request(address: SocketAddr) -> Outcome<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let key = keys::key(0);
    let head = format!("GET /bench HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0_u8; 2048];
    // The body is the upstream's constant; it is there when the answer ends with it.
    while !answer.ends_with(b"uuuu") {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Err(format!("closed after {}", String::from_utf8_lossy(&answer)).into());
        }
        answer.extend(buffer.iter().take(read));
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        return Err(format!("not 200: {}", String::from_utf8_lossy(&answer)).into());
    }
    Ok(stream)
}
