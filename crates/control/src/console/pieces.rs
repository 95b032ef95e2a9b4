//! Pieces of HTML that pages are put together from, written so that a template only names them. What is
//! shown of the world is escaped here; nothing else of the console writes HTML outside of a template.

use std::fmt::Write as _;

use askama::filters::Safe;
use tollgate_core::{code::Code, key::KeyFace, keyring::KeyState};

use super::{shell::Shell, words};

/// HTML that is escaped already.
pub(crate) type Html = Safe<String>;

/// A number as templates lend it: by itself, by reference, or by a reference to one.
pub(crate) trait Lent<T> {
    /// The number.
    fn value(&self) -> T;
}

impl<T: Copy> Lent<T> for T {
    fn value(&self) -> T {
        *self
    }
}

impl<T: Copy> Lent<T> for &T {
    fn value(&self) -> T {
        **self
    }
}

impl<T: Copy> Lent<T> for &&T {
    fn value(&self) -> T {
        ***self
    }
}

/// What a request came to, as the pages group the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// Passed.
    Allowed,
    /// 429.
    Limited,
    /// 400 to 431, but for 429.
    Denied,
    /// Upstream or node could not.
    Upstream,
}

impl Outcome {
    /// All, in the order of legends.
    pub(crate) const ALL: [Self; 4] = [Self::Allowed, Self::Limited, Self::Denied, Self::Upstream];

    /// What a code counts as.
    pub(crate) const fn of(code: Code) -> Self {
        match code {
            Code::Valid => Self::Allowed,
            Code::RateLimited | Code::QuotaExhausted | Code::ConcurrencyExceeded | Code::TooManyBadKeys => {
                Self::Limited
            }
            Code::UpstreamUnreachable
            | Code::UpstreamTimeout
            | Code::AuthStale
            | Code::Overloaded
            | Code::ModelUnavailable => Self::Upstream,
            _ => Self::Denied,
        }
    }

    /// What an answer counts as: an upstream's own 5xx is an error, allowed or not.
    pub(crate) const fn of_answer(code: Code, status: u16) -> Self {
        match (Self::of(code), status) {
            (Self::Allowed, 500..) => Self::Upstream,
            (outcome, _) => outcome,
        }
    }

    /// The class, which is the icon too.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Limited => "limited",
            Self::Denied => "denied",
            Self::Upstream => "upstream",
        }
    }

    /// The word of legends.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "Allowed",
            Self::Limited => "Limited",
            Self::Denied => "Denied",
            Self::Upstream => "Upstream error",
        }
    }
}

impl Shell {
    /// A picture of the sprite; beside a word, so nobody reads it out.
    pub(crate) fn icon(&self, name: impl AsRef<str>) -> Html {
        Safe(picture(name.as_ref()))
    }

    /// A moment under a day as how long ago, with the exact one behind it.
    pub(crate) fn ago(&self, at_us: impl Lent<i64>) -> Html {
        let at_us = at_us.value();
        self.time(at_us, &words::past(at_us, self.now_us, &self.look.zone))
    }

    /// A moment.
    pub(crate) fn at(&self, at_us: impl Lent<i64>) -> Html {
        let at_us = at_us.value();
        self.time(at_us, &words::moment(at_us, self.now_us, &self.look.zone))
    }

    /// A day.
    pub(crate) fn day(&self, at_us: impl Lent<i64>) -> Html {
        let at_us = at_us.value();
        self.time(at_us, &words::day(at_us, self.now_us, &self.look.zone))
    }

    /// A moment in a list of events.
    pub(crate) fn instant(&self, at_us: impl Lent<i64>) -> Html {
        let at_us = at_us.value();
        self.time(at_us, &words::instant(at_us, &self.look.zone))
    }

    /// A moment that is to come: when, and in how long.
    pub(crate) fn due(&self, at_us: impl Lent<i64>) -> Html {
        let at_us = at_us.value();
        self.time(at_us, &words::deadline(at_us, self.now_us, &self.look.zone))
    }

    /// How long until a moment that is less than 30 days away: `in 6 days`.
    pub(crate) fn soon(&self, at_us: impl Lent<i64>) -> Option<String> {
        let left_us = at_us.value().saturating_sub(self.now_us);
        (0..30 * words::DAY_US).contains(&left_us).then(|| format!("in {}", words::span(left_us)))
    }

    fn time(&self, at_us: i64, text: &str) -> Html {
        let full = format!("{} {}", words::full(at_us, &self.look.zone), self.zone());
        let (exact, full, text) = (words::rfc3339(at_us), escaped(&full), escaped(text));
        Safe(format!("<time datetime=\"{exact}\" title=\"{full}\">{text}</time>"))
    }

    /// The zone that moments are written in.
    pub(crate) fn zone(&self) -> String {
        words::zone_name(self.now_us, &self.look.zone)
    }

    /// The present moment, in full.
    pub(crate) fn present(&self) -> String {
        format!("{} {}", words::full(self.now_us, &self.look.zone), self.zone())
    }

    /// A number.
    pub(crate) fn count(&self, number: impl Lent<u64>) -> String {
        words::count(number.value())
    }

    /// A share.
    pub(crate) fn percent(&self, part: impl Lent<u64>, whole: impl Lent<u64>) -> String {
        words::percent(part.value(), whole.value())
    }

    /// A length of time in microseconds.
    pub(crate) fn length(&self, us: impl Lent<u32>) -> String {
        words::length(u64::from(us.value()))
    }

