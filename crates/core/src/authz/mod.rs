//! What people may do: every mutation of the store needs a [`Permit`], and only this module makes
//! one. Keys never manage keys: there is no actor for them.
//!
//! What is decided about an action stands in [`ACTIONS`]: which role may do it, how far, and whether
//! it needs a fresh sign-in. Nobody acts outside their own tenant (I21).

mod action;

use std::{fmt, str::FromStr, sync::Arc};

use thiserror::Error;

pub use action::{ACTIONS, Action, Right, Row};

use crate::id::{ConsumerId, TenantId, UserId};

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The operating-system user of the command line on the host.
    OsUser(String),
    /// A member of a tenant, signed in.
    Member {
        /// The person.
        user: UserId,
        /// The tenant the role is held in.
        tenant: TenantId,
        /// The role.
        role: Role,
        /// The consumers that the person is mapped to; what a developer or a member is limited to.
        consumers: Arc<[ConsumerId]>,
    },
    /// A person who proved to be this one and acts in no tenant: signing in, taking an invitation.
    Person(UserId),
    /// Tollgate itself: `rehash`, `retention`.
    Worker(String),
    /// A rule of a tenant.
    Rule {
        /// The tenant.
        tenant: TenantId,
        /// The rule's name.
        name: String,
    },
}

impl Actor {
    /// A member who is mapped to no consumers.
    #[must_use]
    pub fn member(user: UserId, tenant: TenantId, role: Role) -> Self {
        Self::Member { user, tenant, role, consumers: Arc::default() }
    }
}

impl fmt::Display for Actor {
    /// As the audit shows it: `os:alice`, `usr_…`, `worker:rehash`, `rule:maps-flood`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OsUser(name) => write!(f, "os:{name}"),
            Self::Member { user, .. } | Self::Person(user) => write!(f, "{user}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
            Self::Rule { name, .. } => write!(f, "rule:{name}"),
        }
    }
}

/// What a member may do in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but owners and identity providers.
    Admin,
    /// The keys of their own consumers.
    Developer,
    /// Read everything, change nothing.
    Auditor,
    /// See and rotate the keys of their own consumers, and nothing else: people of partners.
    Member,
}

impl Role {
    /// All roles; of several that groups give, the first counts.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Admin, Self::Developer, Self::Auditor, Self::Member];

    /// The word in rows and in every API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Developer => "developer",
            Self::Auditor => "auditor",
            Self::Member => "member",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that is no role.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{0}` is not a role; use owner, admin, developer, auditor or member")]
pub struct RoleError(String);

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| RoleError(text.chars().take(64).collect()))
    }
}

/// The right to do one thing, held by value: store methods that change anything take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    actor: Actor,
    action: Action,
    /// What may be done along with it.
    also: Option<Action>,
    tenant: Option<TenantId>,
    consumers: Option<Arc<[ConsumerId]>>,
}

impl Permit {
    /// Who acts, for the audit.
    #[must_use]
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// What may be done.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// What may be done along with it, if anything.
    #[must_use]
    pub const fn also(&self) -> Option<Action> {
        self.also
    }

    /// This permit with what another of the same actor in the same place is for; where the other is somebody
    /// else's or for another place, as it was.
    #[must_use]
    pub fn along_with(self, other: &Self) -> Self {
        let is_alike =
            self.actor == other.actor && self.tenant == other.tenant && self.consumers == other.consumers;
        if is_alike { Self { also: Some(other.action), ..self } } else { self }
    }

    /// Where; `None` is the whole installation.
    #[must_use]
    pub const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// The consumers whose things alone it is for; `None` where it is not limited. Whoever reads
    /// with it shows nothing of others.
    #[must_use]
    pub fn consumers(&self) -> Option<&[ConsumerId]> {
        self.consumers.as_deref()
    }

    /// Whether it covers an action on something of a tenant that is no consumer's. One that is
    /// limited to consumers never does.
    #[must_use]
    pub fn covers(&self, action: Action, tenant: Option<TenantId>) -> bool {
        self.consumers.is_none() && self.reaches(action, tenant)
    }

    /// Whether it covers an action on something of a consumer, such as a key.
    #[must_use]
    pub fn covers_consumer(&self, action: Action, tenant: TenantId, consumer: ConsumerId) -> bool {
        let is_own = self.consumers().is_none_or(|own| own.contains(&consumer));
        is_own && self.reaches(action, Some(tenant))
    }

    fn reaches(&self, action: Action, tenant: Option<TenantId>) -> bool {
        let is_for = self.action.includes(action) || self.also.is_some_and(|also| also.includes(action));
        is_for && (self.tenant.is_none() || self.tenant == tenant)
    }
}

/// A refusal to act.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{actor} may not do this ({action}); ask an owner of the tenant")]
pub struct NotAuthorised {
    actor: String,
    action: &'static str,
}

/// Decides whether an actor may do something in a tenant (`None`: the whole installation). The
/// permit of a developer or a member is limited to the consumers that they are mapped to.
///
/// # Errors
/// When the actor may not.
pub fn authorise(actor: &Actor, action: Action, tenant: Option<TenantId>) -> Result<Permit, NotAuthorised> {
    let right = match actor {
        // Who can run the binary on the host can read the database file anyway.
        Actor::OsUser(_) if action == Action::RehashKeys => Right::No,
        Actor::OsUser(_) => Right::All,
        Actor::Worker(_) if matches!(action, Action::RehashKeys | Action::ChangeKeys) => Right::All,
        // Switches webhooks off whose receivers are gone.
        Actor::Worker(name) if name == "webhooks" && action == Action::ChangeResources => Right::All,
        Actor::Worker(_) => Right::No,
        Actor::Rule { tenant: own, .. } if action == Action::ChangeBlocks && tenant == Some(*own) => {
            Right::All
        }
        Actor::Rule { .. } => Right::No,
        Actor::Person(_) if matches!(action, Action::UseOwnAccount | Action::ChangeOwnAccount) => Right::All,
        Actor::Person(_) => Right::No,
        Actor::Member { tenant: own, role, .. } if tenant == Some(*own) => action.row().right(*role),
        Actor::Member { .. } => Right::No,
    };
    let consumers = match (right, actor) {
        (Right::All, _) => None,
        (Right::Own, Actor::Member { consumers, .. }) => Some(Arc::clone(consumers)),
        (Right::Own | Right::No, _) => {
            return Err(NotAuthorised { actor: actor.to_string(), action: action.row().name });
        }
    };
    Ok(Permit { actor: actor.clone(), action, also: None, tenant, consumers })
}
