//! The load: wrk with a script that cycles through prepared requests.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::places::{Folder, LOAD_CPU};
use crate::command::{Outcome, take};

/// What wrk saw in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) requests: f64,
    pub(super) per_second: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    /// Answers that were not 2xx or 3xx, and broken connections.
    pub(super) errors: f64,
}

/// The lines of requests that a load sends.
pub(super) enum Requests {
    /// `GET /bench` with a bearer key of the list.
    Get,
    /// `POST path` with the list's key in a JSON body, as a service with this token does.
    Verify { token: String },
    /// `GET path` with these lines of Lua as headers; the list's key is `key` there.
    GetPath { path: &'static str, headers: String },
    /// `POST path` with this JSON body and these lines of Lua as headers; the list's key is `key` there.
    Post { path: &'static str, headers: String, body: String },
}

/// Writes the script and its list of keys; returns the script.
pub(super) fn script(folder: &Folder, name: &str, all: usize, requests: &Requests) -> Outcome<PathBuf> {
    let keys: Vec<String> = super::keys::in_use(all).collect();
    let list = folder.write(&format!("{name}.keys"), &keys.join("\n"))?;
    let format = match requests {
        Requests::Get => r#"wrk.format("GET", "/bench", {
            ["Authorization"] = "Bearer " .. key,
            ["Accept"] = "*/*",
            ["User-Agent"] = "bench/1.0",
            ["X-Client-Version"] = "2026.11",
          })"#
        .to_owned(),
        Requests::Verify { token } => format!(
            r#"wrk.format("POST", "/v1/keys/verify", {{
            ["Authorization"] = "Bearer {token}",
            ["Content-Type"] = "application/json",
          }}, '{{"key":"' .. key .. '"}}')"#
        ),
        Requests::GetPath { path, headers } => format!(r#"wrk.format("GET", "{path}", {{ {headers} }})"#),
        Requests::Post { path, headers, body } => format!(
            r#"wrk.format("POST", "{path}", {{
            ["Content-Type"] = "application/json",
            {headers}
          }}, [==[{body}]==])"#
        ),
    };
    let text = format!(
        "local requests, count, at = {{}}, 0, 0\n\
         function init()\n  for key in io.lines(\"{}\") do\n    count = count + 1\n    requests[count] = {format}\n  end\n\
         \x20 at = math.floor(count / 7)\nend\n\
         function request()\n  at = at % count + 1\n  return requests[at]\nend\n",
        list.display()
    );
    folder.write(&format!("{name}.lua"), &text)
}

/// Runs wrk with one thread on the load's CPU.
pub(super) fn run(script: &Path, address: SocketAddr, connections: usize, seconds: u64) -> Outcome<Seen> {
    let words = take(
        Command::new("taskset")
            .args(["-c", LOAD_CPU, "wrk", "--latency", "--timeout", "30s", "-t", "1"])
            .args(["-c", &connections.to_string(), "-d", &format!("{seconds}s"), "-s"])
            .arg(script)
            .arg(format!("http://{address}")),
    )?;
    parse(&words).ok_or_else(|| format!("wrk printed something new:\n{words}").into())
}

fn parse(words: &str) -> Option<Seen> {
    let mut seen = Seen::default();
    for line in words.lines().map(str::trim) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            ["50%", time] => seen.p50_us = time_us(time)?,
            ["99%", time] => seen.p99_us = time_us(time)?,
            [count, "requests", "in", ..] => seen.requests = count.parse().ok()?,
            ["Requests/sec:", rate] => seen.per_second = rate.parse().ok()?,
            ["Non-2xx", "or", "3xx", "responses:", count] => seen.errors += count.parse::<f64>().ok()?,
            ["Socket", "errors:", ..] => {
                let numbers = line.split([' ', ',']).filter_map(|word| word.parse::<f64>().ok());
                seen.errors += numbers.sum::<f64>();
            }
            _ => {}
        }
    }
    (seen.requests > 0.0).then_some(seen)
}

/// `842.00us`, `1.48ms`, `1.02s` in microseconds.
fn time_us(text: &str) -> Option<f64> {
    let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at_checked(split)?;
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1_000.0,
        "s" => 1_000_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_wrk_are_understood() {
        let words = "Running 3s test @ http://127.0.0.1:1\n  1 threads and 64 connections\n  Latency Distribution\n\
                     \x20    50%    1.48ms\n     75%    2.00ms\n     99%  842.00us\n  90001 requests in 3.00s, 1.0MB read\n\
                     \x20 Socket errors: connect 0, read 2, write 0, timeout 1\n  Non-2xx or 3xx responses: 4\n\
                     Requests/sec:  30000.50\nTransfer/sec:      1.00MB\n";
        let seen = parse(words).unwrap();
        assert_eq!((seen.requests, seen.per_second, seen.errors), (90_001.0, 30_000.5, 7.0));
        assert_eq!((seen.p50_us, seen.p99_us), (1480.0, 842.0));
    }
}
