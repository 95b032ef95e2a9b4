//! The console with 100,000 keys and 10,000,000 events in SQLite: how long each page takes, asked for by somebody
//! who is signed in.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::Options;
use super::places::{CONTESTANT_CPU, Folder, free_address};
use super::report::{self, Aim};
use super::server::Server;
use crate::command::{Outcome, cargo, line, show};
use crate::workspace;

const EVENTS: usize = 10_000_000;
const DAYS: usize = 30;
/// Requests of each page, after two that are not counted.
const REQUESTS: usize = 20;
/// What a page may take at the median, milliseconds.
const AIM_MS: f64 = 300.0;
const PASSWORD: &str = "correct horse battery staple";
/// How long one page may take before the bench gives up.
const PAGE_MAX: Duration = Duration::from_secs(120);

/// Pages, by what they are and where; `{key}`, `{consumer}`, … stand for an object found on the list before.
const PAGES: [(&str, &str); 34] = [
    ("overview, 6 h", "/"),
    ("overview, 24 h", "/?range=24h"),
    ("overview, 7 days", "/?range=7d"),
    ("overview, 30 days", "/?range=30d"),
    ("events", "/events"),
    ("events, older", "{older}"),
    ("events by code, 24 h", "/events?code=ip_not_allowed&range=24h"),
    ("events by key, 30 days", "/events?key={key}&range=30d"),
    ("events of a key that never called, 30 days", "/events?key={idle}&range=30d"),
    ("events by consumer, 7 days", "/events?consumer={consumer}&range=7d"),
    ("events by address, 24 h", "/events?address=10.0.7.7&range=24h"),
    ("event", "{event}"),
    ("usage by consumer, 24 h", "/usage"),
    ("usage by key, 24 h", "/usage?by=key"),
    ("usage by service, 30 days", "/usage?by=service&range=30d"),
    ("usage by consumer, 30 days", "/usage?by=consumer&range=30d"),
    ("usage of a key by day, 30 days", "/usage?key={key}&range=30d&by=day"),
    ("consumers", "/consumers"),
    ("consumers by name", "/consumers?search=partner-77"),
    ("consumer", "/consumers/{consumer}"),
    ("keys", "/keys"),
    ("keys, older", "{keys-older}"),
    ("keys by name", "/keys?search=program+4711"),
    ("keys that expire within 30 days", "/keys?expires=30&state=active"),
    ("keys of a policy", "/keys?policy={policy}"),
    ("key, the busiest", "/keys/{key}"),
    ("key that never called", "/keys/{idle}"),
    ("policies", "/policies"),
    ("policy", "/policies/{policy}"),
    ("services", "/services"),
    ("service", "/services/{service}"),
    ("audit", "/audit"),
    ("audit of a key", "/audit?subject={key}"),
    ("settings", "/settings"),
];

/// How a page did.
struct Page {
    name: &'static str,
    times_ms: Vec<f64>,
    bytes: usize,
}

pub(super) fn run(options: &Options) -> Outcome {
    let binary = options.tollgate()?;
    let place = Place::prepare(binary, options)?;
    let folder = Folder::fresh("console")?;
    let mut command = place.command();
    command.arg("serve").args(place.folders());
    let mut server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("tollgate.log"))?;
    let ready = server.wait_until_ready(place.control, "/readyz")?;
    println!("answers after {:.1} s", ready.as_secs_f64());
    let visitor = Visitor::sign_in(place.control)?;
    let pages = measure(&visitor)?;
    print(&pages);
    Ok(())
}

fn measure(visitor: &Visitor) -> Outcome<Vec<Page>> {
    let places = objects(visitor)?;
    let mut pages = Vec::new();
    for (name, path) in PAGES {
        let path = places.iter().fold(path.to_owned(), |path, (sign, own)| path.replace(sign, own));
        let mut page = Page { name, times_ms: Vec::new(), bytes: 0 };
        for number in 0..REQUESTS + 2 {
            let start = Instant::now();
            let body = visitor.get(&path)?;
            if number >= 2 {
                page.times_ms.push(start.elapsed().as_secs_f64() * 1000.0);
            }
            page.bytes = body.len();
        }
        println!("{name}: {:.1} ms", report::median(page.times_ms.clone()));
        pages.push(page);
    }
    Ok(pages)
}

