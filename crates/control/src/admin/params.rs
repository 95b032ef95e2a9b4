//! What endpoints of the admin API may be asked in the query; which of it each takes is said in the table.

use super::{
    endpoint::{Kind, Param},
    meters, usage,
};

pub(super) const PAGE: &[Param] = &[
    param("limit", Kind::Number(1, 1000), "How many items; 100 when not said."),
    param("cursor", Kind::Text(512), "`next` of the page before."),
];
pub(super) const PROJECT: &[Param] = &[param("project", Kind::Text(130), "Of this project: its name or id.")];
pub(super) const NAMES: &[Param] = &[
    param("name", Kind::Text(64), "With exactly this name."),
    param("search", Kind::Text(64), "With this in the name, whatever the case."),
];
pub(super) const EXTERNAL: &[Param] =
    &[param("external_id", Kind::Text(1024), "With this id in the user's own systems.")];
pub(super) const KEYS: &[Param] = &[
    param("consumer", Kind::Text(64), "Of this consumer: its id, or with `project` its name."),
    param("policy", Kind::Text(64), "With this policy: its id, or with `project` its name."),
    param("state", Kind::Word(&["active", "disabled", "blocked", "revoked"]), "In this state."),
    param("environment", Kind::Word(&["live", "test"]), "Of this environment."),
    param("search", Kind::Text(200), "With this in the name or the last four characters."),
    param("metadata", Kind::Pattern(1100, "^[^=]+=.*$"), "With this metadata: `name=value`."),
    param("expires_before", Kind::Moment, "That expire before this moment, or within this time: `30d`."),
    param("job", Kind::Pattern(64, "^job_[0-9A-Za-z]{11}$"), "That this job changed."),
];
pub(super) const SELECT: &[Param] = &[
    param("key_id", Kind::Pattern(64, "^key_[0-9A-Za-z]{11}$"), "Of this key."),
    param("consumer", Kind::Text(200), "Of this consumer: its id, name, or `project/name`."),
    param("service", Kind::Text(200), "Of this service: its id, name, or `project/name`."),
    param("code", Kind::Pattern(64, "^[a-z_]+$"), "With this outcome: `valid`, `rate_limited`, …"),
];
pub(super) const TIMES: &[Param] = &[
    param("from", Kind::Moment, "From this moment: RFC 3339, or how long ago: `24h`."),
    param("to", Kind::Moment, "Before this moment."),
];
pub(super) const WAIT: &[Param] = &[param(
    "wait",
    Kind::Flag,
    "Wait up to five seconds until everything answered before the call is included.",
)];
pub(super) const ORDER: &[Param] =
    &[param("order", Kind::Word(&["newest", "oldest"]), "Which come first; the newest when not said.")];
pub(super) const APPLY: &[Param] = &[
    param("dry_run", Kind::Flag, "Say what would change, change nothing."),
    param(
        "prune",
        Kind::Flag,
        "Delete services, policies and consumers that the document does not name, in the projects it names.",
    ),
];
pub(super) const SEARCH: &[Param] = &[param("search", Kind::Text(200), "With this in the words for it.")];
pub(super) const PRICES: &[Param] = &[
    param("search", Kind::Text(200), "With this in the name of the model."),
    param("provider", Kind::Word(&["openai", "gemini", "anthropic"]), "Of this provider."),
    param("origin", Kind::Word(&["own", "operator", "shipped"]), "Of this origin."),
    param("ended", Kind::Flag, "Those that count no more too."),
];
pub(super) const REVOKE: &[Param] =
    &[param("wait", Kind::Flag, "Answer when no running node accepts the key any more.")];
pub(super) const USAGE: &[Param] = &[
    param("by", Kind::Words(usage::COLUMNS), "Columns to group by, separated by commas."),
    param("format", Kind::Word(&["json", "csv"]), "JSON when not said."),
];
pub(super) const INVOICE: &[Param] = &[
    param("month", Kind::Pattern(7, "^[0-9]{4}-[0-9]{2}$"), "The month, in UTC."),
    param("consumer", Kind::Text(200), "Of this consumer: its name or id."),
    param("format", Kind::Word(&["json", "csv"]), "JSON when not said."),
];
pub(super) const SUBJECT: &[Param] =
    &[param("subject", Kind::Pattern(64, "^[a-z]{3}_[0-9A-Za-z]{11}$"), "About this thing: its id.")];
pub(super) const METER: &[Param] = &[
    param("window", Kind::Word(meters::WINDOWS), "How long windows are; `hour` when not said."),
    param(
        "group_by",
        Kind::Text(1100),
        "Which of what the meter groups by, separated by commas; all together when not said.",
    ),
    param("time_zone", Kind::Text(64), "Whose calendar counts: an IANA name; `UTC` when not said."),
    param("groups", Kind::Number(1, 1000), "How many groups, those that have most; 50 when not said."),
];
pub(super) const BLOCKS: &[Param] = &[
    param("key_id", Kind::Pattern(64, "^key_[0-9A-Za-z]{11}$"), "That keep this key out."),
    param("rule", Kind::Pattern(64, "^rul_[0-9A-Za-z]{11}$"), "Of this rule."),
    param("ended", Kind::Flag, "Those that have ended too."),
];
pub(super) const FIRINGS: &[Param] =
    &[param("rule", Kind::Pattern(64, "^rul_[0-9A-Za-z]{11}$"), "Of this rule.")];
pub(super) const DELIVERIES: &[Param] =
    &[param("state", Kind::Word(&["pending", "delivered", "failed"]), "In this state.")];
pub(super) const NOTICES: &[Param] = &[
    param("key_id", Kind::Pattern(64, "^key_[0-9A-Za-z]{11}$"), "About this key."),
    param(
        "type",
        Kind::Pattern(64, "^[a-z_]+\\.[a-z_]+$"),
        "Of this type: `key.expiring`, `budget.threshold`, …",
    ),
];
pub(super) const PARKED: &[Param] = &[param("all", Kind::Flag, "Those that were left out too.")];

const fn param(name: &'static str, kind: Kind, doc: &'static str) -> Param {
    Param { name, kind, doc }
}
