//! Providers that prove who somebody is: an OpenID provider, Firebase, a directory (LDAP). Several may be
//! configured at once, beside local accounts. What that means for accounts is the business of `identity`.
//!
//! | file | holds |
//! | --- | --- |
//! | `roles`, `dn` | from groups to a role; names of entries in directories |
//! | `fetch` | small, bounded HTTP requests to providers |
//! | `jwt`, `jwks` | strict ID tokens; the keys they are signed with |
//! | `oidc` | code flow with PKCE, and ID tokens as bearer |
//! | `firebase` | Firebase ID tokens |
//! | `ldap` | search, then bind |
//! | `examine` | whether they can be used, for `tollgate doctor` |

mod dn;
mod examine;
mod fetch;
pub(crate) mod firebase;
mod jwks;
pub(crate) mod jwt;
pub(crate) mod ldap;
pub(crate) mod oidc;
mod roles;

pub use examine::{ProviderFinding, examine_providers};
pub use firebase::FirebaseOptions;
pub use ldap::LdapOptions;
pub use oidc::OidcOptions;
pub use roles::RoleMap;

use std::sync::Arc;

use firebase::Firebase;
use oidc::Oidc;
use tollgate_core::authz::Role;

/// The configured providers; each may be missing.
#[derive(Clone, Debug, Default)]
pub struct ProviderOptions {
    /// An OpenID provider.
    pub oidc: Option<OidcOptions>,
    /// A Firebase project.
    pub firebase: Option<FirebaseOptions>,
    /// A directory.
    pub ldap: Option<LdapOptions>,
}

/// The providers at work.
#[derive(Debug)]
pub(crate) struct Providers {
    pub(crate) oidc: Option<Arc<Oidc>>,
    pub(crate) firebase: Option<Arc<Firebase>>,
    pub(crate) ldap: Option<LdapOptions>,
    /// Sign-ins in the directory at once; more are turned away.
    pub(crate) ldap_places: tokio::sync::Semaphore,
}

/// Sign-ins in the directory at once.
const LDAP_MAX: usize = 8;

impl Providers {
    pub(crate) fn new(options: &ProviderOptions) -> Self {
        Self {
            oidc: options.oidc.clone().map(|options| Arc::new(Oidc::new(options))),
            firebase: options.firebase.clone().map(|options| Arc::new(Firebase::new(options))),
            ldap: options.ldap.clone(),
            ldap_places: tokio::sync::Semaphore::new(LDAP_MAX),
        }
    }
}

/// Somebody whom a provider proved.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    pub(crate) provider: String,
    pub(crate) subject: String,
    pub(crate) email: String,
    pub(crate) name: String,
    /// The tenant's name that the provider decides about; the only one when not said.
    pub(crate) tenant: Option<String>,
    pub(crate) role: Option<Role>,
    /// When they proved it, wall microseconds.
    pub(crate) signed_in_us: i64,
    /// When the provider said what their groups are.
    pub(crate) issued_us: i64,
}

/// Bytes of an e-mail address (RFC 5321 §4.5.3.1.3, less the brackets).
const EMAIL_BYTES_MAX: usize = 254;
/// Signs of a name.
const NAME_CHARS_MAX: usize = 200;

impl Proven {
    /// The same, with name and address as they may be shown: not endless, and without signs that nobody
    /// sees. An address that is none is left away; what is cut off of it would be another one.
    pub(crate) fn shown(mut self) -> Self {
        self.name = self.name.chars().filter(|sign| !sign.is_control()).take(NAME_CHARS_MAX).collect();
        let bad = |sign: char| sign.is_control() || sign.is_whitespace();
        if self.email.len() > EMAIL_BYTES_MAX || self.email.contains(bad) {
            self.email.clear();
        }
        self
    }
}
