//! Keys and consumers on their way from rows to memory.
//!
//! A million keys are read at every start, so rows are not decoded column by column: the database
//! joins each to one line of text, and many lines to one value.

use std::sync::Arc;

use ipnet::IpNet;
use sqlx::AnyConnection;
use tollgate_core::{
    address::parse_network,
    id::{ConsumerId, KeyId, PolicyId, ProjectId},
    key::Digest,
    keyring::{KeyRecord, Narrowing, SlowSecret},
    resource::ConsumerSpec,
    secret::Secret,
    tables::{Consumer, Snapshot},
};

use crate::{
    dialect::Engine,
    error::StoreError,
    import::from_hex,
    keys::{NarrowingText, environment, small, state},
    resources::from_json,
    sql::{Columns as _, all, built, list},
};

/// Ids asked for in one statement.
const IDS_MAX: usize = 500;

/// What a key's record needs, without digest; `-1` stands for no policy.
const RECORD: &str = "k.id || ' ' || k.consumer || ' ' || k.project || ' ' || COALESCE(k.policy, -1) || ' ' || \
     k.expires_us || ' ' || s.until_us || ' ' || k.version || ' ' || s.generation || ' ' || k.state || ' ' || \
     k.environment || ' ' || COALESCE(k.narrowing, '')";

/// Which rows.
pub(super) enum Which<'a> {
    /// With ids from the first (included) to the second (excluded); `i64::MAX` includes the last.
    Range(i64, i64),
    /// With these ids.
    Ids(&'a [i64]),
    /// Of this chunk of an import.
    Import(i64),
}

impl Which<'_> {
    fn condition(&self, table: &str) -> (String, Vec<i64>) {
        match self {
            Self::Range(low, high) if *high == i64::MAX => (format!("{table}.id >= $1"), vec![*low]),
            Self::Range(low, high) => (format!("{table}.id >= $1 AND {table}.id < $2"), vec![*low, *high]),
            Self::Ids(ids) => (format!("{table}.id IN ({})", list(1, ids.len())), ids.to_vec()),
            Self::Import(import) => (format!("{table}.import_id = $1"), vec![*import]),
        }
    }
}

/// The lines that one statement joined.
async fn lines(conn: &mut AnyConnection, text: String, values: Vec<i64>) -> Result<String, StoreError> {
    let statement = values.into_iter().fold(built(text), |statement, value| statement.bind(value));
    let row = crate::sql::only(statement, conn).await?;
    Ok(row.opt_text(0)?.unwrap_or_default().to_owned())
}

/// Puts the keys that are found by a digest into the keyring.
pub(super) async fn load_keys(
    engine: Engine,
    conn: &mut AnyConnection,
    which: &Which<'_>,
    snapshot: &Snapshot,
) -> Result<(), StoreError> {
    let (condition, values) = which.condition("k");
    let text = format!(
        "SELECT string_agg({} || ' ' || {RECORD}, '\n') FROM keys k JOIN key_secrets s ON s.key = k.id \
         WHERE {condition}",
        engine.hex("s.digest")
    );
    let joined = lines(conn, text, values).await?;
    for line in joined.lines() {
        let (digest, record) = line
            .split_once(' ')
            .and_then(|(hex, rest)| Some((digest(hex)?, read_record(rest)?)))
            .ok_or_else(broken)?;
        snapshot.keyring.put(digest, record);
    }
    Ok(())
}

/// Puts the keys that are found by a slow hash into the keyring; gives the prefixes it saw.
pub(super) async fn load_slow(
    conn: &mut AnyConnection,
    which: &Which<'_>,
    snapshot: &Snapshot,
) -> Result<(), StoreError> {
    let (condition, values) = which.condition("k");
    let text =
        format!("SELECT DISTINCT s.prefix FROM slow_secrets s JOIN keys k ON k.id = s.key WHERE {condition}");
    let statement = values.into_iter().fold(built(text), |statement, value| statement.bind(value));
    let mut prefixes = Vec::new();
    for row in all(statement, conn).await? {
        prefixes.push(Digest(row.hash(0)?));
    }
    load_prefixes(conn, &prefixes, snapshot).await
}

