//! What the page of records shows to whom.

use tollgate_core::authz::Action;
use tollgate_store::{ApplyMode, RefusedUsage};

use super::Pages;
use crate::sign_in::world::{NOW, OWNER, PASSWORD, host, without_mail};

#[tokio::test]
async fn what_all_tenants_share_is_shown_while_there_is_one() {
    let world = without_mail().await;
    let refused = RefusedUsage {
        place: "usage/0/7".into(),
        reason: "`key_id` key_9 is unknown".into(),
        refused_us: NOW,
    };
    world.store.note_refused_usage(&[refused]).await.unwrap();
    let mut owner = Pages::of(world.address, OWNER, PASSWORD).await;
    owner.get("/settings/records").await.is(200).has("Passed over from the usage topic").has("usage/0/7");
    let other = serde_json::from_value(serde_json::json!({"tenant": [{"name": "other"}]})).unwrap();
    world.store.apply(&host(Action::ChangeResources), &other, ApplyMode::default(), NOW).await.unwrap();
    let page = owner.get("/settings/records").await;
    page.is(200).has("Types of events").lacks("Passed over").lacks("usage/0/7").lacks("key_9");
}
