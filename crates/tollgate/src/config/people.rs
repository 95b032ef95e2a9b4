//! The settings of how people sign in: sessions, and identity providers beside local accounts.

use std::time::Duration;

use ipnet::IpNet;
use tollgate_control::{FirebaseOptions, LdapOptions, OidcOptions, ProviderOptions, RoleMap};
use tollgate_core::secret::Secret;

use super::{
    settings::{Setting, put},
    value::{Written, choice, duration, networks, path, text},
};

/// How people sign in.
#[derive(Clone, Debug)]
pub struct People {
    /// Where browsers reach the control listener.
    pub public_url: Option<String>,
    /// Peers of the control listener that are believed about whom they call for.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a session may stay unused.
    pub session_idle: Duration,
    /// How long a session may last at all.
    pub session_life: Duration,
    /// The OpenID provider; none when its issuer is empty.
    pub oidc: OidcOptions,
    /// The Firebase project; none when its name is empty.
    pub firebase: FirebaseOptions,
    /// The directory; none when its address is empty.
    pub ldap: LdapOptions,
}

impl Default for People {
    fn default() -> Self {
        Self {
            public_url: None,
            trusted_proxies: Vec::new(),
            session_idle: Duration::ZERO,
            session_life: Duration::ZERO,
            oidc: OidcOptions {
                issuer: String::new(),
                client_id: String::new(),
                client_secret: None,
                scopes: String::new(),
                groups_claim: String::new(),
                roles: RoleMap::default(),
                tenant: None,
            },
            firebase: FirebaseOptions::new(String::new()),
            ldap: LdapOptions {
                url: String::new(),
                start_tls: false,
                ca_file: None,
                bind_dn: String::new(),
                bind_password: Secret::new(String::new()),
                user_base: String::new(),
                user_filter: String::new(),
                id_attribute: String::new(),
                group_base: None,
                group_filter: String::new(),
                roles: RoleMap::default(),
                tenant: None,
            },
        }
    }
}

impl People {
    /// The providers that are configured.
    #[must_use]
    pub fn providers(&self) -> ProviderOptions {
        ProviderOptions {
            oidc: Some(self.oidc.clone()).filter(|oidc| !oidc.issuer.is_empty()),
            firebase: Some(self.firebase.clone()).filter(|firebase| !firebase.project.is_empty()),
            ldap: Some(self.ldap.clone()).filter(|ldap| !ldap.url.is_empty()),
        }
    }
}

/// What needs what beside it.
pub(super) const TOGETHER: &[(&str, &str)] = &[
    ("oidc.issuer", "oidc.client_id"),
    ("oidc.client_id", "oidc.issuer"),
    ("oidc.client_secret", "oidc.issuer"),
    ("ldap.url", "ldap.bind_dn"),
    ("ldap.url", "ldap.bind_password"),
    ("ldap.url", "ldap.user_base"),
    ("ldap.bind_dn", "ldap.url"),
];

const ROLES: &str = "`GROUP=ROLE,GROUP=ROLE`, or a table `\"GROUP\" = \"ROLE\"`; roles are owner, admin, developer, auditor, member";
const LDAP_ROLES_DOC: &str = "Which group gives which role; a group is named by its `cn` or whole, in whatever spelling, `*` is everybody in the directory. Whole names have commas: write a table, `[ldap.roles]` and below it `\"cn=admins,ou=groups,dc=example,dc=com\" = \"admin\"`, or separate the pairs with `;`. Whoever has no role this way cannot sign in, and a role is followed at each sign-in.";
const ROLES_DOC: &str = "Which group gives which role; `*` is everybody the provider proves. Whoever has no role this way cannot sign in, and a role is followed at each sign-in.";
const TENANT_DOC: &str = "The tenant whose members its people become; the only one when not set.";
const TENANT: &str = "name of a tenant";

