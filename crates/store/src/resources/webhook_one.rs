//! Webhooks one at a time: compared and written like one in a file. Their secrets are the business of `webhooks`.

use tollgate_core::{authz::Permit, id::WebhookId, resource::Resources, webhook::WebhookSpec};

use super::{
    Op,
    apply::{Asked, compare, record, write_rows},
    one::plain,
    webhooks::webhook_deletion,
};
use crate::{
    error::{Entity, StoreError},
    write::Write,
};

/// Creates a webhook without a secret.
pub(crate) async fn create_webhook_row(
    write: &mut Write<'_>,
    permit: &Permit,
    new: WebhookSpec,
    now_us: i64,
) -> Result<WebhookId, StoreError> {
    let resources = Resources { webhooks: vec![new], ..Resources::default() };
    let diff = compare(write.conn(), permit, &resources, Asked::at(now_us)).await?;
    let edit = match (diff.errors.is_empty(), diff.edits.as_slice()) {
        (false, _) => return Err(StoreError::Invalid(plain(Entity::Webhook, diff.errors))),
        (true, [edit]) if edit.op == Op::Create => edit,
        _ => {
            let problem = "this address is told of the same project or tenant already; change that webhook";
            return Err(StoreError::Conflict(problem.to_owned()));
        }
    };
    record(write, edit)?;
    write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
    Ok(WebhookId::from_sql(edit.id))
}

/// Replaces what a webhook says; the same again is no change.
pub(crate) async fn replace_webhook_row(
    write: &mut Write<'_>,
    permit: &Permit,
    id: WebhookId,
    new: WebhookSpec,
    now_us: i64,
) -> Result<(), StoreError> {
    let resources = Resources { webhooks: vec![new], ..Resources::default() };
    let diff = compare(write.conn(), permit, &resources, Asked::at(now_us)).await?;
    if !diff.errors.is_empty() {
        return Err(StoreError::Invalid(plain(Entity::Webhook, diff.errors)));
    }
    if !diff.places.contains_key(&(Entity::Webhook, id.to_sql())) {
        let problem = "its address, project and tenant stay; create another webhook instead";
        return Err(StoreError::invalid("url", problem));
    }
    if let Some(edit) = diff.edits.first() {
        record(write, edit)?;
        write_rows(write.conn(), std::slice::from_ref(edit), now_us).await?;
    }
    Ok(())
}

/// Deletes a webhook, with its secrets and what is on its way.
pub(crate) async fn delete_webhook_row(
    write: &mut Write<'_>,
    permit: &Permit,
    id: WebhookId,
    now_us: i64,
) -> Result<(), StoreError> {
    let nothing = Resources::default();
    let diff = compare(write.conn(), permit, &nothing, Asked::at(now_us)).await?;
    let row = diff.state.webhooks.iter().find(|row| row.id == id.to_sql());
    let edit = webhook_deletion(row.ok_or_else(|| StoreError::not_found(Entity::Webhook, id))?)?;
    record(write, &edit)?;
    write_rows(write.conn(), std::slice::from_ref(&edit), now_us).await
}
