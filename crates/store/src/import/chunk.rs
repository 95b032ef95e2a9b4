//! One transaction of an import: what is there already is sorted out, the rest is inserted.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::AnyConnection;
use tollgate_core::{
    authz::Action,
    id::{ConsumerId, KeyId, PolicyId},
    key::{Digest, Environment},
    keyring::{KeyState, SLOW_SHARING_MAX},
    resource::{ConsumerKind, ConsumerSpec},
};

use super::{
    ImportCollision, ImportReject,
    read::{Known, Read},
    run::Import,
    schemes::count_scheme,
};
use crate::{
    error::{Entity, StoreError},
    keys::{KeyRow, SecretRow, insert_keys, insert_secrets},
    random,
    resources::{consumers_named, to_json},
    sql::{Columns as _, all, built, bulk, list, places, rows_max, run},
    write::{Change, Write},
};

/// Values asked for in one statement.
const ASKED_MAX: usize = 500;

/// A row ready to be inserted, unless its secret is there.
pub(super) struct Candidate {
    pub(super) id: u64,
    pub(super) line: u64,
    pub(super) read: Read,
    pub(super) consumer: String,
    pub(super) policy: Option<PolicyId>,
    pub(super) environment: Environment,
    pub(super) name: Option<String>,
    pub(super) expires_us: i64,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Import<'_> {
    /// Inserts a chunk and records it as one change.
    pub(super) async fn insert(
        &mut self,
        write: &mut Write<'_>,
        chunk: Vec<Candidate>,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let chunk = self.without_present(write.conn(), chunk).await?;
        let chunk = self.within_sharing(write.conn(), chunk).await?;
        if chunk.is_empty() {
            return Ok(());
        }
        let import = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
        let created = self.put_consumers(write.conn(), &chunk, import).await?;
        let keys = self.rows(&chunk, (import, now_us))?;
        insert_keys(write.conn(), &keys).await?;
        let secrets: Vec<SecretRow> = chunk.iter().filter_map(secret).collect();
        insert_secrets(write.conn(), &secrets).await?;
        for scheme in 1..=3 {
            let count = secrets.iter().filter(|secret| secret.scheme == scheme).count();
            count_scheme(write.conn(), scheme, count as i64).await?;
        }
        insert_slow(write.conn(), &chunk).await?;
        let count = chunk.len() as u64;
        let after = serde_json::json!({
            "project": self.project.id, "scheme": self.scheme_name(), "keys": count,
            "consumers_created": created,
        });
        write.record(Change {
            needs: Action::ChangeKeys,
            tenant: Some(self.project.tenant),
            action: "key.import",
            entity: Entity::Import,
            id: import,
            version: 1,
            before: None,
            after: Some(after.to_string()),
        })?;
        self.report.accepted += count;
        self.report.consumers_created += created;
        Ok(())
    }

    /// The candidates whose digest no key has yet.
    async fn without_present(
        &mut self,
        conn: &mut AnyConnection,
        chunk: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let mut present: HashMap<Digest, KeyId> = HashMap::new();
        let digests: Vec<Digest> = chunk
            .iter()
            .filter_map(|candidate| match &candidate.read.known {
                Known::Fast { digest, .. } => Some(*digest),
                Known::Slow { .. } => None,
            })
            .collect();
        for part in digests.chunks(ASKED_MAX) {
            let text =
                format!("SELECT digest, key FROM key_secrets WHERE digest IN ({})", list(1, part.len()));
            let statement =
                part.iter().fold(built(text), |statement, digest| statement.bind(digest.0.to_vec()));
            for row in all(statement, conn).await? {
                present.insert(Digest(row.hash(0)?), KeyId::from_sql(row.int(1)?));
            }
        }
        let (report, mut kept) = (&mut self.report, Vec::with_capacity(chunk.len()));
        for candidate in chunk {
            let key = match &candidate.read.known {
                Known::Fast { digest, .. } => present.get(digest).copied(),
                Known::Slow { .. } => None,
            };
            match key {
                None => kept.push(candidate),
                Some(key) => report.collisions.push(ImportCollision {
                    line: candidate.line,
                    with_line: None,
                    with_key: Some(key),
                }),
            }
        }
        Ok(kept)
    }

