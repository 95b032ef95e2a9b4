//! The checkpoints of a file, for holding a chain against them.

use std::{
    collections::{BTreeMap, HashMap},
    io::BufRead,
};

use super::checkpoint::{PublicKey, Seal};
use crate::audit::{Broken, Verified};

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 4096;

/// Checkpoints that were verified.
#[derive(Clone, Debug, Default)]
pub struct Anchors {
    /// Number of a change to the hash it had.
    hashes: BTreeMap<u64, [u8; 32]>,
    installation: Option<u64>,
    last: Option<Seal>,
}

impl Anchors {
    /// Reads a file of checkpoints, one a line. Every line must be whole, in order, of one
    /// installation, and signed by a key that is trusted.
    ///
    /// # Errors
    /// What is wrong with it, and at which line.
    pub fn read(file: &mut dyn BufRead, trusted: &[PublicKey]) -> Result<Self, String> {
        let mut anchors = Self::default();
        let mut last_of: HashMap<PublicKey, u64> = HashMap::new();
        let mut number = 0u64;
        loop {
            number += 1;
            let mut line = String::new();
            let wrong = |what: String| format!("line {number}: {what}");
            let mut limited = std::io::Read::take(&mut *file, LINE_BYTES_MAX);
            let read = limited.read_line(&mut line).map_err(|error| wrong(error.to_string()))?;
            if read == 0 {
                return Ok(anchors);
            }
            let whole = line.strip_suffix('\n').ok_or_else(|| wrong("it is cut off".to_owned()))?;
            let seal = Seal::parse(whole).map_err(wrong)?;
            if !trusted.contains(&seal.key) {
                return Err(wrong(format!(
                    "it is signed by {}, which is not a key that was given",
                    seal.key
                )));
            }
            let before = last_of.insert(seal.key, seal.checkpoint.seq);
            if before.is_some_and(|before| before >= seal.checkpoint.seq) {
                return Err(wrong("it is not later than the one before it".to_owned()));
            }
            anchors.add(seal).map_err(wrong)?;
        }
    }

    /// Takes a checkpoint in.
    ///
    /// # Errors
    /// When its signature is wrong, or it contradicts another.
    pub fn add(&mut self, seal: Seal) -> Result<(), String> {
        let point = seal.checkpoint;
        if !seal.is_signed() {
            return Err("its signature is wrong".to_owned());
        }
        if self.installation.replace(point.installation).is_some_and(|other| other != point.installation) {
            return Err("it is of another installation than those before it".to_owned());
        }
        if self.hashes.insert(point.seq, point.hash).is_some_and(|other| other != point.hash) {
            return Err(format!("there is another checkpoint of change {} with another hash", point.seq));
        }
        if self.last.is_none_or(|last| last.checkpoint.seq <= point.seq) {
            self.last = Some(seal);
        }
        Ok(())
    }

    /// The one that proves most.
    #[must_use]
    pub const fn last(&self) -> Option<&Seal> {
        self.last.as_ref()
    }

    /// How many changes have a checkpoint of their own.
    #[must_use]
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Whether the chain is of the same installation as they are.
    pub(crate) fn is_of(&self, installation: u64) -> Result<(), Broken> {
        match self.installation {
            Some(own) if own != installation => {
                Err(Broken { seq: 1, what: "the checkpoints are of another installation".to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Whether a change has the hash it had.
    pub(crate) fn holds(&self, seq: u64, hash: &[u8; 32]) -> Result<(), Broken> {
        match self.hashes.get(&seq) {
            Some(was) if was != hash => {
                let what = "it has another hash than its checkpoint; the chain was rewritten".to_owned();
                Err(Broken { seq, what })
            }
            _ => Ok(()),
        }
    }

    /// Whether a chain reaches as far as they do.
    pub(crate) fn reached_by(&self, verified: &Verified) -> Result<(), Broken> {
        match self.hashes.last_key_value() {
            Some((seq, _)) if *seq > verified.head => {
                let what = format!("it is missing; a checkpoint says that there was change {seq}");
                Err(Broken { seq: verified.head + 1, what })
            }
            _ => Ok(()),
        }
    }
}
