//! The settings of reminders: of what, and when.

use std::time::Duration;

use tollgate_store::ReminderRules;

use super::{
    people::{flag, setting},
    settings::{Setting, put},
    value::{Written, duration, text},
};

/// When somebody is reminded of a key; `None` never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reminders {
    /// Of keys that expire, 30, 7 and 1 days before.
    pub expiring: bool,
    /// Of keys whose secret is this old.
    pub rotation_after: Option<Duration>,
    /// Of keys that were not used for so long.
    pub unused_after: Option<Duration>,
}

impl Reminders {
    /// As the store takes them.
    #[must_use]
    pub fn rules(&self) -> ReminderRules {
        let micros = |span: Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        ReminderRules {
            expiring: self.expiring,
            rotation_after_us: self.rotation_after.map(micros),
            unused_after_us: self.unused_after.map(micros),
        }
    }
}

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("reminders.expiring", "`true` or `false`", "true"),
        "Whether owners, admins and whoever holds a key are reminded 30, 7 and 1 days before it expires: in the console, as events `key.expiring`, and by mail where `smtp.host` is set.",
        |written, config| put(&mut config.reminders.expiring, flag(written)),
    ),
    setting(
        ("reminders.rotation_after", "length of time, 1d to 3650d, or `never`", "365d"),
        "How old the secret of a key may be before they are reminded to rotate it (`key.rotation_due`).",
        |written, config| put(&mut config.reminders.rotation_after, span(written)),
    ),
    setting(
        ("reminders.unused_after", "length of time, 1d to 3650d, or `never`", "90d"),
        "For how long a key may not be used before they are reminded that it could go (`key.unused`).",
        |written, config| put(&mut config.reminders.unused_after, span(written)),
    ),
];

fn span(written: Written<'_>) -> Result<Option<Duration>, String> {
    if text(written).is_ok_and(|text| text == "never") {
        return Ok(None);
    }
    duration(written, "1d", "3650d").map(Some).map_err(|problem| format!("{problem}, or `never`"))
}