    /// The candidates whose prefix is not shared by too many slow secrets, nor their hash there.
    async fn within_sharing(
        &mut self,
        conn: &mut AnyConnection,
        chunk: Vec<Candidate>,
    ) -> Result<Vec<Candidate>, StoreError> {
        let prefixes: HashSet<Digest> = chunk
            .iter()
            .filter_map(|candidate| match &candidate.read.known {
                Known::Slow { prefix, .. } => Some(*prefix),
                Known::Fast { .. } => None,
            })
            .collect();
        let mut sharing = sharing(conn, &prefixes.into_iter().collect::<Vec<_>>()).await?;
        let (report, mut kept) = (&mut self.report, Vec::with_capacity(chunk.len()));
        for candidate in chunk {
            let Known::Slow { prefix, hash, .. } = &candidate.read.known else {
                kept.push(candidate);
                continue;
            };
            let line = candidate.line;
            let others = sharing.entry(*prefix).or_default();
            if let Some((_, key)) = others.iter().find(|(other, _)| other == hash.expose()) {
                report.collisions.push(ImportCollision { line, with_line: None, with_key: *key });
            } else if others.len() >= SLOW_SHARING_MAX {
                let reason = format!(
                    "prefix: {SLOW_SHARING_MAX} keys begin like this already, and each costs a slow hash per try; \
                     give a longer prefix"
                );
                report.rejected.push(ImportReject { line, reason });
            } else {
                others.push((hash.expose().clone(), None));
                kept.push(candidate);
            }
        }
        Ok(kept)
    }

    /// Finds the consumers of a chunk and creates those that are missing.
    async fn put_consumers(
        &mut self,
        conn: &mut AnyConnection,
        chunk: &[Candidate],
        import: i64,
    ) -> Result<u64, StoreError> {
        let missing: HashSet<&str> = chunk
            .iter()
            .map(|candidate| candidate.consumer.as_str())
            .filter(|name| !self.consumers.contains_key(*name))
            .collect();
        let mut missing: Vec<&str> = missing.into_iter().collect();
        missing.sort_unstable();
        for (name, row) in consumers_named(conn, self.project.id, &missing).await? {
            self.consumers.insert(name, ConsumerId::from_sql(row.id));
        }
        let new: Vec<&str> = missing.into_iter().filter(|name| !self.consumers.contains_key(*name)).collect();
        let mut ids = random::sorted_ids(new.len())?.into_iter().map(ConsumerId);
        for part in new.chunks(rows_max(6)) {
            let text = format!(
                "INSERT INTO consumers (id, project, name, spec, version, import_id) VALUES {}",
                places(part.len(), 6)
            );
            let mut statement = bulk(text);
            for (name, id) in part.iter().zip(&mut ids) {
                let spec = ConsumerSpec {
                    project: self.project.full_name(),
                    name: (*name).to_owned(),
                    kind: ConsumerKind::Partner,
                    external_id: None,
                    metadata: BTreeMap::new(),
                };
                statement = statement
                    .bind(id.to_sql())
                    .bind(self.project.id.to_sql())
                    .bind((*name).to_owned())
                    .bind(to_json(&spec)?)
                    .bind(1_i64)
                    .bind(import);
                self.consumers.insert((*name).to_owned(), id);
            }
            run(statement, conn).await?;
        }
        Ok(new.len() as u64)
    }