    /// A number of bytes.
    pub(crate) fn bytes(&self, number: impl Lent<u64>) -> String {
        words::bytes(number.value())
    }

    /// What may be shown of a key: `mbk_live_…9t1U`, and a tag for a test key.
    pub(crate) fn face(&self, face: &KeyFace) -> Html {
        let KeyFace { prefix, environment, last4 } = face;
        Safe(format!(
            "<span class=\"key\">{}_{environment}_…<b>{}</b></span>",
            escaped(prefix),
            escaped(last4)
        ))
    }

    /// The state of a key, expiry included.
    pub(crate) fn state(&self, state: &KeyState, expires_us: &Option<i64>) -> Html {
        let is_expired = expires_us.is_some_and(|expires| expires <= self.now_us);
        let (class, icon, word) = match (state, is_expired) {
            (KeyState::Revoked, _) => ("denied", "denied", "Revoked"),
            (KeyState::Disabled, _) => ("off", "off", "Disabled"),
            (KeyState::Blocked, _) => ("limited", "limited", "Blocked"),
            (KeyState::Active, true) => ("denied", "clock", "Expired"),
            (KeyState::Active, false) => ("allowed", "allowed", "Active"),
        };
        Safe(format!("<span class=\"st pill {class}\">{}{word}</span>", picture(icon)))
    }

    /// A state as a pill: its class, its icon, its word.
    pub(crate) fn pill(&self, class: &str, icon: &str, word: &str) -> Html {
        let (class, word) = (escaped(class), escaped(word));
        Safe(format!("<span class=\"st pill {class}\">{}{word}</span>", picture(icon)))
    }

    /// The code of an answer with its glyph and group.
    pub(crate) fn code(&self, code: &Code, status: impl Lent<u16>) -> Html {
        let outcome = Outcome::of_answer(*code, status.value());
        Safe(outcome_of(outcome, code.name()))
    }

    /// A code without its answer.
    pub(crate) fn plain_code(&self, code: &Code) -> Html {
        Safe(outcome_of(Outcome::of(*code), code.name()))
    }

    /// The method with this number.
    pub(crate) fn method(&self, number: impl Lent<u8>) -> &'static str {
        let index = usize::from(number.value()).checked_sub(1);
        index.and_then(|index| crate::admin::METHODS.get(index)).copied().unwrap_or("OTHER")
    }

    /// What was done, in words: `key.finish_rotation` is `Key: finish rotation`.
    pub(crate) fn action(&self, action: impl AsRef<str>) -> String {
        let words = action.as_ref().replace('_', " ");
        let (thing, act) = words.split_once('.').unwrap_or(("", &words));
        let mut signs = thing.chars();
        let thing: String = signs.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        format!("{thing}{}: {act}", signs.as_str())
    }

    /// What a program calls itself, in a few words.
    pub(crate) fn browser(&self, user_agent: impl AsRef<str>) -> String {
        words::browser(user_agent.as_ref())
    }

    /// How something is, in a word.
    pub(crate) fn well(&self, ok: impl Lent<bool>, word: impl AsRef<str>) -> Html {
        let (class, word) = (if ok.value() { "allowed" } else { "upstream" }, escaped(word.as_ref()));
        Safe(format!("<span class=\"st {class}\">{}{word}</span>", picture(class)))
    }
}

fn outcome_of(outcome: Outcome, code: &str) -> String {
    let (class, word) = (outcome.class(), outcome.word().to_lowercase());
    format!(
        "<span class=\"st {class}\">{}<span class=\"unseen\">{word}: </span><code>{code}</code></span>",
        picture(class)
    )
}

fn picture(name: &str) -> String {
    format!(
        "<svg class=\"icon\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><use href=\"#i-{}\"/></svg>",
        escaped(name)
    )
}

/// A bar that fills a share of its width, drawn without a style.
pub(crate) fn bar(part: u64, whole: u64, class: &str) -> Html {
    let share = if whole == 0 { 0.0 } else { (part as f64 * 100.0 / whole as f64).min(100.0) };
    Safe(format!(
        "<svg aria-hidden=\"true\"><rect class=\"fill-ground\" width=\"100%\" height=\"6\" rx=\"2\"/>\
         <rect class=\"fill-{class}\" width=\"{share:.1}%\" height=\"6\" rx=\"2\"/></svg>"
    ))
}

/// A text that may stand in HTML, between tags and in attributes.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' | '<' | '>' | '"' | '\'' => {
                // Writing to a string cannot fail.
                let _written = write!(safe, "&#{};", u32::from(sign));
            }
            sign => safe.push(sign),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use tollgate_core::code::Code;

    use super::{Outcome, escaped};

    #[test]
    fn every_code_counts_as_what_its_status_says() {
        for code in Code::ALL.iter().filter(|code| **code != Code::Valid) {
            let expected = match tollgate_wire::codes::entry(*code).status.number() {
                429 => Outcome::Limited,
                500.. => Outcome::Upstream,
                _ => Outcome::Denied,
            };
            assert_eq!(Outcome::of(*code), expected, "{code}");
        }
        assert_eq!(Outcome::of_answer(Code::Valid, 200), Outcome::Allowed);
        assert_eq!(Outcome::of_answer(Code::Valid, 503), Outcome::Upstream);
    }

    #[test]
    fn nothing_of_the_world_becomes_html() {
        assert_eq!(escaped("<b a=\"1\" b='2'>&"), "&#60;b a=&#34;1&#34; b=&#39;2&#39;&#62;&#38;");
    }
}
