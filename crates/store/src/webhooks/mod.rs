//! Webhooks as they are: their secrets, what is on its way to them, what became of it.
//!
//! What they say is a resource (`resources::webhooks`). One sender of all nodes at a time (`sending`): it follows
//! the notices for each webhook from where that stands, keeps a row for each that it wants told, and writes down what
//! became of it. A delivery is told apart by the id of its notice, which stays however often it is sent. What must
//! never be here: HTTP, signatures.

mod edit;
mod log;
mod secret;
mod sending;

use sqlx::AnyConnection;
use tollgate_core::{
    id::{ProjectId, TenantId, WebhookId},
    webhook::WebhookSpec,
};

use crate::{
    conditions::Conditions,
    error::{Entity, StoreError},
    open::Store,
    resources::from_json,
    sql::{Columns as _, Row, all, built, one},
};

pub use edit::WebhookAt;
pub use log::{DeliveryFilter, DeliveryRow, DeliveryState, Replay as WebhookReplay};
use secret::make_secret;
pub use secret::{MadeSecret, WEBHOOK_OVERLAP_MAX_US};
pub use sending::{Attempted, Outgoing, SenderLease, SenderLost, Sending};

/// A webhook as it may be shown: everything but its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookView {
    /// Its id.
    pub id: WebhookId,
    /// The version of its row.
    pub version: u64,
    /// Whose it is.
    pub tenant: TenantId,
    /// The project whose events it is told; `None` all of the tenant.
    pub project: Option<ProjectId>,
    /// What it says, with full names.
    pub spec: WebhookSpec,
    /// Since when every attempt failed, wall microseconds.
    pub failing_us: Option<i64>,
    /// Since when nothing is told any more, and why.
    pub disabled: Option<(i64, String)>,
    /// Secrets that deliveries are signed with now; without one nothing is sent.
    pub secrets: u64,
    /// Until when an older secret is used along with the newest.
    pub overlap_until_us: Option<i64>,
    /// Deliveries that are to be sent.
    pub pending: u64,
    /// Deliveries that were given up.
    pub failed: u64,
}

const SELECT: &str = "SELECT w.id, w.version, w.tenant, w.project, w.spec, w.failing_us, w.disabled_us, w.disabled_why, \
     (SELECT COUNT(*) FROM webhook_secrets s WHERE s.webhook = w.id), \
     (SELECT MAX(s.until_us) FROM webhook_secrets s WHERE s.webhook = w.id AND s.until_us < 9223372036854775807), \
     (SELECT COUNT(*) FROM webhook_deliveries d WHERE d.webhook = w.id AND d.state = 0), \
     (SELECT COUNT(*) FROM webhook_deliveries d WHERE d.webhook = w.id AND d.state = 2) FROM webhooks w";

impl Store {
    /// The webhooks of a tenant, or with `None` of the installation, by project or tenant and address.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list_webhooks(&self, tenant: Option<TenantId>) -> Result<Vec<WebhookView>, StoreError> {
        let mut wheres = Conditions::default();
        if let Some(tenant) = tenant {
            wheres.int("w.tenant = ?", tenant.to_sql());
        }
        let text = format!("{SELECT}{} ORDER BY w.name, w.id", wheres.clause());
        let mut conn = self.reader().await?;
        all(wheres.bind(built(text)), &mut conn).await?.iter().map(view).collect()
    }

    /// A webhook of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn webhook(&self, tenant: TenantId, id: WebhookId) -> Result<WebhookView, StoreError> {
        let mut conn = self.reader().await?;
        let found = load_view(&mut conn, id).await?;
        if found.tenant == tenant { Ok(found) } else { Err(StoreError::not_found(Entity::Webhook, id)) }
    }

    /// The webhook with this id, or with this address where only one has it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_webhook(&self, name: &str) -> Result<WebhookView, StoreError> {
        let all = self.list_webhooks(None).await?;
        let mut found = all.into_iter().filter(|one| one.id.to_string() == name || one.spec.url == name);
        let first = found.next().ok_or_else(|| StoreError::not_found(Entity::Webhook, name))?;
        match found.next() {
            None => Ok(first),
            Some(second) => Err(StoreError::Ambiguous {
                kind: Entity::Webhook,
                name: name.chars().take(64).collect(),
                candidates: format!("{}, {}", first.id, second.id),
            }),
        }
    }
}

pub(crate) async fn load_view(conn: &mut AnyConnection, id: WebhookId) -> Result<WebhookView, StoreError> {
    let row = one(built(format!("{SELECT} WHERE w.id = $1")).bind(id.to_sql()), conn).await?;
    view(&row.ok_or_else(|| StoreError::not_found(Entity::Webhook, id))?)
}

fn view(row: &Row) -> Result<WebhookView, StoreError> {
    let why = row.opt_text(7)?.unwrap_or_default().to_owned();
    Ok(WebhookView {
        id: WebhookId::from_sql(row.int(0)?),
        version: row.count(1)?,
        tenant: TenantId::from_sql(row.int(2)?),
        project: row.opt_int(3)?.map(ProjectId::from_sql),
        spec: from_json(row.text(4)?)?,
        failing_us: row.opt_int(5)?,
        disabled: row.opt_int(6)?.map(|since| (since, why)),
        secrets: row.count(8)?,
        overlap_until_us: row.opt_int(9)?,
        pending: row.count(10)?,
        failed: row.count(11)?,
    })
}
