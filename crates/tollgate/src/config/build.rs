//! Puts the layers of the configuration together and collects everything that is wrong. Pure.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf, time::Duration};

use toml::de::{DeTable, DeValue};

use super::{
    Assertion, Config, Database, Feed, Gateway, Journal, Listener, Log, Retention, audit, events, influx,
    people, reminders, secrets,
    settings::{SETTINGS, Setting},
    smtp,
    value::Written,
};
use crate::located::{Lines, Located, Place, nearest};

/// The layers, later ones winning: file, environment, flags.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Name and text of `tollgate.toml`.
    pub file: Option<(String, String)>,
    /// Environment variables; those that are none of ours are passed over.
    pub environment: Vec<(String, String)>,
    /// `--set section.name=value`.
    pub flags: Vec<(String, String)>,
    /// The data folder.
    pub data_dir: PathBuf,
}

/// Reads all layers.
///
/// # Errors
/// Everything that is wrong in any layer, in the order of the file's lines, environment, flags.
pub fn parse(sources: &Sources) -> Result<Config, Vec<Located>> {
    let mut builder =
        Builder { config: blank(sources.data_dir.clone()), errors: Vec::new(), places: HashMap::new() };
    builder.defaults();
    if let Some((name, text)) = &sources.file {
        builder.file(name, text);
    }
    for (name, value) in &sources.environment {
        builder.environment(name, value);
    }
    for (path, value) in &sources.flags {
        builder.flag(path, value);
    }
    builder.check_together();
    builder.errors.sort();
    if builder.errors.is_empty() { Ok(builder.config) } else { Err(builder.errors) }
}

struct Builder {
    config: Config,
    errors: Vec<Located>,
    /// Where each setting was last given.
    places: HashMap<&'static str, Place>,
}

impl Builder {
    fn defaults(&mut self) {
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            self.set(setting, Written::Words(setting.default), Place::Default);
        }
    }

    fn set(&mut self, setting: &Setting, written: Written<'_>, place: Place) {
        if let Err(problem) = (setting.read)(written, &mut self.config) {
            self.wrong(place.clone(), setting.path, problem);
        }
        self.places.insert(setting.path, place);
    }

    fn wrong(&mut self, place: Place, field: &str, problem: impl Into<String>) {
        self.errors.push(Located { place, field: field.to_owned(), problem: problem.into() });
    }

    fn file(&mut self, name: &str, text: &str) {
        let lines = Lines::new(name, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // What a broken text means is a guess; its values are not judged until it can be read.
            self.errors.extend(errors.iter().map(|error| syntax_error(&lines, error)));
            return;
        }
        self.table(&lines, "", table.get_ref());
    }

    fn table(&mut self, lines: &Lines, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table.iter() {
            let path = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let place = lines.place(value.span().start);
            let is_section = SETTINGS.iter().any(|setting| within(setting.path, &path));
            match (find(&path), value.get_ref()) {
                (Some(setting), value) => self.set(setting, Written::Toml(value), place),
                (None, DeValue::Table(table)) if is_section => self.table(lines, &path, table),
                (None, _) if is_section => {
                    self.wrong(
                        place,
                        &path,
                        format!("it is a section; write `[{path}]` and its settings below"),
                    );
                }
                (None, _) => self.wrong(lines.place(key.span().start), &path, unknown(&path)),
            }
        }
    }

    fn environment(&mut self, name: &str, value: &str) {
        let Some(rest) = name.strip_prefix("TOLLGATE_").filter(|rest| rest.contains("__")) else { return };
        let path = rest.replace("__", ".").to_ascii_lowercase();
        let place = Place::Environment(name.to_owned());
        match find(&path) {
            Some(setting) => self.set(setting, Written::Words(value), place),
            None => self.wrong(place, &path, unknown(&path)),
        }
    }

    fn flag(&mut self, path: &str, value: &str) {
        let place = Place::Flag(format!("--set {path}"));
        match find(path) {
            Some(setting) => self.set(setting, Written::Words(value), place),
            None => self.wrong(place, path, unknown(path)),
        }
    }

    /// Rules that take more than one setting to check.
    fn check_together(&mut self) {
        let pairs =
            [("gateway.tls.cert", "gateway.tls.key"), ("service_api.tls.cert", "service_api.tls.key")];
        for (one, other) in pairs.into_iter().flat_map(|(cert, key)| [(cert, key), (key, cert)]) {
            if self.places.contains_key(one) && !self.places.contains_key(other) {
                let problem = format!("it needs `{other}` beside it; give both, or none for plain HTTP");
                self.wrong_at(one, &problem);
            }
        }
        let together = people::TOGETHER.iter().chain(smtp::TOGETHER).chain(events::TOGETHER);
        for (one, other) in together.chain(influx::TOGETHER).chain(super::topics::TOGETHER) {
            if self.places.contains_key(one) && !self.places.contains_key(other) {
                self.wrong_at(
                    one,
                    &format!("it needs `{other}` beside it; give both, or none of the section"),
                );
            }
        }
        let listens = [
            ("gateway.listen", self.config.gateway.listener.listen),
            ("service_api.listen", self.config.service_api.listen),
            ("control.listen", self.config.control.listen),
        ];
        for (index, (path, address)) in listens.iter().enumerate() {
            let taken = listens.iter().take(index).find(|(_, other)| other == address && address.port() != 0);
            if let Some((other, _)) = taken {
                self.wrong_at(
                    path,
                    &format!("`{address}` is the address of `{other}` too; give each its own"),
                );
            }
        }
        if let Some((path, problem)) = self.config.events.kafka.problem() {
            self.wrong_at(path, problem);
        }
        if let Some((path, problem)) = self.config.influx.problem() {
            self.wrong_at(path, problem);
        }
        if let Some(problem) = self.config.smtp.problem() {
            self.wrong_at("smtp.security", problem);
        }
        if self.config.feed.lease <= self.config.feed.poll * 3 {
            self.wrong_at(
                "feed.lease",
                "it must be more than three times `feed.poll`, or one late answer closes the gateway",
            );
        }
    }

    fn wrong_at(&mut self, path: &str, problem: &str) {
        let place = self.places.get(path).cloned().unwrap_or(Place::Default);
        self.wrong(place, path, problem);
    }
}

