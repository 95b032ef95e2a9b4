//! One transfer and its entries: written once, by the id that its caller chose.

use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;
use tollgate_core::{id::AccountId, money::amount::Amount};

use crate::{
    error::{Entity, StoreError},
    sql::{Columns as _, bulk, one, places, run, sql},
};

/// Accounts that one transfer may touch: key, consumer, project and tenant, in two currencies.
pub(super) const LEGS_MAX: usize = 8;
/// The longest cause, in bytes.
pub(super) const CAUSE_LEN_MAX: usize = 256;

/// The id of a transfer: 128 bits that its caller chose and will not choose again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub [u8; 16]);

impl TransferId {
    /// The id that these numbers always have in this domain.
    pub(crate) fn derived(domain: &str, numbers: &[u64]) -> Self {
        Self::hashed(Sha256::new().chain_update(b"transfer"), domain, numbers)
    }

    /// The same, of something that has an id.
    pub(crate) fn derived_from(of: Self, domain: &str, numbers: &[u64]) -> Self {
        Self::hashed(Sha256::new().chain_update(of.0), domain, numbers)
    }

    fn hashed(hash: Sha256, domain: &str, numbers: &[u64]) -> Self {
        let hash = hash.chain_update((domain.len() as u64).to_le_bytes()).chain_update(domain);
        let hash = numbers.iter().fold(hash, |hash, number| hash.chain_update(number.to_le_bytes()));
        let mut id = [0; 16];
        for (byte, hashed) in id.iter_mut().zip(hash.finalize()) {
            *byte = hashed;
        }
        Self(id)
    }
}

impl std::fmt::Display for TransferId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for TransferId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// What a transfer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferKind {
    /// Brings funds in, or takes free ones away.
    Fund,
    /// Sets funds aside.
    Reserve,
    /// Spends what was set aside, all or a part; the rest is free again.
    Post,
    /// Frees what was set aside.
    Void,
    /// Spends all that was set aside, because nobody can tell what was used.
    Charge,
    /// Frees what was spent.
    Refund,
    /// Owns up to what was used beyond what was reserved.
    Overrun,
    /// Forgives an overrun.
    WriteOff,
    /// Sets more aside for a process.
    Extend,
    /// Spends a part of what a process holds, as its journal says.
    Draw,
    /// Frees a part of what a process holds.
    Return,
}

impl TransferKind {
    const ALL: [Self; 11] = [
        Self::Fund,
        Self::Reserve,
        Self::Post,
        Self::Void,
        Self::Charge,
        Self::Refund,
        Self::Overrun,
        Self::WriteOff,
        Self::Extend,
        Self::Draw,
        Self::Return,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fund => "fund",
            Self::Reserve => "reserve",
            Self::Post => "post",
            Self::Void => "void",
            Self::Charge => "charge",
            Self::Refund => "refund",
            Self::Overrun => "overrun",
            Self::WriteOff => "write_off",
            Self::Extend => "extend",
            Self::Draw => "draw",
            Self::Return => "return",
        }
    }

    pub(super) fn from_sql(number: i64) -> Result<Self, StoreError> {
        let kind = usize::try_from(number).ok().and_then(|number| Self::ALL.get(number));
        kind.copied().ok_or_else(|| StoreError::corrupt("a transfer is of no known kind"))
    }
}

/// Where funds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Outside of the account: where funds come from.
    Outside,
    /// To be reserved.
    Free,
    /// Set aside.
    Reserved,
    /// Gone.
    Spent,
    /// Gone beyond what was reserved.
    Overrun,
}

impl Side {
    const ALL: [Self; 5] = [Self::Outside, Self::Free, Self::Reserved, Self::Spent, Self::Overrun];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outside => "outside",
            Self::Free => "free",
            Self::Reserved => "reserved",
            Self::Spent => "spent",
            Self::Overrun => "overrun",
        }
    }

    pub(super) fn from_sql(number: i64) -> Result<Self, StoreError> {
        let side = usize::try_from(number).ok().and_then(|number| Self::ALL.get(number));
        side.copied().ok_or_else(|| StoreError::corrupt("an entry is on no known side"))
    }
}

/// An amount in one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leg {
    /// The account.
    pub account: AccountId,
    /// How much, not below zero.
    pub amount: Amount,
}

/// Whether something took effect now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Now.
    Done,
    /// Before, by the same id.
    Replayed,
}

/// A transfer to be written.
pub(super) struct Transfer<'a> {
    pub(super) id: TransferId,
    pub(super) kind: TransferKind,
    pub(super) resolves: Option<TransferId>,
    pub(super) legs: &'a [Leg],
    pub(super) cause: &'a str,
    pub(super) at_us: i64,
}

