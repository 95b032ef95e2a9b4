//! What a page did besides showing itself: what it logged, whom it asked, what it was answered.

use serde_json::Value;

/// An answer that a page was given.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The address.
    pub url: String,
    /// The status.
    pub status: u16,
    /// What it was for, in Chromium's words: `Document`, `Stylesheet`, `Script`, `Fetch`, …
    pub kind: String,
    /// The header `Cache-Control`, empty when there was none.
    pub cache_control: String,
}

/// Everything noted of one tab.
#[derive(Debug)]
pub(super) struct Watch {
    home: String,
    /// Origins whose own pages a person is sent to and comes back from.
    ways: Vec<String>,
    /// What must not be.
    pub(super) problems: Vec<String>,
    /// Answers in the order they came.
    pub(super) answers: Vec<Answer>,
}

impl Watch {
    /// `home` is the only origin that may be asked, e.g. `http://127.0.0.1:8081`.
    pub(super) fn of(home: &str) -> Self {
        Self { home: home.to_owned(), ways: Vec::new(), problems: Vec::new(), answers: Vec::new() }
    }

    /// Lets a person go through the pages of another origin. What these do is their business.
    pub(super) fn allow(&mut self, origin: &str) {
        self.ways.push(origin.to_owned());
    }

    /// Whether an address is of a page that is not ours.
    fn is_elsewhere(&self, url: &str) -> bool {
        self.ways.iter().any(|origin| is_of(origin, url))
    }

    /// Takes in one event.
    pub(super) fn note(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => self.problems.push(format!(
                "a script failed: {}",
                parameters["exceptionDetails"]["exception"]["description"]
            )),
            "Runtime.consoleAPICalled" => {
                let kind = parameters["type"].as_str().unwrap_or_default();
                if matches!(kind, "error" | "warning" | "assert") {
                    self.problems.push(format!("the page logged ({kind}): {}", parameters["args"]));
                }
            }
            "Log.entryAdded" => self.logged(&parameters["entry"]),
            "Network.requestWillBeSent" => self.asked(parameters),
            "Network.responseReceived" => self.answered(parameters),
            _ => {}
        }
    }

    /// Chromium's own log: broken policies are here. That a page was refused is not trouble in itself; what a page
    /// needs and does not get is found by its status.
    fn logged(&mut self, entry: &Value) {
        let is_bad = matches!(entry["level"].as_str(), Some("error" | "warning"));
        let is_elsewhere = self.is_elsewhere(entry["url"].as_str().unwrap_or_default());
        if is_bad && entry["source"] != "network" && !is_elsewhere {
            self.problems.push(format!("the browser logged: {} {}", entry["source"], entry["text"]));
        }
    }

    fn asked(&mut self, parameters: &Value) {
        let by = parameters["documentURL"].as_str().unwrap_or_default();
        if by.starts_with("chrome-error:") {
            // The browser's own page, where it does not show one again.
            return;
        }
        let url = parameters["request"]["url"].as_str().unwrap_or_default();
        if self.is_elsewhere(by) && (self.is_elsewhere(url) || parameters["type"] != "Document") {
            return;
        }
        let own = is_of(&self.home, url);
        if !own && !url.starts_with("about:") {
            self.problems.push(format!("another host was asked: {url}"));
        }
    }

    fn answered(&mut self, parameters: &Value) {
        let response = &parameters["response"];
        let headers = response["headers"].as_object();
        let cache_control = headers.and_then(|all| {
            all.iter().find(|(name, _)| name.eq_ignore_ascii_case("cache-control")).map(|(_, value)| value)
        });
        let answer = Answer {
            url: response["url"].as_str().unwrap_or_default().to_owned(),
            status: u16::try_from(response["status"].as_u64().unwrap_or_default()).unwrap_or_default(),
            kind: parameters["type"].as_str().unwrap_or_default().to_owned(),
            cache_control: cache_control.and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        if answer.kind != "Document" && answer.status >= 400 && is_of(&self.home, &answer.url) {
            self.problems.push(format!("a part of the page is missing: {answer:?}"));
        }
        let is_asset = answer.url.contains("/assets/");
        if answer.url.starts_with(&self.home) && !is_asset && !answer.cache_control.contains("no-store") {
            self.problems.push(format!("a page may be kept by the browser: {answer:?}"));
        }
        self.answers.push(answer);
    }
}

/// Whether an address is of an origin.
fn is_of(origin: &str, url: &str) -> bool {
    url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
}
