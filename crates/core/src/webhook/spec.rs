//! `[[webhook]]` as it is written.

use serde::{Deserialize, Serialize};

use super::address::ReceiverAddress;
use crate::{
    field_error::FieldError,
    notice::{NoticeKind, pattern_problem, picks},
};

/// Patterns of events that a webhook may have.
pub const PATTERNS_MAX: usize = 32;
/// The longest description, in bytes.
const DESCRIPTION_LEN_MAX: usize = 500;

/// `[[webhook]]`: what happens in a project, or in a whole tenant, is told to an address.
///
/// It has no name; project or tenant and address tell one from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSpec {
    /// The tenant, where everything of it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The project, `name` or `tenant/name`, where only what is about it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Where it is told.
    pub url: String,
    /// What is told: names such as `key.blocked`, `key.*`, or `*`.
    pub events: Vec<String>,
    /// Whether anything is told at present.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub enabled: bool,
    /// What it is for, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_true(value: &bool) -> bool {
    *value
}

impl WebhookSpec {
    /// Whether it is told of a type.
    #[must_use]
    pub fn wants(&self, kind: NoticeKind) -> bool {
        self.events.iter().any(|pattern| picks(pattern, kind))
    }
}

/// What is wrong with a webhook; fields are its own.
#[must_use]
pub fn check_webhook(spec: &WebhookSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match (&spec.tenant, &spec.project) {
        (None, None) => {
            let problem = "nothing says whose events it is told; name a project, or a tenant for all of its";
            errors.push(FieldError::new("project", problem));
        }
        (Some(_), Some(_)) => {
            let problem = "a project is named too; name one of them";
            errors.push(FieldError::new("tenant", problem));
        }
        _ => {}
    }
    if let Err(problem) = ReceiverAddress::parse(&spec.url) {
        errors.push(FieldError::new("url", problem));
    }
    if spec.events.is_empty() || spec.events.len() > PATTERNS_MAX {
        let problem = format!("there are {} of them; write 1 to {PATTERNS_MAX}", spec.events.len());
        errors.push(FieldError::new("events", problem));
    }
    for (index, pattern) in spec.events.iter().enumerate().take(PATTERNS_MAX) {
        if let Some(problem) = pattern_problem(pattern) {
            errors.push(FieldError::new(format!("events[{index}]"), problem));
        } else if spec.events.iter().take(index).any(|before| before == pattern) {
            errors.push(FieldError::new(format!("events[{index}]"), "it stands here twice; leave one away"));
        }
    }
    if spec.description.len() > DESCRIPTION_LEN_MAX {
        let problem = format!("it is longer than {DESCRIPTION_LEN_MAX} bytes; shorten it");
        errors.push(FieldError::new("description", problem));
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::{WebhookSpec, check_webhook};

    fn spec(text: &str) -> WebhookSpec {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_contracts_example_is_good_and_everything_wrong_is_said_at_once() {
        let good = "project = \"maps\"\nurl = \"https://example.com/hooks\"\n\
                    events = [\"key.blocked\", \"key.expiring\", \"budget.threshold\"]";
        assert!(check_webhook(&spec(good)).is_empty());
        let bad = "url = \"ftp://example.com\"\nevents = [\"key.blocked\", \"nothing\", \"key.blocked\"]";
        let fields: Vec<String> = check_webhook(&spec(bad)).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["project", "url", "events[1]", "events[2]"]);
        let both = "project = \"maps\"\ntenant = \"acme\"\nurl = \"https://example.com\"\nevents = []";
        let fields: Vec<String> = check_webhook(&spec(both)).into_iter().map(|error| error.field).collect();
        assert_eq!(fields, ["tenant", "events"]);
    }
}
