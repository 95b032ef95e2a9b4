//! Importing many keys: rows are read, taken together to chunks, and each chunk is one transaction
//! and one change.

use std::collections::{HashMap, HashSet};

use tollgate_core::{
    authz::Permit,
    id::{ConsumerId, PolicyId},
    key::Digest,
    tables::{HMACS_MAX, PREFIX_LENGTHS_MAX},
};

use super::{
    IMPORT_ROWS_MAX, ImportCollision, ImportOptions, ImportReject, ImportReport, ImportRow, ImportScheme,
    chunk::Candidate,
    read::{Known, read},
};
use crate::{
    error::StoreError,
    open::Store,
    random,
    resources::{ProjectRow, find_project},
    secrets::Place,
    sql::{Columns as _, all, run, sql},
    write::Write,
};

/// Rows of one transaction: few enough that a revocation never waits long behind one.
const CHUNK_ROWS: usize = 10_000;
/// Which part of its own time a chunk leaves free to other processes before the next.
const GAP: u32 = 4;
/// Rows that are held and sorted together before their chunks are written (about 100 MB): digests
/// are random, and written in their order each page of their index is touched by few transactions.
const RUN_ROWS: usize = 250_000;

/// An import under way.
pub(super) struct Import<'o> {
    pub(super) options: &'o ImportOptions,
    pub(super) project: ProjectRow,
    policies: HashMap<String, PolicyId>,
    /// Consumers known so far, by name. At most one a row.
    pub(super) consumers: HashMap<String, ConsumerId>,
    /// Digests seen so far with their lines. At most one a row.
    seen: HashMap<Digest, u64>,
    /// Lengths of prefixes of slow hashes, at most [`PREFIX_LENGTHS_MAX`].
    lengths: HashSet<usize>,
    pub(super) report: ImportReport,
}

impl Store {
    /// Imports keys in transactions of 10,000 rows each, one change a transaction; an interrupted
    /// import is taken up by running it again, what is there already is then reported as collisions.
    /// Missing consumers are created as partners. Needs `Action::ChangeKeys` in the project's tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for the project, [`StoreError::Conflict`] at the bound [`HMACS_MAX`].
    /// What is wrong with single rows stands in the report.
    pub async fn import_keys(
        &self,
        permit: &Permit,
        options: &ImportOptions,
        rows: impl Iterator<Item = ImportRow> + Send,
        now_us: i64,
    ) -> Result<ImportReport, StoreError> {
        let mut import = self.begin_import(options).await?;
        if let ImportScheme::HmacSha256 { secret, .. } = &options.scheme {
            let mut write = self.write(permit, now_us).await?;
            self.check_hmac(&mut write, secret.expose()).await?;
            write.roll_back().await?;
        }
        let mut held = Vec::new();
        for (number, row) in (0..).zip(rows) {
            if number >= IMPORT_ROWS_MAX {
                let reason =
                    format!("an import has at most {IMPORT_ROWS_MAX} rows; import the rest by itself");
                import.report.rejected.push(ImportReject { line: row.line, reason });
                break;
            }
            match import.candidate(&row) {
                Ok(Some(candidate)) => held.push(candidate),
                Ok(None) => {}
                Err(reason) => import.report.rejected.push(ImportReject { line: row.line, reason }),
            }
            if held.len() == RUN_ROWS {
                self.import_run(permit, &mut import, std::mem::take(&mut held), now_us).await?;
            }
        }
        self.import_run(permit, &mut import, held, now_us).await?;
        let mut report = import.report;
        report.collisions.sort_unstable_by_key(|collision| collision.line);
        report.rejected.sort_unstable_by_key(|reject| reject.line);
        Ok(report)
    }

    /// Gives ids and digests the same order, then imports chunk by chunk.
    async fn import_run(
        &self,
        permit: &Permit,
        import: &mut Import<'_>,
        mut held: Vec<Candidate>,
        now_us: i64,
    ) -> Result<(), StoreError> {
        held.sort_by_cached_key(Candidate::sort_key);
        let ids = random::sorted_ids(held.len())?;
        for (candidate, id) in held.iter_mut().zip(ids) {
            candidate.id = id;
        }
        let mut held = held.into_iter().peekable();
        while held.peek().is_some() {
            let chunk = held.by_ref().take(CHUNK_ROWS).collect();
            let begin = tokio::time::Instant::now();
            self.import_chunk(permit, import, chunk, now_us).await?;
            if !self.engine().queues_writers() && held.peek().is_some() {
                tokio::time::sleep(begin.elapsed() / GAP).await;
            }
        }
        Ok(())
    }

