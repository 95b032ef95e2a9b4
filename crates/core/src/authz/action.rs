//! What can be done, and by which role: one table, which `docs/generated/permissions.md` is written
//! from. An action without a row does not compile.

use super::Role;

/// How far a role may do something in its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Not at all.
    No,
    /// With what belongs to the consumers that the person is mapped to.
    Own,
    /// With everything of the tenant.
    All,
}

/// One action with everything that is decided about it.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The action.
    pub action: Action,
    /// Its name in documents and in answers.
    pub name: &'static str,
    /// What it is, for people.
    pub doc: &'static str,
    /// How far an owner may.
    pub owner: Right,
    /// How far an administrator may.
    pub admin: Right,
    /// How far a developer may.
    pub developer: Right,
    /// How far an auditor may.
    pub auditor: Right,
    /// How far a member without any other role may.
    pub member: Right,
    /// Whether a person must have signed in a short while ago (step-up).
    pub fresh_sign_in: bool,
}

impl Row {
    /// How far a role may.
    #[must_use]
    pub const fn right(&self, role: Role) -> Right {
        match role {
            Role::Owner => self.owner,
            Role::Admin => self.admin,
            Role::Developer => self.developer,
            Role::Auditor => self.auditor,
            Role::Member => self.member,
        }
    }
}

/// Declares the actions and their table at once, so that neither is without the other. The columns
/// are owner, admin, developer, auditor, member.
macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal:
        $owner:ident $admin:ident $developer:ident $auditor:ident $member:ident $($fresh:ident)?;)+) => {
        /// What is done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
        }

        /// Every action, in the order of the documents.
        pub const ACTIONS: &[Row] = &[$(Row {
            action: Action::$name,
            name: $text,
            doc: concat!($($doc),+),
            owner: Right::$owner,
            admin: Right::$admin,
            developer: Right::$developer,
            auditor: Right::$auditor,
            member: Right::$member,
            fresh_sign_in: is_fresh!($($fresh)?),
        }),+];
    };
}

macro_rules! is_fresh {
    () => {
        false
    };
    (fresh) => {
        true
    };
}

actions! {
    /// Create the installation's first tenant and owner.
    Initialise = "initialise": No No No No No;
    /// Replace an imported hash by the fast one at first use.
    RehashKeys = "keys.rehash": No No No No No;

    /// See the tenant's name and settings.
    ReadTenant = "tenant.read": All All All All All;
    /// Change the tenant's settings; create or delete tenants.
    ChangeTenants = "tenant.change": All No No No No fresh;
    /// See projects.
    ReadProjects = "projects.read": All All Own All No;
    /// See services and how their upstreams are.
    ReadServices = "services.read": All All Own All No;
    /// See policies.
    ReadPolicies = "policies.read": All All Own All No;
    /// See consumers.
    ReadConsumers = "consumers.read": All All Own All No;
    /// See budgets and prices.
    ReadBudgets = "budgets.read": All All Own All No;
    /// See rules, meters, schemas and webhooks.
    ReadAutomation = "automation.read": All All No All No;
    /// Block by a rule, and lift blocks of rules.
    ChangeBlocks = "blocks.change": All All No No No;
    /// Create, change or delete projects, services, policies, consumers, budgets, prices, rules, meters, webhooks.
    ChangeResources = "resources.change": All All No No No;

    /// See keys, never their secrets.
    ReadKeys = "keys.read": All All Own All Own;
    /// Rotate keys, and finish rotations.
    RotateKeys = "keys.rotate": All All Own No Own;
    /// Rotate keys, switch them off, revoke them; create keys with a policy that their consumer holds already.
    TendKeys = "keys.tend": All All Own No No;
    /// Create, change, switch on, extend, import keys, with any policy.
    ChangeKeys = "keys.change": All All No No No;
    /// See tokens of the service API, never their secrets.
    ReadServiceTokens = "service_tokens.read": All All No All No;
    /// Create or revoke tokens of the service API.
    ChangeServiceTokens = "service_tokens.change": All All No No No;
    /// See which credentials for providers there are, never the credentials.
    ReadProviderCredentials = "provider_credentials.read": All All No All No;
    /// Set or delete credentials for providers.
    ChangeProviderCredentials = "provider_credentials.change": All All No No No fresh;

    /// See decisions and other events.
    ReadEvents = "events.read": All All Own All No;
    /// See usage and cost.
    ReadUsage = "usage.read": All All Own All Own;
    /// Ask what a request would be answered, and try drafts of policies and rules on past events.
    Explain = "explain": All All Own All No;
    /// See the audit, and verify its chain.
    ReadAudit = "audit.read": All All No All No;
    /// Take the audit away as a file.
    ExportAudit = "audit.export": All All No All No fresh;
    /// Take all resources, events or usage away as a file.
    ExportEverything = "export": All All No No No fresh;

    /// See who belongs to the tenant, with their roles.
    ReadMembers = "members.read": All All No All No;
    /// Invite members, give and take roles but owner, map developers to consumers, remove members.
    ChangeMembers = "members.change": All All No No No fresh;
    /// Make owners, and take the role from owners.
    ChangeOwners = "owners.change": All No No No No fresh;
    /// See open invitations.
    ReadInvitations = "invitations.read": All All No All No;
    /// See the sessions of other members.
    ReadSessions = "sessions.read": All All No All No;
    /// End the sessions of other members.
    EndSessions = "sessions.end": All All No No No;
    /// See how people sign in.
    ReadIdentityProviders = "identity_providers.read": All All No All No;
    /// Change how people sign in.
    ChangeIdentityProviders = "identity_providers.change": All No No No No fresh;
    /// See the own account and its sessions; sign out; switch tenants.
    UseOwnAccount = "account.use": All All All All All;
    /// Change the own password and second factor.
    ChangeOwnAccount = "account.change": All All All All All fresh;

    /// See how nodes and their parts are, and the settings they run with.
    ReadSystem = "system.read": All All No All No;
}

impl Action {
    /// What is decided about it.
    #[must_use]
    pub fn row(self) -> &'static Row {
        // Rows stand in the order of the variants; a test holds them to it. Were it otherwise, what
        // is answered is an action that no member may do.
        const NOBODY: Row = Row {
            action: Action::Initialise,
            name: "",
            doc: "",
            owner: Right::No,
            admin: Right::No,
            developer: Right::No,
            auditor: Right::No,
            member: Right::No,
            fresh_sign_in: true,
        };
        ACTIONS.get(self as usize).unwrap_or(&NOBODY)
    }

    /// Whether a permit for `self` is one for `other` too.
    pub(super) fn includes(self, other: Self) -> bool {
        let part_of_it = matches!(
            (self, other),
            (Self::ChangeKeys, Self::TendKeys | Self::RotateKeys)
                | (Self::TendKeys, Self::RotateKeys)
                | (Self::ChangeOwners, Self::ChangeMembers)
                | (Self::ChangeOwnAccount, Self::UseOwnAccount)
        );
        self == other || part_of_it
    }
}
