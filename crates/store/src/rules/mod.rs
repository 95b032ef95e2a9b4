//! What rules do: who watches ([`lease`]), what they did ([`acting`]), whom they keep blocked ([`blocks`]), and
//! how both are shown ([`views`]).
//!
//! One node watches at a time. Its epoch is taken with the lease and goes up each time, and everything that a
//! rule does is written under it: a watch that was overtaken changes nothing any more, whatever its clock says.
//! What a rule does to a subject because of one request has one id, so that doing it again is no second time.
//! Not here: when a rule acts (`tollgate_core::rule`).

mod acting;
mod blocks;
mod lease;
mod told;
mod views;

pub use acting::{Fired, Outcome};
pub use blocks::{LastFiring, Lift};
pub use lease::{WatchLease, WatchLost};
pub use views::{BlockFilter, BlockView, FiringFilter, FiringView, SubjectView};

pub(crate) use blocks::load_blocks;

use tollgate_core::rule::spec::{Action, RuleMode, Whose};

use crate::error::StoreError;

pub(crate) const fn whose_to_sql(whose: Whose) -> i64 {
    match whose {
        Whose::Key => 0,
        Whose::Consumer => 1,
        Whose::Project => 2,
        Whose::Service => 3,
    }
}

pub(crate) fn whose_from_sql(number: i64) -> Result<Whose, StoreError> {
    [Whose::Key, Whose::Consumer, Whose::Project, Whose::Service]
        .into_iter()
        .find(|whose| whose_to_sql(*whose) == number)
        .ok_or_else(|| StoreError::corrupt("a block is of an unknown kind of subject"))
}

const fn action_to_sql(action: Action) -> i64 {
    match action {
        Action::Block => 0,
        Action::Unblock => 1,
        Action::Notify => 2,
    }
}

fn action_from_sql(number: i64) -> Result<Action, StoreError> {
    [Action::Block, Action::Unblock, Action::Notify]
        .into_iter()
        .find(|action| action_to_sql(*action) == number)
        .ok_or_else(|| StoreError::corrupt("a rule did something unknown"))
}

const fn mode_to_sql(mode: RuleMode) -> i64 {
    match mode {
        RuleMode::Observe => 0,
        RuleMode::Enforce => 1,
    }
}
