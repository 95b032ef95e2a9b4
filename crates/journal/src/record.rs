//! One record of usage: what was decided about a request and how its answer went.
//!
//! The journal stores and returns these values and gives them no meaning of its own. How they lie
//! in a file is the business of `encoding`.

use std::fmt;

use thiserror::Error;

use crate::{
    charge::{CHARGE_BYTES, Charge, SHORT_CHARGE_BYTES},
    money::{DRAW_BYTES, Draw, Draws, Tokens, Used},
};

/// The most charges of one record.
pub const CHARGES_MAX: usize = 16;
/// The most bytes of a path that are kept; the rest is cut at a character.
pub const PATH_BYTES_MAX: usize = 512;
/// The most bytes of a denial's detail that are kept; the rest is cut at a character.
pub const DETAIL_BYTES_MAX: usize = 512;
/// The most bytes of a User-Agent that are kept; the rest is cut at a character.
pub const USER_AGENT_BYTES_MAX: usize = 128;
/// The most bytes of a model's name that are kept; the rest is cut at a character.
pub const MODEL_BYTES_MAX: usize = 128;

/// Marks on a record; a set of bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags(pub u16);

impl Flags {
    /// The client or the upstream broke off before the answer was whole.
    pub const ABORTED: Self = Self(1);
    /// The answer was one given before, replayed for an Idempotency-Key.
    pub const REPLAYED: Self = Self(1 << 1);
    /// More than one attempt was made upstream.
    pub const RETRIED: Self = Self(1 << 2);
    /// The connection was upgraded (WebSocket and the like).
    pub const UPGRADED: Self = Self(1 << 3);
    /// The decision was asked for by a service; nothing was forwarded.
    pub const VERIFIED: Self = Self(1 << 4);
    /// The record only opens the reservations of its draws, before the first byte goes upstream. It is
    /// no request and no event of its own.
    pub const RESERVATION: Self = Self(1 << 5);
    /// Tokens or cost were counted or bounded here, because the upstream did not say them.
    pub const ESTIMATED: Self = Self(1 << 6);
    /// Before this record of a call, one on the same boot and lane has held quotas for it
    /// ([`Record::held_for`]). That hold ends here: what the call used stands in the charges of this one.
    pub const HELD: Self = Self(1 << 7);

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These bits and those of `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The part of a record that has one size. Ids are 0 where there is none (an unknown key has no
/// consumer, a denied request may have no service).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// When the request was admitted or denied, microseconds since 1970 UTC.
    pub at_us: i64,
    /// The key.
    pub key: u64,
    /// The consumer that holds it.
    pub consumer: u64,
    /// The project.
    pub project: u64,
    /// The tenant.
    pub tenant: u64,
    /// The service that took the request.
    pub service: u64,
    /// The policy that decided.
    pub policy: u64,
    /// The number of the outcome (`tollgate_core::code::Code::number`).
    pub code: u8,
    /// The number of the request's method, as the gateway counts them.
    pub method: u8,
    /// The HTTP status of the answer; 0 when none was sent.
    pub status: u16,
    /// Microseconds from the head of the request to the last byte of the answer.
    pub latency_us: u32,
    /// Microseconds of that spent waiting for the upstream's head.
    pub upstream_us: u32,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// Units that the request was charged.
    pub units: u32,
    /// Which secret of the key was used, counted up by rotation.
    pub generation: u16,
    /// Marks.
    pub flags: Flags,
    /// The checks that passed, one bit each.
    pub checks_passed: u32,
    /// The checks that the policy configures, one bit each.
    pub checks_configured: u32,
    /// The client's address; IPv4 is mapped into IPv6 (RFC 4291 §2.5.5.2).
    pub address: [u8; 16],
}

/// More charges than a record can hold.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a record holds at most {CHARGES_MAX} charges, these are {0}")]
pub struct TooManyCharges(pub usize);

/// At most [`CHARGES_MAX`] charges: none is ever cut off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charges<'a>(&'a [Charge]);

impl<'a> Charges<'a> {
    /// No charges.
    pub const NONE: Self = Self(&[]);

    /// Takes the charges of one request.
    ///
    /// # Errors
    /// [`TooManyCharges`] above [`CHARGES_MAX`].
    pub const fn new(charges: &'a [Charge]) -> Result<Self, TooManyCharges> {
        if charges.len() > CHARGES_MAX { Err(TooManyCharges(charges.len())) } else { Ok(Self(charges)) }
    }

    /// The charges.
    #[must_use]
    pub const fn as_slice(self) -> &'a [Charge] {
        self.0
    }
}

/// A record as it is handed to the writer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Record<'a> {
    /// The part of one size.
    pub entry: Entry,
    /// What was taken from quotas.
    pub charges: Charges<'a>,
    /// The path in its one spelling; cut at [`PATH_BYTES_MAX`]. Never carries a credential.
    pub path: &'a str,
    /// Why the request was denied, in words; cut at [`DETAIL_BYTES_MAX`].
    pub detail: &'a str,
    /// The User-Agent; cut at [`USER_AGENT_BYTES_MAX`].
    pub user_agent: &'a str,
    /// The model that was called; cut at [`MODEL_BYTES_MAX`]. Empty for what is no model call.
    pub model: &'a str,
    /// What the call used.
    pub tokens: Tokens,
    /// What it cost, in the smallest parts of `currency`.
    pub cost: i64,
    /// The currency as text, zeros behind it; zeros when there is no price.
    pub currency: [u8; 8],
    /// What it held and used of leases.
    pub draws: Draws<'a>,
    /// In a record that only opens reservations ([`Flags::RESERVATION`]) and whose charges hold quotas: the
    /// decision number of the call that they are held for, on the same boot and lane. The record of that
    /// call has [`Flags::HELD`]. `None` in every other record.
    pub held_for: Option<u64>,
}

impl Record<'_> {
    /// Whether anything of a model call is in it. What has nothing takes no room for it.
    #[inline]
    pub(crate) fn has_call(&self) -> bool {
        self.held_for.is_some()
            || !self.model.is_empty()
            || !self.draws.as_slice().is_empty()
            || self.cost != 0
            || self.currency != [0; 8]
            || self.tokens != Tokens::default()
    }

    /// Tokens, cost and currency.
    #[inline]
    pub(crate) fn used(&self) -> Used {
        Used { tokens: self.tokens, cost: self.cost, currency: self.currency }
    }
}

/// A record as it is read back.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its place in the file order of its boot and lane.
    pub position: u64,
    /// The number of the decision on its boot and lane.
    pub decision: u64,
    /// The part of one size.
    pub entry: Entry,
    /// What was taken from quotas.
    pub charges: Vec<Charge>,
    /// The path.
    pub path: String,
    /// Why the request was denied.
    pub detail: String,
    /// The User-Agent.
    pub user_agent: String,
    /// The model that was called.
    pub model: String,
    /// What the call used.
    pub tokens: Tokens,
    /// What it cost, in the smallest parts of `currency`.
    pub cost: i64,
    /// The currency as text, zeros behind it; zeros when there is no price.
    pub currency: [u8; 8],
    /// What it held and used of leases.
    pub draws: Vec<Draw>,
    /// The call that its charges are held for ([`Record::held_for`]).
    pub held_for: Option<u64>,
}

impl StoredRecord {
    /// The same, lent.
    #[must_use]
    pub fn lend(&self) -> LentRecord<'_> {
        LentRecord {
            position: self.position,
            decision: self.decision,
            entry: self.entry,
            charges: LentCharges::Plain(&self.charges),
            path: self.path.as_bytes(),
            detail: self.detail.as_bytes(),
            user_agent: self.user_agent.as_bytes(),
            model: self.model.as_bytes(),
            tokens: self.tokens,
            cost: self.cost,
            currency: self.currency,
            draws: LentDraws::Plain(&self.draws),
            held_for: self.held_for,
        }
    }
}

/// A record as it lies in the memory of whoever reads it: nothing is copied or allocated for it.
/// The texts are UTF-8, and are given as bytes because most readers only pass them on.
#[derive(Clone, Copy)]
pub struct LentRecord<'a> {
    /// Its place in the file order of its boot and lane.
    pub position: u64,
    /// The number of the decision on its boot and lane.
    pub decision: u64,
    /// The part of one size.
    pub entry: Entry,
    pub(crate) charges: LentCharges<'a>,
    /// The path, UTF-8.
    pub path: &'a [u8],
    /// Why the request was denied, UTF-8.
    pub detail: &'a [u8],
    /// The User-Agent, UTF-8.
    pub user_agent: &'a [u8],
    /// The model that was called, UTF-8.
    pub model: &'a [u8],
    /// What the call used.
    pub tokens: Tokens,
    /// What it cost, in the smallest parts of `currency`.
    pub cost: i64,
    /// The currency as text, zeros behind it; zeros when there is no price.
    pub currency: [u8; 8],
    pub(crate) draws: LentDraws<'a>,
    /// The call that its charges are held for ([`Record::held_for`]).
    pub held_for: Option<u64>,
}

/// Charges where they lie.
#[derive(Clone, Copy)]
pub(crate) enum LentCharges<'a> {
    /// As in a file.
    Encoded(&'a [[u8; CHARGE_BYTES]]),
    /// As in a file, where all have this subject and amount.
    Short { charges: &'a [[u8; SHORT_CHARGE_BYTES]], subject: u64, amount: u64 },
    /// Read already.
    Plain(&'a [Charge]),
}

/// Draws where they lie.
#[derive(Clone, Copy)]
pub(crate) enum LentDraws<'a> {
    /// As in a file.
    Encoded(&'a [[u8; DRAW_BYTES]]),
    /// Read already.
    Plain(&'a [Draw]),
}

impl<'a> LentRecord<'a> {
    /// What was taken from quotas, at most [`CHARGES_MAX`].
    pub fn charges(&self) -> impl Iterator<Item = Charge> + use<'a> {
        let lent = self.charges;
        let count = match lent {
            LentCharges::Encoded(charges) => charges.len(),
            LentCharges::Short { charges, .. } => charges.len(),
            LentCharges::Plain(charges) => charges.len(),
        };
        (0..count).filter_map(move |index| match lent {
            LentCharges::Encoded(charges) => charges.get(index).map(Charge::of_bytes),
            LentCharges::Short { charges, subject, amount } => {
                charges.get(index).map(|bytes| Charge::of_short_bytes(bytes, subject, amount))
            }
            LentCharges::Plain(charges) => charges.get(index).copied(),
        })
    }

    /// What it held and used of leases, at most [`crate::DRAWS_MAX`].
    pub fn draws(&self) -> impl Iterator<Item = Draw> + use<'a> {
        let (encoded, plain): (&[_], &[Draw]) = match self.draws {
            LentDraws::Encoded(encoded) => (encoded, &[]),
            LentDraws::Plain(plain) => (&[], plain),
        };
        encoded.iter().map(Draw::of_bytes).chain(plain.iter().copied())
    }
}

impl LentRecord<'_> {
    /// A copy that stands by itself.
    pub(crate) fn to_stored(self) -> StoredRecord {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        StoredRecord {
            position: self.position,
            decision: self.decision,
            entry: self.entry,
            charges: self.charges().collect(),
            path: text(self.path),
            detail: text(self.detail),
            user_agent: text(self.user_agent),
            model: text(self.model),
            tokens: self.tokens,
            cost: self.cost,
            currency: self.currency,
            draws: self.draws().collect(),
            held_for: self.held_for,
        }
    }
}

impl fmt::Debug for LentRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LentRecord")
            .field("position", &self.position)
            .field("decision", &self.decision)
            .field("code", &self.entry.code)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredRecord")
            .field("position", &self.position)
            .field("decision", &self.decision)
            .field("code", &self.entry.code)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