fn find(path: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.path == path)
}

/// Whether `path` is a section that holds the setting.
fn within(setting: &str, path: &str) -> bool {
    setting.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'))
}

fn unknown(path: &str) -> String {
    if let Some(near) = nearest(path, SETTINGS.iter().map(|setting| setting.path)) {
        return format!("there is no such setting; did you mean `{near}`?");
    }
    let section = path.split('.').next().unwrap_or(path);
    let siblings: Vec<&str> =
        SETTINGS.iter().map(|setting| setting.path).filter(|other| within(other, section)).collect();
    if siblings.is_empty() {
        let mut sections: Vec<&str> =
            SETTINGS.iter().filter_map(|setting| setting.path.split('.').next()).collect();
        sections.dedup();
        return format!(
            "there is no section `{section}` in this version; sections are {}",
            sections.join(", ")
        );
    }
    format!("there is no such setting; `{section}` has {}", siblings.join(", "))
}

/// A syntax error of TOML with its place.
pub(crate) fn syntax_error(lines: &Lines, error: &toml::de::Error) -> Located {
    let at = error.span().map_or(0, |span| span.start);
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    Located {
        place: lines.place(at),
        field: String::new(),
        problem: format!("this is not TOML: {message}; correct it (https://toml.io shows the syntax)"),
    }
}

/// A configuration before its defaults: every field is set by a setting's default or is optional.
fn blank(data_dir: PathBuf) -> Config {
    let listener =
        || Listener { listen: SocketAddr::from(([127, 0, 0, 1], 0)), tls_cert: None, tls_key: None };
    Config {
        gateway: Gateway {
            listener: listener(),
            threads: 0,
            public_url: None,
            trusted_proxies: Vec::new(),
            connections_max: 0,
            connections_per_ip_max: 0,
            head_bytes_max: 0,
            body_bytes_max: 0,
            head_timeout: Duration::ZERO,
            keep_alive_idle: Duration::ZERO,
            body_idle: Duration::ZERO,
            body_rate_min: 0,
            held_body_timeout: Duration::ZERO,
            write_idle: Duration::ZERO,
            write_rate_min: 0,
            tunnel_idle: Duration::ZERO,
            bad_keys_per_minute: 0,
            upstream_connections_max: 0,
            slow_hash_threads: 0,
            drain_timeout: Duration::ZERO,
        },
        service_api: listener(),
        control: listener(),
        people: people::People::default(),
        smtp: smtp::Smtp::default(),
        audit: audit::Audit::default(),
        reminders: reminders::Reminders::default(),
        events: events::Events::default(),
        topics: super::topics::Topics::default(),
        webhooks: super::webhooks::Webhooks::default(),
        upstreams: super::upstreams::Upstreams::default(),
        influx: influx::Influx::default(),
        redis: super::redis::Redis::default(),
        secrets: secrets::Secrets::default(),
        assertion: Assertion::default(),
        database: Database { url: None, connections_max: 0 },
        journal: Journal::default(),
        retention: Retention::default(),
        feed: Feed::default(),
        log: Log::default(),
        data_dir,
    }
}
