//! Entries of the audit as people read them: who did it by their address, what it was about by its name, with
//! the way to it. The ids stay what the audit holds; names are only looked up to be shown.

use std::collections::HashMap;

use tollgate_core::id::UserId;
use tollgate_store::{AuditRow, StoreError};

use super::{trouble::Trouble, visit::Visit};

/// The addresses of those who did something, by their ids; of who has none the name. Programs and people of the
/// host are what they are called anyway.
pub(super) async fn people(visit: &Visit, rows: &[AuditRow]) -> Result<HashMap<String, String>, Trouble> {
    let mut known = HashMap::new();
    // Lists are bounded, so this is too; most of a page is by a few people.
    for row in rows {
        let Ok(id) = row.actor.parse::<UserId>() else { continue };
        if known.contains_key(&row.actor) {
            continue;
        }
        if let Some(called) = called(visit, id).await? {
            known.insert(row.actor.clone(), called);
        }
    }
    Ok(known)
}

/// What a person is called: the address, or the name of who has none.
async fn called(visit: &Visit, id: UserId) -> Result<Option<String>, Trouble> {
    match visit.store().account(id).await {
        Ok(account) => Ok(Some(if account.email.is_empty() { account.name } else { account.email })),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Who did something, as people read it.
pub(super) async fn who(visit: &Visit, actor: &str) -> Result<String, Trouble> {
    let called = match actor.parse::<UserId>() {
        Ok(id) => called(visit, id).await?,
        Err(_) => None,
    };
    Ok(called.unwrap_or_else(|| actor.to_owned()))
}

/// The rows with people by their addresses, for parts of pages that only tell who it was.
pub(super) async fn named(visit: &Visit, mut rows: Vec<AuditRow>) -> Result<Vec<AuditRow>, Trouble> {
    let people = people(visit, &rows).await?;
    for row in &mut rows {
        if let Some(called) = people.get(&row.actor) {
            row.actor.clone_from(called);
        }
    }
    Ok(rows)
}

/// What the thing was called, as far as the entry says.
pub(super) fn subject_name(row: &AuditRow) -> Option<String> {
    [&row.after, &row.before].into_iter().flatten().find_map(|text| {
        let said: serde_json::Value = serde_json::from_str(text).ok()?;
        ["name", "email"].into_iter().find_map(|field| said.get(field)?.as_str().map(str::to_owned))
    })
}

/// The page of the thing, unless the entry says that there is none any more.
pub(super) fn subject_page(row: &AuditRow) -> Option<String> {
    if row.action.ends_with(".delete") || row.action.ends_with(".remove") {
        return None;
    }
    let (kind, _) = row.subject.split_once('_')?;
    let base = match kind {
        "key" => "/keys",
        "con" => "/consumers",
        "pol" => "/policies",
        "svc" => "/services",
        "usr" => "/settings/members",
        "job" => "/keys/jobs",
        _ => return None,
    };
    Some(format!("{base}/{}", row.subject))
}

#[cfg(test)]
mod tests {
    use tollgate_store::AuditRow;

    use super::{subject_name, subject_page};

    fn row(action: &str, subject: &str, after: &str) -> AuditRow {
        AuditRow {
            seq: 1,
            at_us: 0,
            tenant: None,
            actor: "os:root".into(),
            action: action.into(),
            entity: "key".into(),
            subject: subject.into(),
            version: 1,
            before: Some(r#"{"name":"before"}"#.into()),
            after: Some(after.into()),
            hash: [0; 32],
        }
    }

    #[test]
    fn things_are_called_by_their_names_and_led_to_while_they_are_there() {
        let made = row("key.create", "key_00000000001", r#"{"name":"Tills","policy":1}"#);
        assert_eq!(subject_name(&made).as_deref(), Some("Tills"));
        assert_eq!(subject_page(&made).as_deref(), Some("/keys/key_00000000001"));
        let gone = row("consumer.delete", "con_00000000001", "null");
        assert_eq!((subject_name(&gone).as_deref(), subject_page(&gone)), (Some("before"), None));
        assert_eq!(subject_page(&row("session.start", "ses_00000000001", "{}")), None);
    }
}
