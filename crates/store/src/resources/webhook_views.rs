//! Webhooks one at a time: created, replaced, deleted, through the same comparison as a whole file.

use tollgate_core::{
    authz::Permit,
    id::{TenantId, WebhookId},
    resource::Resources,
    webhook::WebhookSpec,
};

use super::{
    Op,
    apply::{Asked, compare, record, write_rows},
    one::{plain, same_version},
    webhooks::webhook_deletion,
};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    webhooks::{MadeSecret, WebhookView, load_view, make_secret},
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
        let resources = Resources { webhooks: vec![new], ..Resources::default() };
        let mut write = self.write(permit, now_us).await?;
        let diff = compare(write.conn(), permit, &resources, Asked { prune: false, now_us }).await?;
        let edit = match (diff.errors.is_empty(), diff.edits.as_slice()) {
            (false, _) => return Err(StoreError::Invalid(plain(Entity::Webhook, diff.errors))),
            (true, [edit]) if edit.op == Op::Create => edit,
            _ => {
                let problem =
                    "this address is told of the same project or tenant already; change that webhook";
                return Err(StoreError::Conflict(problem.to_owned()));
            }
        };
        record(&mut write, edit)?;
        write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
        let id = WebhookId::from_sql(edit.id);
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
        let resources = Resources { webhooks: vec![new], ..Resources::default() };
        let mut write = self.write(permit, now_us).await?;
        present(write.conn(), at).await?;
        let diff = compare(write.conn(), permit, &resources, Asked { prune: false, now_us }).await?;
        if !diff.errors.is_empty() {
            return Err(StoreError::Invalid(plain(Entity::Webhook, diff.errors)));
        }
        if !diff.places.contains_key(&(Entity::Webhook, at.id.to_sql())) {
            let problem = "its address, project and tenant stay; create another webhook instead";
            return Err(StoreError::invalid("url", problem));
        }
        if let Some(edit) = diff.edits.first() {
            record(&mut write, edit)?;
            write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
        }
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
        let nothing = Resources::default();
        let diff = compare(write.conn(), permit, &nothing, Asked { prune: false, now_us }).await?;
        let row = diff.state.webhooks.iter().find(|row| row.id == at.id.to_sql());
        let edit = webhook_deletion(row.ok_or_else(|| StoreError::not_found(Entity::Webhook, at.id))?)?;
        record(&mut write, &edit)?;
        write_rows(write.conn(), std::slice::from_ref(&edit), now_us).await?;
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
