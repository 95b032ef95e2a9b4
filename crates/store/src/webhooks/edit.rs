//! Webhooks one at a time: created with their first secret, replaced, deleted. Their rows are the business of
//! `resources`, which compares them like those of a whole file.

use tollgate_core::{
    authz::Permit,
    id::{TenantId, WebhookId},
    webhook::WebhookSpec,
};

use super::{MadeSecret, WebhookView, load_view, make_secret};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    resources::{create_webhook_row, delete_webhook_row, replace_webhook_row, same_version},
    write::Committed,
};

/// Which webhook is to be changed, as whoever changes it knew it.
#[derive(Clone, Copy, Debug)]
pub struct WebhookAt {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which.
    pub id: WebhookId,
    /// The version that was read; `None` whatever it is.
    pub version: Option<u64>,
}

impl Store {
    /// Creates a webhook with its first secret. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the address is told already, [`StoreError::Invalid`],
    /// [`StoreError::Unavailable`] where nothing can be encrypted.
    pub async fn create_webhook(
        &self,
        permit: &Permit,
        new: WebhookSpec,
        now_us: i64,
    ) -> Result<Committed<(WebhookView, MadeSecret)>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        let id = create_webhook_row(&mut write, permit, new, now_us).await?;
        let secret = make_secret(self, &mut write, (id, 0), now_us).await?;
        let view = load_view(write.conn(), id).await?;
        Ok(Committed { value: (view, secret), seq: write.commit().await? })
    }

    /// Replaces what a webhook says; the same again is no change. Project, tenant and address stay: they tell it
    /// from others. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`], [`StoreError::Invalid`].
    pub async fn replace_webhook(
        &self,
        permit: &Permit,
        at: WebhookAt,
        new: WebhookSpec,
        now_us: i64,
    ) -> Result<Committed<WebhookView>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        present(write.conn(), at).await?;
        replace_webhook_row(&mut write, permit, at.id, new, now_us).await?;
        let value = load_view(write.conn(), at.id).await?;
        Ok(Committed { value, seq: write.commit().await? })
    }

    /// Deletes a webhook, with its secrets and what is on its way. Needs `Action::ChangeResources` in its tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Outdated`].
    pub async fn delete_webhook(
        &self,
        permit: &Permit,
        at: WebhookAt,
        now_us: i64,
    ) -> Result<Committed<()>, StoreError> {
        let mut write = self.write(permit, now_us).await?;
        present(write.conn(), at).await?;
        delete_webhook_row(&mut write, permit, at.id, now_us).await?;
        Ok(Committed { value: (), seq: write.commit().await? })
    }
}

async fn present(conn: &mut sqlx::AnyConnection, at: WebhookAt) -> Result<WebhookView, StoreError> {
    let found = load_view(conn, at.id).await?;
    if found.tenant != at.tenant {
        return Err(StoreError::not_found(Entity::Webhook, at.id));
    }
    same_version(Entity::Webhook, found.version, at.version)?;
    Ok(found)
}