/// Objects that pages are about, found as a person finds them: on the lists.
fn objects(visitor: &Visitor) -> Outcome<Vec<(&'static str, String)>> {
    let link = |page: &str, before: &str| -> Outcome<String> {
        let body = visitor.get(page)?;
        let rest = body.split_once(before).ok_or_else(|| format!("{page} has no link {before}"))?.1;
        Ok(rest.split('"').next().unwrap_or_default().replace("&amp;", "&"))
    };
    // The newest keys never called: the first ones make most of the calls.
    let older = |page: &str| -> Outcome<String> {
        let body = visitor.get(page)?;
        let found = body.split("href=\"").filter_map(|part| part.split('"').next());
        let found =
            found.filter(|href| href.contains("cursor=")).last().map(|href| href.replace("&amp;", "&"));
        Ok(found.ok_or_else(|| format!("{page} has no older rows"))?)
    };
    Ok(vec![
        ("{keys-older}", older("/keys")?),
        ("{older}", older("/events")?),
        ("{event}", format!("/events/{}", link("/events", "<td><a href=\"/events/")?)),
        ("{key}", link("/usage?by=key", "href=\"/keys/key_").map(|id| format!("key_{id}"))?),
        ("{idle}", link("/keys", "<td><a href=\"/keys/")?),
        ("{consumer}", link("/usage", "href=\"/consumers/con_").map(|id| format!("con_{id}"))?),
        ("{policy}", link("/policies", "<td><a href=\"/policies/")?),
        ("{service}", link("/services", "<td><a href=\"/services/")?),
    ])
}

fn print(pages: &[Page]) {
    println!("\n| page | median ms | p95 ms | KB |\n| --- | --- | --- | --- |");
    for page in pages {
        let mut sorted = page.times_ms.clone();
        sorted.sort_by(f64::total_cmp);
        let p95 = sorted.get(sorted.len() * 95 / 100).copied().unwrap_or(f64::NAN);
        let median = report::median(sorted);
        println!("| {} | {median:.0} | {p95:.0} | {} |", page.name, page.bytes.div_ceil(1024));
    }
    let aims: Vec<Aim> = pages
        .iter()
        .map(|page| Aim {
            what: page.name.to_owned(),
            now: report::median(page.times_ms.clone()),
            at_most: AIM_MS,
            unit: "ms",
        })
        .collect();
    report::print_aims(&aims);
}

/// A folder with a filled database.
struct Place {
    binary: PathBuf,
    home: PathBuf,
    control: SocketAddr,
    others: [SocketAddr; 2],
}

impl Place {
    /// Fills it, or takes the one that an earlier bench has filled.
    fn prepare(binary: PathBuf, options: &Options) -> Outcome<Self> {
        let keys = options.keys.min(100_000);
        let home = std::path::absolute(workspace::target().join(format!("bench/console-{keys}")))?;
        let others = [free_address()?, free_address()?];
        let place = Self { binary, home, control: free_address()?, others };
        let filled = place.home.join("filled");
        if options.fresh || !filled.exists() {
            place.fill(keys)?;
            std::fs::write(&filled, "")?;
        }
        Ok(place)
    }

    fn fill(&self, keys: usize) -> Outcome {
        if self.home.exists() {
            std::fs::remove_dir_all(&self.home)?;
        }
        std::fs::create_dir_all(&self.home)?;
        std::fs::write(self.home.join("tollgate.toml"), "")?;
        std::fs::write(self.home.join("resources.toml"), resources())?;
        self.cli(&["init", "--owner", "owner@example.com", "--tenant", "big", "--password-stdin"])?;
        self.cli(&["apply", "-f", "resources.toml"])?;
        println!("filling in {keys} keys and {EVENTS} events");
        let database = format!("sqlite://{}", self.home.join("data/tollgate.db").display());
        let mut fill = cargo();
        fill.args(["run", "--release", "-q", "-p", "tollgate-store", "--example", "fill", "--"]);
        fill.args(["--database", &database, "--tenant", "big", "--keys", &keys.to_string()]);
        show(fill.args(["--events", &EVENTS.to_string(), "--days", &DAYS.to_string()]))
    }