pub(super) const fn setting(
    (path, shape, default): (&'static str, &'static str, &'static str),
    doc: &'static str,
    read: fn(Written<'_>, &mut super::Config) -> Result<(), String>,
) -> Setting {
    Setting { path, shape, default, doc, read }
}

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("control.public_url", "`https://HOST` or `http://HOST:PORT`, without a path", ""),
        "Where browsers reach the control listener. It is in links and in the return address of OpenID Connect, and requests that change something must come from its pages. When not set, the `Host` of requests is believed. Browsers keep the session only over https or on loopback.",
        |written, config| put(&mut config.people.public_url, origin(written).map(Some)),
    ),
    setting(
        ("control.trusted_proxies", "list of networks", ""),
        "Peers of the control listener that are believed when they say on whose behalf they call (`X-Forwarded-For`).",
        |written, config| put(&mut config.people.trusted_proxies, networks(written)),
    ),
    setting(
        ("control.session_idle", "length of time, 1m to 12h", "30m"),
        "How long a session may stay unused before the person has to sign in again.",
        |written, config| put(&mut config.people.session_idle, duration(written, "1m", "12h")),
    ),
    setting(
        ("control.session_life", "length of time, 5m to 7d", "12h"),
        "How long a session may last, used or not.",
        |written, config| put(&mut config.people.session_life, duration(written, "5m", "7d")),
    ),
    setting(
        ("oidc.issuer", "`https://…`, exactly as in the provider's tokens", ""),
        "An OpenID provider whose people may sign in, such as `https://accounts.google.com`. Its return address there is `control.public_url` and `/sign-in/oidc/callback`.",
        |written, config| put(&mut config.people.oidc.issuer, text(written)),
    ),
    setting(
        ("oidc.client_id", "text", ""),
        "What Tollgate is called at the provider; ID tokens must be for exactly this.",
        |written, config| put(&mut config.people.oidc.client_id, text(written)),
    ),
    setting(
        ("oidc.client_secret", "text", ""),
        "The secret of the client; better given as an environment variable. Not set for public clients; PKCE is used either way.",
        |written, config| {
            put(&mut config.people.oidc.client_secret, text(written).map(|text| Some(Secret::new(text))))
        },
    ),
    setting(
        ("oidc.scopes", "words separated by spaces", "email profile"),
        "What is asked for beside `openid`; some providers want a scope for groups.",
        |written, config| put(&mut config.people.oidc.scopes, text(written)),
    ),
    setting(
        ("oidc.groups_claim", "name of a claim", "groups"),
        "The claim of the ID token that holds the person's groups.",
        |written, config| put(&mut config.people.oidc.groups_claim, text(written)),
    ),
    setting(("oidc.roles", ROLES, ""), ROLES_DOC, |written, config| {
        put(&mut config.people.oidc.roles, roles(written))
    }),
    setting(("oidc.tenant", TENANT, ""), TENANT_DOC, |written, config| {
        put(&mut config.people.oidc.tenant, text(written).map(Some))
    }),
    setting(
        ("firebase.project", "id of a Firebase project", ""),
        "A Firebase project whose ID tokens are accepted, as `Authorization: Bearer` and for a session.",
        |written, config| put(&mut config.people.firebase.project, text(written)),
    ),
    setting(
        ("firebase.groups_claim", "name of a claim", "groups"),
        "The custom claim that holds the person's groups.",
        |written, config| put(&mut config.people.firebase.groups_claim, text(written)),
    ),
    setting(("firebase.roles", ROLES, ""), ROLES_DOC, |written, config| {
        put(&mut config.people.firebase.roles, roles(written))
    }),
    setting(("firebase.tenant", TENANT, ""), TENANT_DOC, |written, config| {
        put(&mut config.people.firebase.tenant, text(written).map(Some))
    }),
    setting(
        ("ldap.url", "`ldaps://HOST:PORT` or `ldap://HOST:PORT`", ""),
        "A directory whose people may sign in: OpenLDAP, Active Directory and others. Without TLS only this machine is spoken to.",
        |written, config| put(&mut config.people.ldap.url, directory(written)),
    ),
    setting(
        ("ldap.start_tls", "`true` or `false`", "false"),
        "Whether `ldap://` turns to TLS before anything else is said; if it cannot, nobody signs in.",
        |written, config| put(&mut config.people.ldap.start_tls, flag(written)),
    ),
    setting(
        ("ldap.ca_file", "path of a file", ""),
        "PEM file of the authorities to believe; the operating system's when not set.",
        |written, config| put(&mut config.people.ldap.ca_file, path(written).map(Some)),
    ),
    setting(
        ("ldap.bind_dn", "name of an entry, or `user@domain` in Active Directory", ""),
        "Who searches for people; an account that may read them and nothing else.",
        |written, config| put(&mut config.people.ldap.bind_dn, text(written)),
    ),
    setting(
        ("ldap.bind_password", "text", ""),
        "The password of who searches; better given as an environment variable.",
        |written, config| put(&mut config.people.ldap.bind_password, text(written).map(Secret::new)),
    ),
    setting(
        ("ldap.user_base", "name of an entry", ""),
        "Below what people are: `ou=people,dc=example,dc=com`.",
        |written, config| put(&mut config.people.ldap.user_base, text(written)),
    ),
    setting(
        (
            "ldap.user_filter",
            "filter with `{login}`",
            "(&(objectClass=person)(|(uid={login})(mail={login})))",
        ),
        "Finds a person by what they typed; exactly one must be found. For Active Directory `(&(objectClass=user)(sAMAccountName={login}))`.",
        |written, config| put(&mut config.people.ldap.user_filter, with(written, "{login}")),
    ),
    setting(
        ("ldap.id_attribute", "name of an attribute", "entryUUID"),
        "What names a person for good; `objectGUID` in Active Directory.",
        |written, config| put(&mut config.people.ldap.id_attribute, text(written)),
    ),
    setting(
        ("ldap.group_base", "name of an entry", ""),
        "Below what groups are. When not set, the `memberOf` of people says what they are in, as in Active Directory.",
        |written, config| put(&mut config.people.ldap.group_base, text(written).map(Some)),
    ),
    setting(
        ("ldap.group_filter", "filter with `{dn}`", "(member={dn})"),
        "Finds the groups of a person.",
        |written, config| put(&mut config.people.ldap.group_filter, with(written, "{dn}")),
    ),
    setting(("ldap.roles", ROLES, ""), LDAP_ROLES_DOC, |written, config| {
        put(&mut config.people.ldap.roles, roles(written))
    }),
    setting(("ldap.tenant", TENANT, ""), TENANT_DOC, |written, config| {
        put(&mut config.people.ldap.tenant, text(written).map(Some))
    }),
];

