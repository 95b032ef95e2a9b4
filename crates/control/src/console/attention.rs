//! What needs attention: keys that expire, whose secret is old, that nobody uses; webhooks that were switched off.

use tollgate_core::{authz::Action, id::ConsumerId, keyring::KeyState};
use tollgate_store::{AuditRow, KeyView, PageRequest, Reminder, ReminderFilter, ReminderKind};

use super::{trouble::Trouble, visit::Visit};

/// Rows of the part of the overview.
const ROWS: PageRequest = PageRequest { limit: 6, cursor: None };

/// What needs attention.
#[derive(Default)]
pub(super) struct Attention {
    /// How many keys by kind, where there are any, with the list that shows them.
    pub(super) kinds: Vec<Kind>,
    /// The newest of them.
    pub(super) rows: Vec<Reminder>,
}

/// How many keys need the same.
pub(super) struct Kind {
    pub(super) words: &'static str,
    pub(super) count: u64,
    pub(super) href: String,
}

/// What needs attention of what may be seen.
pub(super) async fn all(visit: &Visit, own: Option<Vec<ConsumerId>>) -> Result<Attention, Trouble> {
    if !visit.may(Action::ReadKeys) {
        return Ok(Attention::default());
    }
    let filter = ReminderFilter {
        tenant: Some(visit.tenant()),
        consumers: own,
        open_only: true,
        ..ReminderFilter::default()
    };
    let mut kinds = Vec::new();
    for kind in ReminderKind::ALL {
        let count =
            visit.store().count_reminders(&ReminderFilter { kind: Some(kind), ..filter.clone() }).await?;
        if count > 0 {
            kinds.push(Kind { words: words(kind), count, href: format!("/keys?attention={}", kind.name()) });
        }
    }
    let rows =
        if kinds.is_empty() { Vec::new() } else { visit.store().reminders(&filter, &ROWS).await?.items };
    if visit.may_all(Action::ReadAutomation) {
        kinds.extend(webhooks(visit).await?);
    }
    Ok(Attention { kinds, rows })
}

/// Webhooks that were switched off because their receivers failed.
async fn webhooks(visit: &Visit) -> Result<Option<Kind>, Trouble> {
    let all = visit.store().list_webhooks(Some(visit.tenant())).await?;
    let count = all.iter().filter(|own| own.spec.enabled && own.disabled.is_some()).count() as u64;
    let words = if count == 1 { "webhook switched off" } else { "webhooks switched off" };
    Ok((count > 0).then(|| Kind { words, count, href: "/settings/webhooks".to_owned() }))
}

/// What needs attention of a key that may be seen. Reminders are looked for every ten minutes; what was done
/// about the key since is done here already.
pub(super) async fn of_key(
    visit: &Visit,
    key: &KeyView,
    is_rotating: bool,
    history: &[AuditRow],
) -> Result<Vec<Reminder>, Trouble> {
    let filter = ReminderFilter {
        tenant: Some(visit.tenant()),
        key: Some(key.id),
        open_only: true,
        ..ReminderFilter::default()
    };
    let mut open = visit.store().reminders(&filter, &ROWS).await?.items;
    let rotated = |since_us: i64| {
        is_rotating || history.iter().any(|row| row.action == "key.rotate" && row.at_us > since_us)
    };
    open.retain(|own| match own.kind {
        _ if key.state != KeyState::Active => false,
        ReminderKind::Expiring => key.expires_us == Some(own.due_us),
        ReminderKind::RotationDue => !rotated(own.due_us),
        ReminderKind::Unused => key.last_used_us.is_none_or(|used| used <= own.due_us),
    });
    Ok(open)
}

/// The kind of a word in an address.
pub(super) fn kind(name: &str) -> Option<ReminderKind> {
    ReminderKind::ALL.into_iter().find(|kind| kind.name() == name)
}

/// Behind a number of keys.
pub(super) const fn words(kind: ReminderKind) -> &'static str {
    match kind {
        ReminderKind::Expiring => "expiring soon",
        ReminderKind::RotationDue => "due for rotation",
        ReminderKind::Unused => "not used",
    }
}
