//! Puts into the demo's database what there is to try; running the demo again changes nothing but
//! the secrets, which cannot be shown twice.

use std::net::SocketAddr;

use tollgate_core::{
    authz::{Action, Permit},
    id::{KeyId, ServiceTokenId},
    key::{Environment, KeyText},
    secret::Secret,
};
use tollgate_store::{
    ApplyMode, CreatedKey, KeyFilter, NewInstallation, NewKey, NewServiceToken, PageRequest, Rotation, Store,
    StoreError,
};

use crate::{
    context::{Context, random_secret},
    data_dir,
    failure::Failure,
    password::password_hash,
    resource_file,
};

const RESOURCES: &str = include_str!("resources.toml");
/// A small model, made by `crates/inference/tests/models/make.py`.
const MODEL: &[u8] = include_bytes!("fraud.onnx");
const PROJECT: &str = "demo/maps";
const OWNER: &str = "owner@demo.example";
/// The sample provider's credential, which no client has.
pub(super) const PROVIDER_KEY: &str = "sk-demo-provider-0000";
const TOKEN_NAME: &str = "demo-backend";

/// What there is to try.
pub(super) struct Furnished {
    /// May read tiles, ten times in ten seconds.
    pub(super) reader: Sample,
    /// As the reader, and in a hurry: its limit is used up.
    pub(super) hasty: Sample,
    /// As the reader, and asks for more than it may, again and again: a rule blocks it.
    pub(super) curious: Sample,
    /// May read and create orders.
    pub(super) shop: Sample,
    /// May be used from the office only.
    pub(super) office: Sample,
    /// Has expired.
    pub(super) expired: Sample,
    /// May call a model.
    pub(super) assistant: Sample,
    /// May call a model, and has no budget left for it.
    pub(super) intern: Sample,
    /// May submit points.
    pub(super) agent: Sample,
    /// A token of the service API.
    pub(super) token: KeyText,
    /// The owner and their password, when they were just created.
    pub(super) owner: Option<(&'static str, Secret<String>)>,
}

/// A key and its id.
pub(super) struct Sample {
    pub(super) id: KeyId,
    pub(super) key: KeyText,
}

/// What a sample key shall be.
struct Wanted {
    name: &'static str,
    consumer: &'static str,
    policy: &'static str,
}

pub(super) async fn furnish(context: &Context, upstream: SocketAddr) -> Result<Furnished, Failure> {
    let store = context.store_or_new().await?;
    let owner = owner(context, &store).await?;
    let model = std::path::absolute(context.config.data_dir.join("fraud.onnx"))?;
    std::fs::write(&model, MODEL)?;
    let text = RESOURCES
        .replace("UPSTREAM", &upstream.to_string())
        .replace("\"MODEL\"", &toml::Value::String(model.display().to_string()).to_string());
    let file = resource_file::parse("the demo's resources", &text).map_err(|errors| {
        Failure::failed(errors.iter().map(|error| format!("{error}\n")).collect::<String>())
    })?;
    let permit = context.permit(Action::ChangeResources)?;
    store.apply(&permit, &file.resources, ApplyMode::default(), context.now_us()).await?;

    let permit = context.permit(Action::ChangeProviderCredentials)?;
    store.make_key_file().await?;
    let credential = Secret::new(PROVIDER_KEY.to_owned());
    store.put_secret(&permit, (PROJECT, "demo-provider", &credential), context.now_us()).await?;

    let permit = context.permit(Action::ChangeKeys)?;
    let wanted = |name, consumer, policy| Wanted { name, consumer, policy };
    let reader = key(context, &store, &permit, wanted("reads tiles", "android-team", "tiles-reader")).await?;
    let hasty = key(context, &store, &permit, wanted("in a hurry", "android-team", "tiles-reader")).await?;
    let curious = key(context, &store, &permit, wanted("too curious", "crawler", "tiles-reader")).await?;
    let shop = key(context, &store, &permit, wanted("takes orders", "web-shop", "shop")).await?;
    let office = key(context, &store, &permit, wanted("office only", "office", "office-only")).await?;
    let expired = key(context, &store, &permit, wanted("expired", "android-team", "tiles-reader")).await?;
    let now_us = context.now_us();
    store.set_key_expiry(&permit, expired.id, Some(now_us), now_us).await?;
    let assistant =
        key(context, &store, &permit, wanted("asks a model", "android-team", "assistant")).await?;
    let intern = key(context, &store, &permit, wanted("has spent all", "intern", "assistant")).await?;
    let agent = key(context, &store, &permit, wanted("submits points", "web-1", "agent")).await?;
    let token = token(context, &store).await?;
    store.close().await;
    Ok(Furnished { reader, hasty, curious, shop, office, expired, assistant, intern, agent, token, owner })
}

/// The first tenant and its owner, with a password drawn at random; nothing when they are there.
async fn owner(context: &Context, store: &Store) -> Result<Option<(&'static str, Secret<String>)>, Failure> {
    let random: [u8; 16] = data_dir::random()?;
    let digits = tollgate_core::id::base62::<20>(u128::from_le_bytes(random));
    let password = Secret::new(String::from_utf8_lossy(&digits).into_owned());
    let new = NewInstallation {
        tenant: "demo".to_owned(),
        owner_email: OWNER.to_owned(),
        password_hash: password_hash(&password)?,
    };
    let permit = context.permit(Action::Initialise)?;
    match store.init(&permit, new, context.now_us()).await {
        Ok(_) => Ok(Some((OWNER, password))),
        Err(StoreError::Conflict(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A key by its name: created, or given a new secret when it is there from an earlier run.
async fn key(context: &Context, store: &Store, permit: &Permit, wanted: Wanted) -> Result<Sample, Failure> {
    let now_us = context.now_us();
    let filter = KeyFilter { project: Some(PROJECT.to_owned()), ..KeyFilter::default() };
    let page = PageRequest { limit: 1000, cursor: None };
    let present = store.list_keys(&filter, &page).await?.items;
    let own = present.iter().find(|key| {
        key.name.as_deref() == Some(wanted.name) && key.state == tollgate_core::keyring::KeyState::Active
    });
    let random = random_secret()?;
    let CreatedKey { id, key, .. } = match own {
        Some(own) => {
            let rotation = Rotation { id: own.id, overlap_us: 0 };
            store.rotate_key(permit, rotation, &random, now_us).await?.value
        }
        None => {
            let new = NewKey {
                project: PROJECT.to_owned(),
                consumer: wanted.consumer.to_owned(),
                policy: Some(wanted.policy.to_owned()),
                environment: Environment::Live,
                name: Some(wanted.name.to_owned()),
                expires_us: None,
                bind_host: None,
                allow_ips: None,
                metadata: std::collections::BTreeMap::new(),
            };
            store.create_key(permit, new, &random, now_us).await?.value
        }
    };
    Ok(Sample { id, key })
}

/// A token of the service API; one of an earlier run is revoked.
async fn token(context: &Context, store: &Store) -> Result<KeyText, Failure> {
    let permit = context.permit(Action::ChangeServiceTokens)?;
    let earlier = store.list_service_tokens().await?;
    let stale: Vec<ServiceTokenId> = earlier
        .iter()
        .filter(|token| token.name == TOKEN_NAME && token.revoked_us.is_none())
        .map(|token| token.id)
        .collect();
    for id in stale {
        store.revoke_service_token(&permit, id, context.now_us()).await?;
    }
    let new = NewServiceToken {
        name: TOKEN_NAME.to_owned(),
        tenant: Some("demo".to_owned()),
        services: Vec::new(),
    };
    let made = store.create_service_token(&permit, new, &random_secret()?, context.now_us()).await?;
    Ok(made.value.token)
}