fn roles(written: Written<'_>) -> Result<RoleMap, String> {
    let Written::Toml(toml::de::DeValue::Table(table)) = written else { return text(written)?.parse() };
    let mut pairs = Vec::with_capacity(table.len());
    for (group, role) in table.iter() {
        let role = role.get_ref().as_str();
        let role =
            role.ok_or_else(|| format!("the role of `{}` is no text; put it in quotes", group.get_ref()))?;
        pairs.push((group.get_ref().as_ref(), role));
    }
    RoleMap::of(pairs)
}

pub(super) fn flag(written: Written<'_>) -> Result<bool, String> {
    match written {
        Written::Toml(toml::de::DeValue::Boolean(value)) => Ok(*value),
        other => choice(other, &["true", "false"]).map(|word| word == "true"),
    }
}

fn with(written: Written<'_>, part: &str) -> Result<String, String> {
    let text = text(written)?;
    if text.contains(part) {
        Ok(text)
    } else {
        Err(format!("it does not contain `{part}`, so it would find the same for everybody; add it"))
    }
}

pub(super) fn origin(written: Written<'_>) -> Result<String, String> {
    let text = text(written)?;
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = host.map(|host| host.trim_end_matches('/')).unwrap_or_default();
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        return Err(format!("`{text}` is no address without a path; write `https://tollgate.example.com`"));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn directory(written: Written<'_>) -> Result<String, String> {
    let text = text(written)?;
    if ["ldap://", "ldaps://"].iter().any(|scheme| text.starts_with(scheme)) {
        Ok(text)
    } else {
        Err(format!("`{text}` is no address of a directory; write `ldaps://ldap.example.com:636`"))
    }
}