/// What the id of a transfer turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begun {
    New,
    Replayed,
    /// Another transfer has resolved the same reservation.
    ResolvedBy(TransferId),
}

impl Transfer<'_> {
    /// Takes the id. Whoever takes it at the same time waits for the end of this transaction.
    pub(super) async fn begin(&self, conn: &mut AnyConnection) -> Result<Begun, StoreError> {
        if self.cause.len() > CAUSE_LEN_MAX {
            return Err(StoreError::invalid(
                "cause",
                format!("it is over {CAUSE_LEN_MAX} bytes; shorten it"),
            ));
        }
        let content = self.content();
        let insert = sql("INSERT INTO ledger_transfers (id, kind, resolves, at_us, cause, content) \
                          VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING")
        .bind(self.id.0.to_vec())
        .bind(self.kind as i64)
        .bind(self.resolves.map(|id| id.0.to_vec()))
        .bind(self.at_us)
        .bind(self.cause.to_owned())
        .bind(content.to_vec());
        if run(insert, conn).await? == 1 {
            return Ok(Begun::New);
        }
        let same = sql("SELECT content FROM ledger_transfers WHERE id = $1").bind(self.id.0.to_vec());
        if let Some(row) = one(same, conn).await? {
            return if row.hash(0)? == content {
                Ok(Begun::Replayed)
            } else {
                Err(StoreError::Conflict(format!(
                    "transfer {} has other content; choose another id",
                    self.id
                )))
            };
        }
        let resolves = self.resolves.map(|id| id.0.to_vec());
        let earlier = sql("SELECT id FROM ledger_transfers WHERE resolves = $1").bind(resolves);
        let row = one(earlier, conn).await?;
        let row = row.ok_or_else(|| StoreError::corrupt("a transfer was refused for no reason"))?;
        Ok(Begun::ResolvedBy(id_of(row.blob(0)?)?))
    }

    /// Writes the entries. They must sum up to zero in each account.
    pub(super) async fn enter(
        &self,
        entries: &[(AccountId, Side, i64)],
        conn: &mut AnyConnection,
    ) -> Result<(), StoreError> {
        let entries: Vec<_> = entries.iter().filter(|(_, _, amount)| *amount != 0).collect();
        for (account, _, _) in &entries {
            let of_account = entries.iter().filter(|(other, _, _)| other == account);
            let sum: i128 = of_account.map(|(_, _, amount)| i128::from(*amount)).sum();
            if sum != 0 {
                return Err(StoreError::corrupt("the entries of a transfer do not sum up to zero"));
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        let text = format!(
            "INSERT INTO ledger_entries (transfer, account, side, amount, at_us) VALUES {}",
            places(entries.len(), 5)
        );
        let insert = entries.iter().fold(bulk(text), |insert, (account, side, amount)| {
            insert
                .bind(self.id.0.to_vec())
                .bind(account.to_sql())
                .bind(*side as i64)
                .bind(*amount)
                .bind(self.at_us)
        });
        run(insert, conn).await?;
        Ok(())
    }

    pub(super) fn content(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update([self.kind as u8]);
        hash.update(self.resolves.map(|id| id.0).unwrap_or_default());
        for leg in self.legs {
            hash.update(leg.account.to_sql().to_le_bytes());
            hash.update(leg.amount.atoms().to_le_bytes());
        }
        hash.finalize().into()
    }
}

/// Legs in the order of their accounts, the one order that accounts are locked in.
pub(super) fn in_order(legs: &[Leg]) -> Result<Vec<Leg>, StoreError> {
    if legs.is_empty() || legs.len() > LEGS_MAX {
        return Err(StoreError::invalid(
            "legs",
            format!("{} of them; 1 to {LEGS_MAX} are allowed", legs.len()),
        ));
    }
    let mut legs = legs.to_vec();
    legs.sort_by_key(|leg| leg.account);
    if legs.iter().any(|leg| leg.amount < Amount::ZERO) {
        return Err(StoreError::invalid(
            "legs",
            "an amount is below zero; use the transfer that goes the other way",
        ));
    }
    if legs.windows(2).any(|pair| matches!(pair, [one, two] if one.account == two.account)) {
        return Err(StoreError::invalid("legs", "an account is there twice; add its amounts up"));
    }
    Ok(legs)
}

pub(super) fn id_of(blob: &[u8]) -> Result<TransferId, StoreError> {
    let bytes =
        blob.try_into().map_err(|_| StoreError::corrupt("the id of a transfer is not 16 bytes long"))?;
    Ok(TransferId(bytes))
}

/// There is no such account.
pub(super) fn no_account(account: AccountId) -> StoreError {
    StoreError::not_found(Entity::Account, account)
}
