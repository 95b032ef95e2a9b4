//! The owner of `init`, signed in at the control listener of the real binary: calls of the admin API, forms
//! of the console, and every body that was answered.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde_json::{Value, json};
use tollgate_testkit::Tollgate;
use tollgate_testkit::http::{Call, Reply};

/// Where the admin API is.
pub(crate) const BASE: &str = "/api/admin/v1";

/// The owner, signed in.
pub(crate) struct Owner<'n> {
    node: &'n Tollgate,
    cookie: String,
    csrf: String,
    /// Every body that was received.
    pub(crate) bodies: Mutex<Vec<String>>,
}

impl<'n> Owner<'n> {
    pub(crate) async fn sign_in(node: &'n Tollgate) -> Self {
        let body = json!({ "email": "owner@example.com", "password": "correct horse battery staple" });
        let answer = Call::post(&format!("{BASE}/session"), &body).send(node.control()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").and_then(|cookie| cookie.split(';').next());
        let cookie = cookie.expect("a cookie").to_owned();
        let csrf = answer.json()["csrf_token"].as_str().expect("a token").to_owned();
        Self { node, cookie, csrf, bodies: Mutex::default() }
    }

    pub(crate) async fn send(&self, call: Call) -> Reply {
        let call = call.header("cookie", &self.cookie).header("x-csrf-token", &self.csrf);
        let reply = call.send(self.node.control()).await;
        self.bodies.lock().expect("no panic").push(reply.text());
        reply
    }

    /// A call of the admin API.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(Call::get(&format!("{BASE}{path}"))).await
    }

    /// A call of the admin API.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(Call::post(&format!("{BASE}{path}"), &body)).await
    }

    /// A page of the console.
    pub(crate) async fn page(&self, path: &str) -> Reply {
        self.send(Call::get(path).header("accept", "text/html")).await
    }

    /// A form of the console, with the fields that its page hides in it.
    pub(crate) async fn form(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Reply {
        let shown = self.page(page).await;
        assert_eq!(shown.status, 200, "{page}: {}", shown.text());
        let once = hidden(&shown.text(), "once");
        let mut pairs = vec![("csrf_token", self.csrf.as_str()), ("once", once.as_str())];
        pairs.extend_from_slice(fields);
        let body: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let call = Call::new("POST", action)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &format!("http://{}", self.node.control()))
            .header("sec-fetch-site", "same-origin")
            .body(body.join("&"));
        self.send(call).await
    }
}

/// The words of a text that begin like a key of the project and have its length.
pub(crate) fn keys_in(body: &str) -> BTreeSet<String> {
    body.split(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_'))
        .filter(|word| word.starts_with("mbk_live_") && word.len() == "mbk_live_".len() + 32)
        .map(str::to_owned)
        .collect()
}

/// The value of a hidden field; empty when there is none.
fn hidden(page: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    let value = page.split_once(&field).and_then(|(_, rest)| rest.split_once('"'));
    value.map(|(value, _)| value.to_owned()).unwrap_or_default()
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
