//! What people do in the console with accounts and membership: coming in, the own account, members, and the
//! pages of a consumer's own people. Over a real socket, without a script, as a browser posts forms.

mod account;
mod dashboards;
mod doors;
mod members;
mod own;
mod records;

use std::{collections::BTreeMap, net::SocketAddr};

use tollgate_testkit::http::Call;

/// A browser that keeps its cookies, and of each page the token of its forms.
pub(crate) struct Pages {
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
    csrf: String,
}

/// A page, or where one is led.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Page {
    /// The value of a field of a form.
    pub(crate) fn field(&self, name: &str) -> String {
        let rest = self.text.split_once(&format!("name=\"{name}\" value=\""));
        let value = rest.and_then(|(_, rest)| rest.split('"').next());
        value.unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn has(&self, text: &str) -> &Self {
        assert!(self.text.contains(text), "no `{text}` in {} {}: {}", self.status, self.to, self.text);
        self
    }

    #[track_caller]
    pub(crate) fn lacks(&self, text: &str) -> &Self {
        assert!(!self.text.contains(text), "`{text}` in {}", self.text);
        self
    }

    #[track_caller]
    pub(crate) fn leads(&self, to: &str) {
        assert_eq!((self.status, self.to.as_str()), (303, to), "{}", self.text);
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{} {}", self.to, self.text);
        self
    }
}

impl Pages {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self { address, cookies: BTreeMap::new(), csrf: String::new() }
    }

    /// One in which somebody is signed in by password.
    pub(crate) async fn of(address: SocketAddr, email: &str, password: &str) -> Self {
        let mut pages = Self::new(address);
        let fields = [("email", email), ("password", password), ("next", "/account")];
        pages.post("/sign-in", &fields).await.leads("/account");
        pages.get("/account").await.is(200);
        pages
    }

    /// One with the session of somebody, by the lines that make a request theirs.
    pub(crate) fn with(address: SocketAddr, headers: [String; 2]) -> Self {
        let [cookie, csrf] = headers;
        let mut pages = Self::new(address);
        let (name, value) = cookie.trim_start_matches("Cookie: ").split_once('=').unwrap();
        pages.cookies.insert(name.to_owned(), value.to_owned());
        csrf.trim_start_matches("X-CSRF-Token: ").clone_into(&mut pages.csrf);
        pages
    }

    pub(crate) fn is_signed_in(&self) -> bool {
        self.cookies.contains_key("__Host-tollgate")
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.ask(Call::get(path)).await
    }

    /// Posts a form, with the token of the session.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.csrf.clone();
        let all = fields.iter().copied().chain([("csrf_token", csrf.as_str())]);
        let body: Vec<String> = all.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let call = Call::new("POST", path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin")
            .body(body.join("&"));
        self.ask(call).await
    }

    async fn ask(&mut self, call: Call) -> Page {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let call = if cookies.is_empty() { call } else { call.header("cookie", &cookies.join("; ")) };
        let reply = call.send(self.address).await;
        for cookie in reply.headers.get_all("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let page = Page {
            status: reply.status.as_u16(),
            to: reply.header("location").unwrap_or_default().to_owned(),
            text: reply.text(),
        };
        assert!(!page.text.contains(" style=") && !page.text.contains("data:"), "no exception to the policy");
        let csrf = page.field("csrf_token");
        if !csrf.is_empty() {
            self.csrf = csrf;
        }
        page
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
