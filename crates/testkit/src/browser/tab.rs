//! One page in a profile of its own: opening, reading, waiting for states, pictures.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Browser;
use super::watch::{Answer, Watch};
use super::wire::Wire;

/// How long a state may take to come about on a loaded machine.
const STATE_MAX: Duration = Duration::from_secs(30);

/// Finds what is visible and fits `css >> words`: the first element of the selector whose text or name has the words.
pub(super) const FIND: &str = r#"
const find = selector => {
  const [css, words] = selector.split(" >> ");
  const plain = own => `${own.textContent} ${own.getAttribute("aria-label") ?? ""}`.replace(/\s+/g, " ");
  const isShown = own => own.getClientRects().length > 0 && getComputedStyle(own).visibility === "visible";
  return [...document.querySelectorAll(css)].find(own => isShown(own) && (!words || plain(own).includes(words)));
};
"#;

/// The size of the window, and how the person has set up their system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Screen {
    /// CSS pixels across.
    pub width: u32,
    /// CSS pixels down.
    pub height: u32,
    /// Whether the system prefers dark.
    pub is_dark: bool,
    /// Whether scripts of the page run.
    pub has_script: bool,
}

impl Screen {
    /// A desk: 1280 pixels across, light.
    pub const DESK: Self = Self { width: 1280, height: 900, is_dark: false, has_script: true };
    /// A phone: 390 pixels across, light.
    pub const PHONE: Self = Self { width: 390, height: 844, is_dark: false, has_script: true };

    /// The same in the dark.
    #[must_use]
    pub const fn dark(self) -> Self {
        Self { is_dark: true, ..self }
    }

    /// The same without scripts.
    #[must_use]
    pub const fn without_script(self) -> Self {
        Self { has_script: false, ..self }
    }
}

/// What has the focus.
#[derive(Clone, Debug)]
pub struct Focus {
    /// The element: its name, `#id` and `[name]` or address, with its text.
    pub what: String,
    /// Whether the browser shows that it has the focus.
    pub is_shown: bool,
}

/// One page in a profile of its own. Dropping it panics when the page did what no page may do.
#[derive(Debug)]
pub struct Tab {
    wire: Wire,
    session: String,
    context: String,
    pub(super) home: String,
    pub(super) watch: Watch,
    pub(super) screen: Screen,
    /// How many pages were left.
    left: u32,
    // Keeps Chromium running.
    _browser: Arc<Browser>,
}

impl Tab {
    pub(super) fn open(browser: Arc<Browser>, home: &str, screen: Screen) -> Self {
        let mut wire = Wire::open(browser.port, &browser.path);
        let mut of_browser = |method: &str, parameters: &Value| {
            wire.call(None, method, parameters).unwrap_or_else(|error| panic!("{error}"))
        };
        let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
        let context = of_browser("Target.createBrowserContext", &json!({ "disposeOnDetach": true }));
        let context = text(&context, "browserContextId");
        let target =
            of_browser("Target.createTarget", &json!({ "url": "about:blank", "browserContextId": context }));
        let target = text(&target, "targetId");
        let attached = of_browser("Target.attachToTarget", &json!({ "targetId": target, "flatten": true }));
        let session = text(&attached, "sessionId");
        let permissions = ["clipboardReadWrite", "clipboardSanitizedWrite"];
        of_browser(
            "Browser.grantPermissions",
            &json!({ "permissions": permissions, "browserContextId": context, "origin": home }),
        );
        let mut tab = Self {
            wire,
            session,
            context,
            home: home.to_owned(),
            watch: Watch::of(home),
            screen,
            left: 0,
            _browser: browser,
        };
        for domain in ["Page", "Runtime", "Log", "Network"] {
            tab.must(&format!("{domain}.enable"), &json!({}));
        }
        tab.must("Emulation.setTimezoneOverride", &json!({ "timezoneId": "Europe/Berlin" }));
        tab.must("Emulation.setLocaleOverride", &json!({ "locale": "en-GB" }));
        tab.must("Emulation.setFocusEmulationEnabled", &json!({ "enabled": true }));
        tab.look(screen);
        tab
    }

