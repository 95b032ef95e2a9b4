//! What happened that people want told: its types, and patterns that pick some of them.
//!
//! Not here: rows, deliveries. A type is API: its name never changes, its body only grows.

use std::fmt;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $says:literal;)+) => {
        /// The type of a notice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum NoticeKind {
            $($(#[$doc])* $kind,)+
        }

        impl NoticeKind {
            /// All of them, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Its name: `key.blocked`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What it says, a sentence without a full stop.
            #[must_use]
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$kind => $says,)+
                }
            }
        }
    };
}

kinds! {
    /// A budget has nothing left.
    BudgetExhausted = "budget.exhausted", "all that a budget gives for its period is spent";
    /// A share of a budget that somebody wants to be told of is spent.
    BudgetThreshold = "budget.threshold", "a share of a budget is spent, told once in a period";
    /// A key was blocked, by a rule or by hand.
    KeyBlocked = "key.blocked", "a key was blocked, altogether or for a service";
    /// A key was made.
    KeyCreated = "key.created", "a key was made";
    /// A key was switched off.
    KeyDisabled = "key.disabled", "a key was switched off";
    /// A key was switched on.
    KeyEnabled = "key.enabled", "a key was switched on";
    /// A key expires soon.
    KeyExpiring = "key.expiring", "a key expires within 30, 7 or 1 days";
    /// A key was revoked.
    KeyRevoked = "key.revoked", "a key was revoked for good";
    /// A key has a new secret.
    KeyRotated = "key.rotated", "a key was given a new secret";
    /// A key's secret is old.
    KeyRotationDue = "key.rotation_due", "a key has had the same secret for long";
    /// A block was taken back, by time, by a rule or by hand.
    KeyUnblocked = "key.unblocked", "a key is no longer blocked";
    /// Nobody uses a key.
    KeyUnused = "key.unused", "nobody has used a key for long";
    /// A sink does not take records.
    OutboxParked = "outbox.parked", "a sink did not take records, which are parked";
    /// A rule's line was crossed.
    RuleFired = "rule.fired", "a rule's line was crossed";
    /// A webhook was switched off, for its receiver failed for long or said that it is gone.
    WebhookDisabled = "webhook.disabled", "a webhook was switched off, for its receiver failed or is gone";
    /// Somebody asked for an example.
    WebhookTest = "webhook.test", "somebody asked for an example; sent to one webhook alone";
}

impl NoticeKind {
    /// The kind of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for NoticeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a pattern picks a type: `key.blocked` itself, `key.*` all that begin with `key.`, `*` all.
#[must_use]
pub fn picks(pattern: &str, kind: NoticeKind) -> bool {
    match pattern.strip_suffix('*') {
        Some("") => true,
        Some(stem) => stem.ends_with('.') && kind.name().starts_with(stem),
        None => pattern == kind.name(),
    }
}

/// Why a text is no pattern; `None` for one that picks at least one type.
#[must_use]
pub fn pattern_problem(pattern: &str) -> Option<String> {
    if NoticeKind::ALL.iter().any(|kind| picks(pattern, *kind)) {
        return None;
    }
    let names: Vec<&str> = NoticeKind::ALL.iter().map(|kind| kind.name()).collect();
    Some(format!("`{pattern}` picks no event; write `*`, such as `key.*`, or one of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{NoticeKind, pattern_problem, picks};

    #[test]
    fn a_pattern_picks_by_name_by_stem_or_all() {
        let picked = |pattern: &str| NoticeKind::ALL.iter().filter(|kind| picks(pattern, **kind)).count();
        assert_eq!((picked("*"), picked("key.blocked")), (NoticeKind::ALL.len(), 1));
        assert_eq!((picked("key.*"), picked("budget.*")), (10, 2));
        for wrong in ["", "key", "key*", "key.", "ke*", "*.blocked", "key.Blocked", "key.**", " *"] {
            assert_eq!(picked(wrong), 0, "{wrong}");
            assert!(pattern_problem(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn names_are_unique_sorted_and_found_again() {
        assert!(NoticeKind::ALL.is_sorted_by(|one, next| one.name() < next.name()));
        for kind in NoticeKind::ALL {
            assert_eq!(NoticeKind::from_name(kind.name()), Some(*kind));
        }
    }
}