    fn rows(&self, chunk: &[Candidate], (import, now_us): (i64, i64)) -> Result<Vec<KeyRow>, StoreError> {
        let mut rows = Vec::with_capacity(chunk.len());
        for candidate in chunk {
            let consumer = self.consumers.get(&candidate.consumer);
            let metadata = &candidate.metadata;
            rows.push(KeyRow {
                id: KeyId(candidate.id),
                project: self.project.id,
                consumer: *consumer
                    .ok_or_else(|| StoreError::not_found(Entity::Consumer, &candidate.consumer))?,
                policy: candidate.policy,
                environment: candidate.environment,
                state: KeyState::Active,
                name: candidate.name.clone(),
                expires_us: candidate.expires_us,
                narrowing: None,
                metadata: if metadata.is_empty() { None } else { Some(to_json(metadata)?) },
                prefix: candidate.read.prefix.clone(),
                last4: candidate.read.last4.clone(),
                created_us: now_us,
                version: 1,
                generation: 0,
                import: Some(import),
            });
        }
        Ok(rows)
    }

    fn scheme_name(&self) -> &'static str {
        use super::ImportScheme as Scheme;
        match self.options.scheme {
            Scheme::Plain => "plain",
            Scheme::Sha256(_) => "sha256",
            Scheme::Sha512(_) => "sha512",
            Scheme::HmacSha256 { .. } => "hmac-sha256",
            Scheme::Bcrypt => "bcrypt",
            Scheme::Argon2 => "argon2",
        }
    }
}

impl Candidate {
    /// What it is sorted by, so that the index of digests is walked once.
    pub(super) fn sort_key(&self) -> Digest {
        match &self.read.known {
            Known::Fast { digest, .. } => *digest,
            Known::Slow { prefix, .. } => *prefix,
        }
    }
}

fn secret(candidate: &Candidate) -> Option<SecretRow> {
    match &candidate.read.known {
        Known::Fast { digest, scheme } => {
            Some(SecretRow { digest: *digest, key: KeyId(candidate.id), generation: 0, scheme: *scheme })
        }
        Known::Slow { .. } => None,
    }
}

/// Slow hashes under these prefixes, with their keys.
async fn sharing(
    conn: &mut AnyConnection,
    prefixes: &[Digest],
) -> Result<HashMap<Digest, Vec<(String, Option<KeyId>)>>, StoreError> {
    let mut sharing: HashMap<Digest, Vec<(String, Option<KeyId>)>> = HashMap::new();
    for part in prefixes.chunks(ASKED_MAX) {
        let text =
            format!("SELECT prefix, hash, key FROM slow_secrets WHERE prefix IN ({})", list(1, part.len()));
        let statement = part.iter().fold(built(text), |statement, prefix| statement.bind(prefix.0.to_vec()));
        for row in all(statement, conn).await? {
            let entry = (row.text(1)?.to_owned(), Some(KeyId::from_sql(row.int(2)?)));
            sharing.entry(Digest(row.hash(0)?)).or_default().push(entry);
        }
    }
    Ok(sharing)
}

async fn insert_slow(conn: &mut AnyConnection, chunk: &[Candidate]) -> Result<(), StoreError> {
    let slow: Vec<_> = chunk
        .iter()
        .filter_map(|candidate| match &candidate.read.known {
            Known::Slow { prefix, prefix_bytes, hash, scheme } => {
                Some((candidate.id, prefix, *prefix_bytes, hash, *scheme))
            }
            Known::Fast { .. } => None,
        })
        .collect();
    for part in slow.chunks(rows_max(7)) {
        let text = format!(
            "INSERT INTO slow_secrets (key, generation, prefix, prefix_bytes, hash, until_us, scheme) VALUES {}",
            places(part.len(), 7)
        );
        let mut statement = bulk(text);
        for (id, prefix, prefix_bytes, hash, scheme) in part {
            statement = statement
                .bind(*id as i64)
                .bind(0_i64)
                .bind(prefix.0.to_vec())
                .bind(*prefix_bytes as i64)
                .bind(hash.expose().clone())
                .bind(i64::MAX)
                .bind(*scheme);
        }
        run(statement, conn).await?;
    }
    Ok(())
}
