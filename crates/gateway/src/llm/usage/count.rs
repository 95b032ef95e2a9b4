//! One number of a usage: there, null, not there, or beyond belief.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use tollgate_core::money::usage::TOKENS_MAX;

/// A number of tokens as an answer has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Count {
    /// Not there.
    #[default]
    Absent,
    /// There and null: nothing is said.
    Null,
    /// So many.
    Is(u64),
    /// No count: below zero, a fraction, over [`TOKENS_MAX`], or no number at all.
    Bad,
}

impl Count {
    /// How many; 0 when nothing is said. A bad one makes the usage estimated.
    pub(super) fn or_zero(self, estimated: &mut bool) -> u64 {
        *estimated |= self == Self::Bad;
        self.said().unwrap_or(0)
    }

    /// How many, when it is said.
    pub(super) const fn said(self) -> Option<u64> {
        match self {
            Self::Is(count) => Some(count),
            Self::Absent | Self::Null | Self::Bad => None,
        }
    }

    const fn of(count: u64) -> Self {
        if count <= TOKENS_MAX { Self::Is(count) } else { Self::Bad }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of tokens")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(Count::of(count))
    }

    fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
        Ok(u64::try_from(count).map_or(Count::Bad, Count::of))
    }

    fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
        // Some senders write every number as a fraction. Up to the bound they are exact.
        let is_count = count >= 0.0 && count.fract() == 0.0 && count <= TOKENS_MAX as f64;
        Ok(if is_count { Count::of(count as u64) } else { Count::Bad })
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::Bad)
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count::Bad)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::Bad)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::Bad)
    }
}
