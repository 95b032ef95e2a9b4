//! What people may do: every mutation of the store needs a [`Permit`], and only this module makes
//! one. Keys never manage keys: there is no actor for them.

use thiserror::Error;

use crate::id::{TenantId, UserId};

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
    },
    /// Tollgate itself: `rehash`, `rule:<name>`, `retention`.
    Worker(String),
}

impl std::fmt::Display for Actor {
    /// As the audit shows it: `os:alice`, `usr_…`, `worker:rehash`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OsUser(name) => write!(f, "os:{name}"),
            Self::Member { user, .. } => write!(f, "{user}"),
            Self::Worker(name) => write!(f, "worker:{name}"),
        }
    }
}

/// What a member may do in a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Everything but owners and identity providers.
    Admin,
    /// The keys of their own consumers.
    Developer,
    /// Read everything, change nothing.
    Auditor,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create the installation's first tenant and owner.
    Initialise,
    /// Create, change or delete tenants.
    ChangeTenants,
    /// Create, change or delete projects, services, policies, consumers.
    ChangeResources,
    /// Create, change, rotate, revoke or import keys.
    ChangeKeys,
    /// Replace an imported hash by the fast one at first use.
    RehashKeys,
    /// Create or delete tokens of the service API.
    ChangeServiceTokens,
}

/// The right to do one thing, held by value: store methods that change anything take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    actor: Actor,
    action: Action,
    tenant: Option<TenantId>,
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

    /// Where; `None` is the whole installation.
    #[must_use]
    pub const fn tenant(&self) -> Option<TenantId> {
        self.tenant
    }

    /// Whether it covers an action in a tenant.
    #[must_use]
    pub fn covers(&self, action: Action, tenant: Option<TenantId>) -> bool {
        self.action == action && (self.tenant.is_none() || self.tenant == tenant)
    }
}

/// A refusal to act.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{actor} may not do this; ask an owner of the tenant")]
pub struct NotAuthorised {
    actor: String,
}

/// Decides whether an actor may do something in a tenant (`None`: the whole installation).
///
/// # Errors
/// When the actor may not.
pub fn authorise(actor: &Actor, action: Action, tenant: Option<TenantId>) -> Result<Permit, NotAuthorised> {
    let allowed = match actor {
        // Who can run the binary on the host can read the database file anyway.
        Actor::OsUser(_) => !matches!(action, Action::RehashKeys),
        Actor::Worker(_) => matches!(action, Action::RehashKeys | Action::ChangeKeys),
        Actor::Member { tenant: own, role, .. } => tenant == Some(*own) && role_allows(*role, action),
    };
    if allowed {
        Ok(Permit { actor: actor.clone(), action, tenant })
    } else {
        Err(NotAuthorised { actor: actor.to_string() })
    }
}

fn role_allows(role: Role, action: Action) -> bool {
    match role {
        Role::Owner | Role::Admin => {
            matches!(action, Action::ChangeResources | Action::ChangeKeys | Action::ChangeServiceTokens)
        }
        // A developer's right to the keys of their own consumers needs the consumer; until members
        // exist nobody holds the role.
        Role::Developer | Role::Auditor => false,
    }
}