/// Reads what stands under prefixes anew: all slow secrets that share one are one entry.
pub(super) async fn load_prefixes(
    conn: &mut AnyConnection,
    prefixes: &[Digest],
    snapshot: &Snapshot,
) -> Result<(), StoreError> {
    for part in prefixes.chunks(IDS_MAX) {
        let text = format!(
            "SELECT s.prefix, s.hash, {RECORD} FROM slow_secrets s JOIN keys k ON k.id = s.key \
             WHERE s.prefix IN ({})",
            list(1, part.len())
        );
        let statement = part.iter().fold(built(text), |statement, prefix| statement.bind(prefix.0.to_vec()));
        let mut found: std::collections::HashMap<Digest, Vec<SlowSecret>> =
            part.iter().map(|prefix| (*prefix, Vec::new())).collect();
        for row in all(statement, conn).await? {
            let record = read_record(row.text(2)?).ok_or_else(broken)?;
            let hash = Secret::new(row.text(1)?.to_owned());
            found.entry(Digest(row.hash(0)?)).or_default().push(SlowSecret { hash, record });
        }
        for (prefix, secrets) in found {
            snapshot.keyring.put_slow(prefix, secrets);
        }
    }
    Ok(())
}

/// Puts consumers into the snapshot. Ids that have no row any more are taken out of it.
pub(super) async fn load_consumers(
    conn: &mut AnyConnection,
    which: &Which<'_>,
    snapshot: &Snapshot,
) -> Result<(), StoreError> {
    let (condition, values) = which.condition("c");
    let text = format!(
        "SELECT string_agg(c.id || ' ' || c.project || ' ' || c.spec, '\n') FROM consumers c WHERE {condition}"
    );
    let joined = lines(conn, text, values).await?;
    let consumers = snapshot.consumers.pin();
    if let Which::Ids(ids) = which {
        let present: Vec<&str> = joined.lines().filter_map(|line| line.split(' ').next()).collect();
        for id in ids.iter().filter(|id| !present.contains(&id.to_string().as_str())) {
            consumers.remove(&ConsumerId::from_sql(*id).0);
        }
    }
    for line in joined.lines() {
        let mut parts = line.splitn(3, ' ');
        let mut number = || parts.next()?.parse::<i64>().ok();
        let (id, project) = number().zip(number()).ok_or_else(broken)?;
        let spec: ConsumerSpec = from_json(parts.next().ok_or_else(broken)?)?;
        let id = ConsumerId::from_sql(id);
        consumers.insert(id.0, Arc::new(consumer(id, ProjectId::from_sql(project), spec)));
    }
    Ok(())
}

fn consumer(id: ConsumerId, project: ProjectId, spec: ConsumerSpec) -> Consumer {
    Consumer {
        id,
        project,
        name: spec.name.into(),
        kind: spec.kind,
        external_id: spec.external_id.map(Into::into),
        metadata: spec.metadata.into_iter().map(|(name, value)| (name.into(), value.into())).collect(),
    }
}

/// Reads what [`RECORD`] wrote.
fn read_record(line: &str) -> Option<KeyRecord> {
    let mut parts = line.splitn(11, ' ');
    let mut number = || parts.next()?.parse::<i64>().ok();
    let (id, consumer, project, policy) = (number()?, number()?, number()?, number()?);
    let (expires_us, secret_until_us) = (number()?, number()?);
    let (version, generation, key_state, key_environment) = (number()?, number()?, number()?, number()?);
    let narrowing = parts.next()?;
    Some(KeyRecord {
        id: KeyId::from_sql(id),
        consumer: ConsumerId::from_sql(consumer),
        project: ProjectId::from_sql(project),
        policy: (policy >= 0).then(|| PolicyId::from_sql(policy)),
        expires_us,
        secret_until_us,
        version: small(version),
        generation: small(generation),
        state: state(key_state),
        environment: environment(key_environment),
        narrowing: (!narrowing.is_empty())
            .then(|| Box::new(read_narrowing(narrowing).unwrap_or_else(nobody))),
    })
}

/// It was checked when it was written; what cannot be read all the same lets nobody in.
fn nobody() -> Narrowing {
    tracing::error!("the restrictions of a key cannot be read; it is refused from everywhere");
    Narrowing { bind_host: None, networks: Some(Box::default()) }
}

fn read_narrowing(text: &str) -> Option<Narrowing> {
    let text: NarrowingText = serde_json::from_str(text).ok()?;
    let networks: Option<Box<[IpNet]>> = match text.allow_ips {
        None => None,
        Some(networks) => {
            Some(networks.iter().map(|network| parse_network(network).ok()).collect::<Option<_>>()?)
        }
    };
    Some(Narrowing { bind_host: text.bind_host.map(Into::into), networks })
}

/// A digest from its 64 hexadecimal digits.
pub(super) fn digest(hex: &str) -> Option<Digest> {
    from_hex(hex.as_bytes())?.try_into().ok().map(Digest)
}

fn broken() -> StoreError {
    StoreError::corrupt("the row of a key or consumer cannot be read")
}
