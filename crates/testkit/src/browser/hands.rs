//! What hands do: point and click, type into fields, press keys.

use serde_json::json;

use super::keyboard::strokes;
use super::tab::{FIND, Tab};

/// How many presses of Tab lead anywhere on a page.
const TABS_MAX: usize = 250;

impl Tab {
    /// Clicks the first visible thing that fits `css >> words`, with the mouse, in its middle.
    ///
    /// # Panics
    /// When there is none, when it stays disabled, or when something lies over it.
    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        let aim = format!(
            r#"selector => {{
              {FIND}
              const own = find(selector);
              if (!own || own.disabled) return null;
              own.scrollIntoView({{ block: "center", inline: "nearest", behavior: "instant" }});
              const box = own.getClientRects()[0];
              const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
              const hit = document.elementFromPoint(x, y);
              const isHit = hit && (own.contains(hit) || hit.contains(own) && hit.closest("label,a,button,summary"));
              return isHit ? [x, y] : null;
            }}"#
        );
        let point = self.wait(&format!("a place to click: {selector}"), |tab| {
            let point = tab.ask(&aim, &[json!(selector)])?;
            Some((point.get(0)?.as_f64()?, point.get(1)?.as_f64()?))
        });
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            let button = if kind == "mouseMoved" { "none" } else { "left" };
            let event =
                json!({ "type": kind, "x": point.0, "y": point.1, "button": button, "clickCount": 1 });
            self.must("Input.dispatchMouseEvent", &event);
        }
    }

    /// Clicks what leads to another page and waits until it is there.
    #[track_caller]
    pub fn follow(&mut self, selector: &str) {
        self.leave(|tab| tab.click(selector));
    }

    /// Puts text into a field in place of what it had.
    #[track_caller]
    pub fn fill(&mut self, selector: &str, text: &str) {
        let focus = format!(
            "selector => {{ {FIND} const own = find(selector); if (!own) return false; own.focus(); own.select(); return true; }}"
        );
        self.wait(&format!("a field: {selector}"), |tab| {
            tab.ask(&focus, &[json!(selector)]).is_some_and(|found| found == true).then_some(())
        });
        if text.is_empty() {
            self.press("Backspace");
        } else {
            self.must("Input.insertText", &json!({ "text": text }));
        }
    }

    /// Chooses an option of a `select` by its value.
    #[track_caller]
    pub fn choose(&mut self, selector: &str, value: &str) {
        let choose = format!(
            r#"(selector, value) => {{
              {FIND}
              const own = find(selector);
              if (!own || ![...own.options].some(option => option.value === value)) return false;
              own.value = value;
              own.dispatchEvent(new Event("input", {{ bubbles: true }}));
              own.dispatchEvent(new Event("change", {{ bubbles: true }}));
              return true;
            }}"#
        );
        self.wait(&format!("the choice {value} of {selector}"), |tab| {
            tab.ask(&choose, &[json!(selector), json!(value)]).is_some_and(|done| done == true).then_some(())
        });
    }

    /// Scrolls until something stands at the top of the window.
    #[track_caller]
    pub fn scroll_to(&mut self, selector: &str) {
        self.sees(selector);
        let scroll = format!(
            "selector => {{ {FIND} find(selector).scrollIntoView({{ block: 'start', behavior: 'instant' }}); }}"
        );
        let _ = self.ask(&scroll, &[json!(selector)]);
    }

    /// Presses one key: a character, or `Enter`, `Tab`, `Shift+Tab`, `Escape`, `Space`, …
    pub fn press(&mut self, key: &str) {
        for stroke in strokes(key) {
            self.must("Input.dispatchKeyEvent", &stroke);
        }
    }

    /// Presses the keys of a text one after the other, into whatever has the focus.
    pub fn type_text(&mut self, text: &str) {
        for sign in text.chars() {
            if sign == ' ' { self.press("Space") } else { self.press(sign.encode_utf8(&mut [0; 4])) }
        }
    }

    /// Presses Tab until what has the focus fits `css >> words`, and looks that every stop on the way is visible.
    ///
    /// # Panics
    /// When no number of presses leads there, or a stop does not show that it has the focus.
    #[track_caller]
    pub fn tab_to(&mut self, selector: &str) {
        let fits = r#"selector => {
          const [css, words] = selector.split(" >> ");
          const own = document.activeElement;
          const text = `${own.textContent} ${own.getAttribute("aria-label") ?? ""}`.replace(/\s+/g, " ");
          return own.matches(css) && (!words || text.includes(words));
        }"#;
        let mut way = Vec::new();
        for _ in 0..TABS_MAX {
            if self.ask(fits, &[json!(selector)]).is_some_and(|fits| fits == true) {
                return;
            }
            self.press("Tab");
            let stop = self.focus();
            assert!(stop.is_shown || stop.what.starts_with("body"), "no visible focus on {}", stop.what);
            way.push(stop.what);
        }
        panic!("Tab does not lead to {selector}; it led to {way:#?}");
    }
}