    async fn begin_import<'o>(&self, options: &'o ImportOptions) -> Result<Import<'o>, StoreError> {
        let mut conn = self.reader().await?;
        let project = find_project(&mut conn, &options.project).await?;
        let mut policies = HashMap::new();
        let select = sql("SELECT name, id FROM policies WHERE project = $1").bind(project.id.to_sql());
        for row in all(select, &mut conn).await? {
            policies.insert(row.text(0)?.to_owned(), PolicyId::from_sql(row.int(1)?));
        }
        if let Some(name) = options.policy.as_ref().filter(|name| !policies.contains_key(*name)) {
            return Err(StoreError::not_found(crate::error::Entity::Policy, name));
        }
        let mut lengths = HashSet::new();
        for row in all(sql("SELECT DISTINCT prefix_bytes FROM slow_secrets"), &mut conn).await? {
            lengths.insert(row.int(0)?.max(0).unsigned_abs() as usize);
        }
        Ok(Import {
            options,
            project,
            policies,
            consumers: HashMap::new(),
            seen: HashMap::new(),
            lengths,
            report: ImportReport::default(),
        })
    }

    async fn import_chunk(
        &self,
        permit: &Permit,
        import: &mut Import<'_>,
        chunk: Vec<Candidate>,
        now_us: i64,
    ) -> Result<(), StoreError> {
        let mut write = self.write(permit, now_us).await?;
        if let ImportScheme::HmacSha256 { secret, .. } = &import.options.scheme {
            self.keep_hmac(&mut write, secret.expose()).await?;
        }
        import.insert(&mut write, chunk, now_us).await?;
        if import.options.dry_run || write.is_empty() {
            return write.roll_back().await;
        }
        import.report.seq = write.commit().await?;
        Ok(())
    }
}

impl Import<'_> {
    /// A row understood and resolved; `None` when its secret stood in an earlier row.
    fn candidate(&mut self, row: &ImportRow) -> Result<Option<Candidate>, String> {
        let read = read(row, &self.options.scheme)?;
        let consumer = row.consumer.as_ref().or(self.options.consumer.as_ref());
        let consumer =
            consumer.ok_or("consumer: none is named; name one in the row or for the whole import")?;
        tollgate_core::name::check_name(consumer).map_err(|problem| format!("consumer: {problem}"))?;
        let policy = match row.policy.as_ref().or(self.options.policy.as_ref()) {
            None => None,
            Some(name) => Some(*self.policies.get(name).ok_or_else(|| {
                format!("policy: the project has no policy `{name}`; create it first, or correct the name")
            })?),
        };
        match &read.known {
            Known::Fast { digest, .. } => {
                if let Some(line) = self.seen.get(digest) {
                    let with_line = Some(*line);
                    let collision = ImportCollision { line: row.line, with_line, with_key: None };
                    self.report.collisions.push(collision);
                    return Ok(None);
                }
                self.seen.insert(*digest, row.line);
            }
            Known::Slow { prefix_bytes, .. } => {
                if !self.lengths.contains(prefix_bytes) && self.lengths.len() >= PREFIX_LENGTHS_MAX {
                    return Err(format!(
                        "prefix: there are {PREFIX_LENGTHS_MAX} lengths of prefixes already; give one of the same length"
                    ));
                }
                self.lengths.insert(*prefix_bytes);
            }
        }
        Ok(Some(Candidate {
            id: 0,
            line: row.line,
            read,
            consumer: consumer.clone(),
            policy,
            environment: row.environment.unwrap_or(self.options.environment),
            name: row.name.clone(),
            expires_us: row.expires_us.unwrap_or(i64::MAX),
            metadata: row.metadata.clone(),
        }))
    }
}

impl Store {
    /// Whether the secret of an HMAC is kept already.
    async fn check_hmac(&self, write: &mut Write<'_>, secret: &[u8]) -> Result<bool, StoreError> {
        if secret.is_empty() {
            return Err(StoreError::invalid("secret", "the key of the HMAC is empty"));
        }
        let rows = all(sql("SELECT id, secret, sealed FROM hmac_secrets"), write.conn()).await?;
        let sealer = self.sealer(write.conn()).await?;
        for row in rows.iter().filter(|row| row.int(2).is_ok_and(|sealed| sealed == 1)) {
            let known = sealer.open(Place::Hmac(row.int(0)?), row.blob(1)?)?;
            if known.expose() == secret {
                return Ok(true);
            }
        }
        if rows.len() >= HMACS_MAX {
            return Err(StoreError::Conflict(format!(
                "keys of {HMACS_MAX} HMAC secrets are imported already, each costs a hash per unknown key; \
                 re-issue the keys of one of them"
            )));
        }
        Ok(false)
    }

    async fn keep_hmac(&self, write: &mut Write<'_>, secret: &[u8]) -> Result<(), StoreError> {
        if !self.check_hmac(write, secret).await? {
            let id = (u64::from_le_bytes(random::id_bytes()?) >> 1) as i64;
            let sealer = self.sealer(write.conn()).await?;
            let sealed = sealer.seal(write.conn(), Place::Hmac(id), secret).await?;
            let insert = sql("INSERT INTO hmac_secrets (id, secret, sealed) VALUES ($1, $2, 1)");
            run(insert.bind(id).bind(sealed), write.conn()).await?;
        }
        Ok(())
    }
}
