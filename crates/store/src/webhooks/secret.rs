//! Secrets of webhooks: made here, encrypted, given once to whoever made them and otherwise to the sender alone.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::json;
use sqlx::AnyConnection;
use tollgate_core::{
    authz::{Action, Permit},
    id::WebhookId,
    secret::Secret,
};

use super::{WebhookView, load_view};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    random,
    secrets::{Place, Sealer},
    sql::{Columns as _, all, only, run, sql},
    write::{Change, Committed, Write},
};

/// Bytes of a secret: Standard Webhooks takes 24 to 64.
const SECRET_BYTES: usize = 32;
/// The longest time that an older secret is used along with the newest.
pub const WEBHOOK_OVERLAP_MAX_US: i64 = 30 * 86_400_000_000;

/// A secret that was just made, as receivers need it: `whsec_` and base64.
#[derive(Clone, Debug)]
pub struct MadeSecret {
    /// It; shown once.
    pub secret: Secret<String>,
    /// Until when the one before is used along with it, wall microseconds; `None` when there was none.
    pub overlap_until_us: Option<i64>,
}

impl Store {
    /// Gives a webhook another secret. Deliveries are signed with the one before too, for `overlap_us`. Needs
    /// `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Invalid`] for an overlap that is negative or over 30 days,
    /// [`StoreError::Unavailable`] where nothing can be encrypted.
    pub async fn rotate_webhook_secret(
        &self,
        permit: &Permit,
        (id, overlap_us): (WebhookId, i64),
        now_us: i64,
    ) -> Result<Committed<MadeSecret>, StoreError> {
        if !(0..=WEBHOOK_OVERLAP_MAX_US).contains(&overlap_us) {
            return Err(StoreError::invalid("overlap", "it is not 0 to 30 days"));
        }
        let mut write = self.write(permit, now_us).await?;
        let view = permitted(&mut write, id).await?;
        let value = make_secret(self, &mut write, (id, overlap_us), now_us).await?;
        let action = if view.secrets == 0 { "webhook.secret" } else { "webhook.rotate" };
        let after = json!({ "overlap_until_us": value.overlap_until_us });
        write.record(change(action, &view, Some(after)))?;
        Ok(Committed { value, seq: write.commit().await? })
    }
}

/// The webhook, when the permit is for its tenant.
pub(super) async fn permitted(write: &mut Write<'_>, id: WebhookId) -> Result<WebhookView, StoreError> {
    let view = load_view(write.conn(), id).await?;
    if write.permit().covers(Action::ChangeResources, Some(view.tenant)) {
        Ok(view)
    } else {
        Err(StoreError::not_found(Entity::Webhook, id))
    }
}

/// An entry of the audit about a webhook that says the same as before.
pub(super) fn change(action: &'static str, view: &WebhookView, after: Option<serde_json::Value>) -> Change {
    Change {
        needs: Action::ChangeResources,
        tenant: Some(view.tenant),
        action,
        entity: Entity::Webhook,
        id: view.id.to_sql(),
        version: view.version,
        before: None,
        after: after.map(|value| value.to_string()),
    }
}

/// Makes a secret and lets the ones before end.
pub(super) async fn make_secret(
    store: &Store,
    write: &mut Write<'_>,
    (id, overlap_us): (WebhookId, i64),
    now_us: i64,
) -> Result<MadeSecret, StoreError> {
    let mut bytes = [0; SECRET_BYTES];
    random::fill(&mut bytes)?;
    let bytes = Secret::new(bytes);
    let last = sql("SELECT COALESCE(MAX(number), 0) FROM webhook_secrets WHERE webhook = $1");
    let last = only(last.bind(id.to_sql()), write.conn()).await?.int(0)?;
    let number = last + 1;
    let sealer = store.sealer(write.conn()).await?;
    let place = Place::Webhook { webhook: id.to_sql(), number };
    let sealed = sealer.seal(write.conn(), place, bytes.expose().as_slice()).await?;
    // Two are enough at once: whoever rotates twice in an overlap wants the first one gone.
    let gone = sql("DELETE FROM webhook_secrets WHERE webhook = $1 AND (number < $2 OR until_us <= $3)");
    run(gone.bind(id.to_sql()).bind(last).bind(now_us), write.conn()).await?;
    let until_us = now_us.saturating_add(overlap_us);
    let ends = sql("UPDATE webhook_secrets SET until_us = $1 WHERE webhook = $2 AND until_us > $1");
    let had_one = run(ends.bind(until_us).bind(id.to_sql()), write.conn()).await? > 0;
    let insert = "INSERT INTO webhook_secrets (webhook, number, sealed, made_us, until_us) VALUES ($1, $2, $3, $4, $5)";
    let insert = sql(insert).bind(id.to_sql()).bind(number).bind(sealed).bind(now_us).bind(i64::MAX);
    run(insert, write.conn()).await?;
    let secret = Secret::new(format!("whsec_{}", STANDARD.encode(bytes.expose())));
    Ok(MadeSecret { secret, overlap_until_us: had_one.then_some(until_us) })
}

/// The secrets that deliveries are signed with at a moment, the newest first.
pub(super) async fn signing(
    conn: &mut AnyConnection,
    sealer: &Sealer<'_>,
    (id, now_us): (WebhookId, i64),
) -> Result<Vec<Secret<Vec<u8>>>, StoreError> {
    let text = "SELECT number, sealed FROM webhook_secrets WHERE webhook = $1 AND until_us > $2 ORDER BY number DESC";
    let rows = all(sql(text).bind(id.to_sql()).bind(now_us), conn).await?;
    let mut secrets = Vec::with_capacity(rows.len());
    for row in &rows {
        let place = Place::Webhook { webhook: id.to_sql(), number: row.int(0)? };
        secrets.push(sealer.open(place, row.blob(1)?)?);
    }
    Ok(secrets)
}
