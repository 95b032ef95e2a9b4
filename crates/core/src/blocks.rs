//! Blocks: who is refused with `key_blocked` although the key itself is in order, because a rule said so.
//!
//! A block names a key, a consumer, a project or a service, perhaps one service that is closed to them, and
//! a moment at which it ends by itself. The moment is compared with the clock of the decision, so that a block
//! that nobody took away ends all the same. Immutable, swapped whole.

use std::collections::BTreeMap;

use crate::{
    id::{BlockId, ProjectId, ServiceId, TenantId},
    keyring::KeyRecord,
    rule::{spec::Whose, watch::Subject},
    time::rfc3339,
};

/// Blocks that hold at once over the whole installation; a rule blocks nobody beyond them.
pub const BLOCKS_MAX: usize = 20_000;

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its id.
    pub id: BlockId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The project of the rule.
    pub project: ProjectId,
    /// Who is blocked.
    pub subject: Subject,
    /// What is closed to them; everything when `None`.
    pub service: Option<ServiceId>,
    /// The moment it ends, wall microseconds; `None` until somebody lifts it.
    pub until_us: Option<i64>,
    /// The number of the rule's id.
    pub rule: u64,
    /// The rule's name.
    pub rule_name: Box<str>,
    /// What the rule saw, in words.
    pub reason: Box<str>,
}

impl Block {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, wall_us: i64) -> bool {
        self.until_us.is_none_or(|until| wall_us < until)
    }

    /// Whether it closes a service. What is asked for without naming a service is refused: it may be that one.
    fn closes(&self, service: Option<ServiceId>) -> bool {
        match (self.service, service) {
            (Some(own), Some(asked)) => own == asked,
            (None, _) | (_, None) => true,
        }
    }

    /// Why somebody is refused: which rule, until when.
    #[must_use]
    pub fn words(&self) -> String {
        let until = match self.until_us {
            Some(until) => format!("until {}", rfc3339(until)),
            None => "until somebody lifts the block".to_owned(),
        };
        let noun = self.subject.whose.noun();
        let here = if self.service.is_some() { " for this service" } else { "" };
        let Self { rule_name, reason, .. } = self;
        format!(
            "rule {rule_name} has blocked the {noun}{here} {until}: {reason}; an administrator can lift it"
        )
    }
}

/// All blocks.
#[derive(Debug, Default)]
pub struct Blocks {
    held: BTreeMap<Subject, Vec<Block>>,
}

static NOBODY: Blocks = Blocks { held: BTreeMap::new() };

impl Blocks {
    /// Nobody is blocked.
    pub const NONE: &'static Self = &NOBODY;

    /// Whether nobody is blocked.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Puts a block in place of all that its subject had.
    pub fn replace(&mut self, block: Block) {
        self.held.insert(block.subject, vec![block]);
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Block> {
        self.held.values().flatten()
    }

    /// The block that keeps a key from a service at a moment; of several the one that holds longest.
    #[must_use]
    #[inline]
    pub fn find(&self, record: &KeyRecord, service: Option<ServiceId>, wall_us: i64) -> Option<&Block> {
        let who = [record.id.0, record.consumer.0, record.project.0];
        if self.held.is_empty() { None } else { self.find_of(who, service, wall_us) }
    }

    /// The same, of a key, consumer and project by their ids.
    #[cold]
    #[must_use]
    pub fn find_of(&self, who: [u64; 3], service: Option<ServiceId>, wall_us: i64) -> Option<&Block> {
        let [key, consumer, project] = who;
        let subjects = [
            (Whose::Key, key),
            (Whose::Consumer, consumer),
            (Whose::Project, project),
            (Whose::Service, service.map_or(0, |service| service.0)),
        ];
        subjects
            .into_iter()
            .filter_map(|(whose, id)| self.held.get(&Subject { whose, id }))
            .flatten()
            .filter(|block| block.holds(wall_us) && block.closes(service))
            .max_by_key(|block| block.until_us.unwrap_or(i64::MAX))
    }
}

impl FromIterator<Block> for Blocks {
    fn from_iter<T: IntoIterator<Item = Block>>(blocks: T) -> Self {
        let mut held: BTreeMap<Subject, Vec<Block>> = BTreeMap::new();
        for block in blocks {
            held.entry(block.subject).or_default().push(block);
        }
        Self { held }
    }
}
