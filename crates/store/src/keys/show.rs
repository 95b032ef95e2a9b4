//! One key with its secrets.

use std::net::{IpAddr, Ipv6Addr};

use sqlx::AnyConnection;
use tollgate_core::id::{KeyId, TenantId, parse_base62};

use super::{KeyDetail, KeySecret, list::load_view, row::small};
use crate::{
    error::{Entity, StoreError},
    open::Store,
    sql::{Columns as _, all, sql},
};

/// Digits of an id.
const DIGITS: usize = 11;

impl Store {
    /// A key by its id, or by the beginning of its id when only one key begins so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn show_key(&self, id: &str) -> Result<KeyDetail, StoreError> {
        let mut tx = self.begin_read().await?;
        let id = find(&mut tx, id).await?;
        let key = load_view(&mut tx, id).await?;
        let secrets = secrets(&mut tx, id).await?;
        tx.rollback().await?;
        Ok(KeyDetail { key, secrets })
    }

    /// A key of a tenant.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], also when it is another tenant's.
    pub async fn key_of(&self, tenant: TenantId, id: KeyId) -> Result<KeyDetail, StoreError> {
        let mut tx = self.begin_read().await?;
        let key = load_view(&mut tx, id).await?;
        if key.tenant.id != tenant {
            return Err(StoreError::not_found(Entity::Key, id));
        }
        let secrets = secrets(&mut tx, id).await?;
        tx.rollback().await?;
        Ok(KeyDetail { key, secrets })
    }

    /// The id of the key whose id is, or begins, so.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Ambiguous`].
    pub async fn find_key(&self, id: &str) -> Result<KeyId, StoreError> {
        let mut conn = self.reader().await?;
        find(&mut conn, id).await
    }
}

async fn find(conn: &mut AnyConnection, text: &str) -> Result<KeyId, StoreError> {
    let unknown = || StoreError::not_found(Entity::Key, text);
    let (low, high) = range(text).ok_or_else(unknown)?;
    let select = sql("SELECT id FROM keys WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 5");
    let rows = all(select.bind(low).bind(high), conn).await?;
    let ids: Vec<KeyId> = rows.iter().map(|row| row.int(0).map(KeyId::from_sql)).collect::<Result<_, _>>()?;
    match ids.as_slice() {
        [] => Err(unknown()),
        [id] => Ok(*id),
        several => Err(StoreError::Ambiguous {
            kind: Entity::Key,
            name: text.to_owned(),
            candidates: several.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// The ids that begin with these digits: a range, as the digits are a number.
fn range(text: &str) -> Option<(i64, i64)> {
    let digits = text.strip_prefix("key_").filter(|digits| digits.len() <= DIGITS)?;
    let value = parse_base62(digits.as_bytes())?;
    let step = 62u128.pow(u32::try_from(DIGITS - digits.len()).ok()?);
    let low = i64::try_from(value * step).ok()?;
    let high = i64::try_from(value * step + (step - 1)).unwrap_or(i64::MAX);
    Some((low, high))
}

async fn secrets(conn: &mut AnyConnection, id: KeyId) -> Result<Vec<KeySecret>, StoreError> {
    let text = "SELECT s.generation, s.until_us, s.scheme, u.used_us, u.address FROM \
                (SELECT key, generation, until_us, scheme FROM key_secrets WHERE key = $1 \
                 UNION ALL SELECT key, generation, until_us, scheme FROM slow_secrets WHERE key = $1) s \
                LEFT JOIN key_uses u ON u.key = s.key AND u.generation = s.generation \
                ORDER BY s.generation DESC";
    let mut secrets = Vec::new();
    for row in all(sql(text).bind(id.to_sql()), conn).await? {
        let until = row.int(1)?;
        let used = row.opt_int(3)?;
        let address = match used {
            Some(_) => <[u8; 16]>::try_from(row.blob(4)?).ok().map(address),
            None => None,
        };
        secrets.push(KeySecret {
            generation: small(row.int(0)?),
            until_us: (until != i64::MAX).then_some(until),
            scheme: scheme_name(row.int(2)?),
            last_used_us: used,
            last_used_address: address,
        });
    }
    Ok(secrets)
}

/// An address as it was stored: IPv4 mapped into IPv6.
pub(crate) fn address(bytes: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
}

const fn scheme_name(number: i64) -> &'static str {
    match number {
        0 => "tollgate",
        1 => "sha256",
        2 => "sha512",
        3 => "hmac-sha256",
        4 => "bcrypt",
        _ => "argon2",
    }
}