    fn cli(&self, arguments: &[&str]) -> Outcome {
        let mut command = self.command();
        command.args(arguments).args(self.folders());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut pipe) = child.stdin.take() {
            // `init` reads a password; the others read nothing and may be gone already.
            let _ = pipe.write_all(format!("{PASSWORD}\n").as_bytes());
        }
        let output = child.wait_with_output()?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("`{}` failed: {words}", line(&command)).into())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        let [gateway, service_api] = self.others.map(|address| address.to_string());
        command
            .current_dir(&self.home)
            .env("TOLLGATE_GATEWAY__LISTEN", gateway)
            .env("TOLLGATE_GATEWAY__THREADS", "1")
            .env("TOLLGATE_SERVICE_API__LISTEN", service_api)
            .env("TOLLGATE_CONTROL__LISTEN", self.control.to_string());
        command
    }

    fn folders(&self) -> [PathBuf; 4] {
        let home = &self.home;
        ["--config".into(), home.join("tollgate.toml"), "--data-dir".into(), home.join("data")]
    }
}

/// 1,000 consumers, 10 services, 20 policies.
fn resources() -> String {
    let mut text = "[[project]]\ntenant = \"big\"\nname = \"big\"\nkey_prefix = \"big\"\n".to_owned();
    for number in 0..10 {
        text.push_str(&format!(
            "[[service]]\nproject = \"big\"\nname = \"service-{number}\"\nkind = \"proxy\"\n\
             match = {{ path_prefix = \"/s{number}\" }}\nupstreams = [\"http://127.0.0.1:9\"]\n"
        ));
    }
    for number in 0..20 {
        text.push_str(&format!(
            "[[policy]]\nproject = \"big\"\nname = \"policy-{number}\"\nservices = [\"service-{}\"]\n\
             scopes = [\"read\"]\nallow_ips = [\"10.0.0.0/8\"]\n",
            number % 10
        ));
    }
    for number in 0..1_000 {
        text.push_str(&format!(
            "[[consumer]]\nproject = \"big\"\nname = \"partner-{number}\"\nkind = \"partner\"\n"
        ));
    }
    text
}

/// Somebody who is signed in.
struct Visitor {
    control: SocketAddr,
    cookie: String,
}

impl Visitor {
    fn sign_in(control: SocketAddr) -> Outcome<Self> {
        let body = format!("email=owner%40example.com&password={}&next=%2F", PASSWORD.replace(' ', "+"));
        let head = format!(
            "POST /sign-in HTTP/1.1\r\nHost: {control}\r\nOrigin: http://{control}\r\n\
             Sec-Fetch-Site: same-origin\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let (answer, _) = exchange(control, &head)?;
        let cookies = answer.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("set-cookie")
                .then(|| value.split(';').next().unwrap_or_default().trim())
        });
        let cookie = cookies.collect::<Vec<_>>().join("; ");
        if cookie.is_empty() {
            return Err(format!("signing in failed: {answer}").into());
        }
        Ok(Self { control, cookie })
    }

    /// A page, which must be answered with 200.
    fn get(&self, path: &str) -> Outcome<String> {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}\r\nConnection: close\r\n\r\n",
            self.control, self.cookie
        );
        let (head, body) = exchange(self.control, &head)?;
        if head.split(' ').nth(1) != Some("200") {
            return Err(
                format!("{path} was answered with {}", head.lines().next().unwrap_or_default()).into()
            );
        }
        Ok(body)
    }
}

/// One request on a connection of its own: head and body of the answer.
fn exchange(address: SocketAddr, request: &str) -> Outcome<(String, String)> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PAGE_MAX))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without an end of its head")?;
    Ok((head.to_owned(), body.to_owned()))
}