    /// Sets size, theme and scripts, from the next page on.
    pub fn look(&mut self, screen: Screen) {
        self.screen = screen;
        let Screen { width, height, is_dark, has_script } = screen;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800 });
        self.must("Emulation.setDeviceMetricsOverride", &size);
        let theme =
            json!({ "name": "prefers-color-scheme", "value": if is_dark { "dark" } else { "light" } });
        let calm = json!({ "name": "prefers-reduced-motion", "value": "reduce" });
        self.must("Emulation.setEmulatedMedia", &json!({ "features": [theme, calm] }));
        self.must("Emulation.setScriptExecutionDisabled", &json!({ "value": !has_script }));
    }

    /// Lets the person go through the pages of another origin, such as those of an identity provider.
    pub fn may_go_to(&mut self, origin: &str) {
        self.watch.allow(origin);
    }

    /// Opens a path of the home host and waits until the page is there.
    #[track_caller]
    pub fn open_path(&mut self, path: &str) {
        let url = format!("{}{path}", self.home);
        self.leave(|tab| {
            let answer = tab.must("Page.navigate", &json!({ "url": url }));
            assert!(answer["errorText"].is_null(), "{url}: {answer}");
        });
    }

    /// Does what leads to another page (or the same anew) and waits until it is there.
    #[track_caller]
    pub fn leave(&mut self, act: impl FnOnce(&mut Self)) {
        // A page that the browser kept and shows again has the number of an earlier time.
        self.left += 1;
        let number = self.left;
        let _ = self.ask("number => { window.tollgateLeft = number; }", &[json!(number)]);
        act(self);
        self.wait("the next page", |tab| {
            let there = "number => window.tollgateLeft !== number && document.readyState === 'complete'";
            tab.ask(there, &[json!(number)]).is_some_and(|there| there == true).then_some(())
        });
        self.examine();
    }

    /// Loads the page again, as a person would.
    #[track_caller]
    pub fn reload(&mut self) {
        self.leave(|tab| {
            tab.must("Page.reload", &json!({}));
        });
    }

    /// Goes back one page, as a person would.
    #[track_caller]
    pub fn back(&mut self) {
        let history = self.must("Page.getNavigationHistory", &json!({}));
        let index = history["currentIndex"].as_u64().and_then(|index| index.checked_sub(1));
        let index = index.and_then(|index| usize::try_from(index).ok()).expect("a page before this one");
        let entry = history["entries"][index]["id"].clone();
        self.leave(|tab| {
            tab.must("Page.navigateToHistoryEntry", &json!({ "entryId": entry }));
        });
    }

    /// Everything that the browser remembers of where this tab was: addresses and titles.
    pub fn history(&mut self) -> String {
        let history = self.must("Page.getNavigationHistory", &json!({}));
        let entries = history["entries"].as_array().map_or(&[][..], Vec::as_slice);
        entries.iter().map(|entry| format!("{} {}\n", entry["url"], entry["title"])).collect()
    }

    /// What pages keep in the browser: cookies that scripts see, and both storages.
    pub fn kept(&mut self) -> String {
        let all =
            "() => document.cookie + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage})";
        // The browser's own page, where it cannot show one again, has no storage.
        self.text_of(all)
    }

    /// The whole page as it stands.
    pub fn html(&mut self) -> String {
        self.text_of("() => document.documentElement.outerHTML")
    }

    /// Path and query of the page.
    pub fn path(&mut self) -> String {
        self.text_of("() => location.pathname + location.search")
    }

    /// Waits until something that fits is visible, and returns its text (see [`Tab`] for `css >> words`).
    #[track_caller]
    pub fn sees(&mut self, selector: &str) -> String {
        let look = format!(
            "selector => {{ {FIND} const own = find(selector); return own ? (typeof own.value === 'string' ? own.value : own.textContent) : null; }}"
        );
        self.wait(selector, |tab| {
            let found = tab.ask(&look, &[json!(selector)])?;
            found.as_str().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        })
    }

    /// Waits until something that fits is visible, and returns its text or value as it stands.
    #[track_caller]
    pub fn exact(&mut self, selector: &str) -> String {
        self.sees(selector);
        let look = format!(
            "selector => {{ {FIND} const own = find(selector); return typeof own.value === 'string' ? own.value : own.textContent; }}"
        );
        let text = self.ask(&look, &[json!(selector)]).unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Whether something that fits is disabled; nothing when it is not there.
    pub fn disabled(&mut self, selector: &str) -> Option<bool> {
        let look = format!("selector => {{ {FIND} return find(selector)?.disabled ?? null; }}");
        self.ask(&look, &[json!(selector)]).and_then(|disabled| disabled.as_bool())
    }

    /// The colour behind the page.
    pub fn background(&mut self) -> String {
        self.text_of("() => getComputedStyle(document.body).backgroundColor")
    }

    /// What is on the clipboard.
    ///
    /// # Panics
    /// When the browser does not tell.
    pub fn clipboard(&mut self) -> String {
        let text = self.evaluate("navigator.clipboard.readText()", true);
        text.unwrap_or_else(|error| panic!("no clipboard: {error}")).as_str().unwrap_or_default().to_owned()
    }

    /// The body of an address, asked for as the page's own scripts would.
    ///
    /// # Panics
    /// When there is no whole answer.
    pub fn fetch(&mut self, path: &str) -> String {
        let expression = format!("fetch({}).then(answer => answer.text())", json!(path));
        let text = self.evaluate(&expression, true);
        text.unwrap_or_else(|error| panic!("{path}: {error}")).as_str().unwrap_or_default().to_owned()
    }

    /// What an asynchronous function of JavaScript makes of a text.
    ///
    /// # Panics
    /// When it fails.
    pub fn promise(&mut self, function: &str, text: &str) -> String {
        let made = self.evaluate(&format!("({function})({})", json!(text)), true);
        made.unwrap_or_else(|error| panic!("{error}")).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the address is this path, with any query.
    #[track_caller]
    pub fn is_at(&mut self, path: &str) {
        self.wait(&format!("the path {path}"), |tab| {
            let here = tab.ask("() => location.pathname", &[])?;
            (here == path).then_some(())
        });
    }

    /// How many visible elements fit a selector, now.
    pub fn count(&mut self, css: &str) -> usize {
        let look =
            "css => [...document.querySelectorAll(css)].filter(own => own.getClientRects().length).length";
        let count = self.ask(look, &[json!(css)]).and_then(|count| count.as_u64()).unwrap_or_default();
        usize::try_from(count).unwrap_or_default()
    }

    /// An attribute of the first element that fits, empty when it has none.
    #[track_caller]
    pub fn attribute(&mut self, selector: &str, name: &str) -> String {
        let look =
            format!("(selector, name) => {{ {FIND} return find(selector)?.getAttribute(name) ?? ''; }}");
        self.sees(selector);
        let value = self.ask(&look, &[json!(selector), json!(name)]).unwrap_or_default();
        value.as_str().unwrap_or_default().to_owned()
    }

    /// What has the focus.
    pub fn focus(&mut self) -> Focus {
        let look = r##"() => {
          const own = document.activeElement ?? document.body;
          const shown = own.closest("label") ?? own;
          const style = [own, shown].map(part => getComputedStyle(part));
          const words = (own.textContent || own.getAttribute("aria-label") || "").replace(/\s+/g, " ").trim().slice(0, 60);
          return { what: `${own.localName}${own.id ? "#" + own.id : ""}[${own.getAttribute("name") ?? own.getAttribute("href") ?? ""}] ${words}`,
            shown: style.some(part => part.outlineStyle !== "none" && parseFloat(part.outlineWidth) >= 1) };
        }"##;
        let found = self.ask(look, &[]).unwrap_or_default();
        Focus {
            what: found["what"].as_str().unwrap_or_default().to_owned(),
            is_shown: found["shown"] == true,
        }
    }

    /// How many pixels the page is wider than the window.
    pub fn overflow(&mut self) -> i64 {
        let wide = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth";
        self.ask(wide, &[]).and_then(|wide| wide.as_i64()).expect("the width of the page")
    }

    /// A picture of the window as PNG.
    pub fn picture(&mut self) -> Vec<u8> {
        let answer = self.must("Page.captureScreenshot", &json!({ "format": "png" }));
        base64(answer["data"].as_str().unwrap_or_default())
    }

    /// A picture of the whole page as PNG, also of what one would have to scroll to.
    pub fn whole_picture(&mut self) -> Vec<u8> {
        let size = self.must("Page.getLayoutMetrics", &json!({}))["cssContentSize"].clone();
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let parameters = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.must("Page.captureScreenshot", &parameters);
        base64(answer["data"].as_str().unwrap_or_default())
    }

    /// Answers that this tab was given so far.
    pub fn answers(&mut self) -> &[Answer] {
        self.take_in();
        &self.watch.answers
    }

    /// Problems noted so far, which are then forgotten: for a test that makes some.
    pub fn take_problems(&mut self) -> Vec<String> {
        self.take_in();
        std::mem::take(&mut self.watch.problems)
    }

    /// Waits until a look at the page finds something.
    ///
    /// # Panics
    /// When it does not in time; the message says what the page shows instead.
    #[track_caller]
    pub fn wait<T>(&mut self, what: &str, mut look: impl FnMut(&mut Self) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            self.take_in();
            if start.elapsed() > STATE_MAX {
                let at = self.path();
                let shows = self.text_of("() => document.body.innerText.slice(0, 3000)");
                let problems = &self.watch.problems;
                panic!(
                    "not within {STATE_MAX:?}: {what}\nat {at}\nproblems: {problems:#?}\nthe page:\n{shows}"
                );
            }
        }
    }

    /// Calls a function of JavaScript in the page; nothing while a page is being replaced by another.
    pub fn ask(&mut self, function: &str, arguments: &[Value]) -> Option<Value> {
        let arguments: Vec<String> = arguments.iter().map(Value::to_string).collect();
        self.evaluate(&format!("({function})({})", arguments.join(",")), false).ok()
    }

    pub(super) fn evaluate(&mut self, expression: &str, is_promise: bool) -> Result<Value, String> {
        let parameters = json!({ "expression": expression, "returnByValue": true, "awaitPromise": is_promise, "userGesture": true });
        let answer = self.call("Runtime.evaluate", &parameters)?;
        match answer.get("exceptionDetails") {
            Some(thrown) => Err(thrown.to_string()),
            None => Ok(answer["result"]["value"].clone()),
        }
    }

    #[track_caller]
    pub(super) fn must(&mut self, method: &str, parameters: &Value) -> Value {
        self.call(method, parameters).unwrap_or_else(|error| panic!("{error}"))
    }

    fn call(&mut self, method: &str, parameters: &Value) -> Result<Value, String> {
        let answer = self.wire.call(Some(&self.session), method, parameters);
        self.wire.kept().iter().for_each(|event| self.watch.note(event));
        answer
    }

    fn take_in(&mut self) {
        self.wire.events().iter().for_each(|event| self.watch.note(event));
    }

    pub(super) fn text_of(&mut self, function: &str) -> String {
        let text = self.ask(function, &[]).unwrap_or_default();
        text.as_str().unwrap_or_default().to_owned()
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.take_in();
        let _ = self.wire.call(
            None,
            "Target.disposeBrowserContext",
            &json!({ "browserContextId": self.context }),
        );
        assert!(
            self.watch.problems.is_empty(),
            "the pages of a test must not do this: {:#?}",
            self.watch.problems
        );
    }
}

/// Decodes base64 (RFC 4648, padded) as Chromium writes it.
fn base64(text: &str) -> Vec<u8> {
    let value = |sign: u8| match sign {
        b'A'..=b'Z' => Some(u32::from(sign - b'A')),
        b'a'..=b'z' => Some(u32::from(sign - b'a') + 26),
        b'0'..=b'9' => Some(u32::from(sign - b'0') + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let signs: Vec<u32> = text.bytes().filter_map(value).collect();
    let mut bytes = Vec::with_capacity(signs.len() * 3 / 4);
    for four in signs.chunks(4) {
        let joined = four.iter().fold(0, |joined, sign| (joined << 6) | sign) << (6 * (4 - four.len()));
        bytes.extend(joined.to_be_bytes().into_iter().skip(1).take(four.len() - 1));
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_is_read_with_every_length_of_its_end() {
        assert_eq!(base64("Zm9vYmFy"), b"foobar");
        assert_eq!(base64("Zm9vYmE="), b"fooba");
        assert_eq!(base64("Zm9vYg=="), b"foob");
        assert_eq!(base64(""), b"");
    }
}
