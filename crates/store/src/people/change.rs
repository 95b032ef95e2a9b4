//! The audit entry of a change of a person.

use tollgate_core::{
    authz::Action,
    id::{TenantId, UserId},
};

use crate::{error::Entity, write::Change};

/// A change of a person or of a membership.
pub(crate) struct UserChange {
    pub(crate) needs: Action,
    pub(crate) tenant: Option<TenantId>,
    pub(crate) action: &'static str,
    pub(crate) account: UserId,
    pub(crate) version: u64,
    /// Without secrets.
    pub(crate) before: Option<serde_json::Value>,
    /// Without secrets.
    pub(crate) after: Option<serde_json::Value>,
}

pub(crate) fn user_change(change: UserChange) -> Change {
    Change {
        needs: change.needs,
        tenant: change.tenant,
        action: change.action,
        entity: Entity::User,
        id: change.account.to_sql(),
        version: change.version,
        before: change.before.map(|value| value.to_string()),
        after: change.after.map(|value| value.to_string()),
    }
}
