//! Directories: search for the person with an account of our own, then bind as what was found.
//!
//! An empty password is refused before anything is sent: a bind with one succeeds as anonymous
//! (RFC 4513 §5.1.2). TLS is verified and never given up; without TLS only this machine is spoken to.
//! Referrals are not followed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, Scope, SearchEntry, SearchOptions, ldap_escape};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tollgate_core::secret::Secret;

use super::{
    Proven, RoleMap,
    dn::{Dn, Group},
};

/// How long each step may take.
pub(super) const STEP: Duration = Duration::from_secs(5);
/// How long finding somebody may take, and proving them.
const ALL: Duration = Duration::from_secs(15);
/// Groups that are looked at.
const GROUPS_MAX: i32 = 1000;
/// The longest login and password.
const TEXT_BYTES_MAX: usize = 1024;

/// A directory.
#[derive(Clone, Debug)]
pub struct LdapOptions {
    /// `ldaps://host:636` or `ldap://host:389`.
    pub url: String,
    /// Whether `ldap://` turns to TLS before anything else is said.
    pub start_tls: bool,
    /// PEM file of the authorities to believe; the operating system's when not said.
    pub ca_file: Option<PathBuf>,
    /// Who searches.
    pub bind_dn: String,
    /// The password of who searches.
    pub bind_password: Secret<String>,
    /// Below what people are.
    pub user_base: String,
    /// Finds a person; `{login}` stands for what they typed.
    pub user_filter: String,
    /// The attribute that names a person for good: `entryUUID`, or `objectGUID` in Active Directory.
    pub id_attribute: String,
    /// Below what groups are; `None` where people say themselves (`memberOf`) what they are in.
    pub group_base: Option<String>,
    /// Finds the groups of a person; `{dn}` stands for the person.
    pub group_filter: String,
    /// Which group gives which role: by its `cn`, or by its whole name.
    pub roles: RoleMap,
    /// The tenant its people belong to; the only one when not said.
    pub tenant: Option<String>,
}

/// Why nobody was proven.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotProven {
    /// Login or password are wrong.
    Wrong(&'static str),
    /// The directory did not do what it should; for the log.
    Failed(String),
    /// As many people as may sign in at once do so.
    Busy,
}

impl From<ldap3::LdapError> for NotProven {
    fn from(error: ldap3::LdapError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Somebody who was found by what they typed, and has not proved anything yet.
pub(crate) struct Found {
    searcher: Ldap,
    person: SearchEntry,
    /// Their name in the directory: the same however they typed themselves.
    pub(crate) entry: Dn,
}

/// Finds somebody by what they typed. Where nobody is found, a bind that must fail is done all the same,
/// so that it takes as long as a wrong password.
pub(crate) async fn find(
    options: &LdapOptions,
    (login, password): (&str, &Secret<String>),
) -> Result<Found, NotProven> {
    let texts = [login, password.expose().as_str()];
    if texts.iter().any(|text| text.trim().is_empty()) {
        return Err(NotProven::Wrong("an empty login or password"));
    }
    if texts.iter().any(|text| text.len() > TEXT_BYTES_MAX || text.contains('\0')) {
        return Err(NotProven::Wrong("a login or password that is none"));
    }
    in_time(async {
        let mut searcher = searcher(options).await?;
        let person = match search(&mut searcher, options, login).await {
            Err(NotProven::Wrong(why)) => {
                let nobody = format!("cn=nobody-{:016x},{}", nothing_of(login), options.user_base);
                let mut own = connect(options).await?;
                let _refused = own.with_timeout(STEP).simple_bind(&nobody, password.expose()).await?;
                return Err(NotProven::Wrong(why));
            }
            found => found?,
        };
        match Dn::parse(&person.dn) {
            Some(entry) => Ok(Found { searcher, person, entry }),
            // A bind with an empty name is anonymous too.
            None => Err(NotProven::Failed("the directory gave an entry without a name".to_owned())),
        }
    })
    .await
}

/// Proves somebody who was found, by their password.
pub(crate) async fn prove(
    options: &LdapOptions,
    found: Found,
    (login, password): (&str, &Secret<String>),
    now_us: i64,
) -> Result<Proven, NotProven> {
    let Found { mut searcher, person, .. } = found;
    in_time(async {
        // On a connection of its own, so that the searcher never is somebody else.
        let mut own = connect(options).await?;
        let bound = own.with_timeout(STEP).simple_bind(&person.dn, password.expose()).await?;
        if bound.rc != 0 {
            return Err(NotProven::Wrong("the directory refuses the password"));
        }
        reads_itself(&mut own, &person.dn).await?;
        let _closed = own.unbind().await;
        let groups = groups(&mut searcher, options, &person).await?;
        let _closed = searcher.unbind().await;
        let subject = subject(&person, &options.id_attribute)?;
        let first = |name: &str| {
            person.attrs.get(name).and_then(|values| values.first()).cloned().unwrap_or_default()
        };
        // What was typed is a name to show, and no address that anybody gave the person.
        let name = Some(first("cn")).filter(|name| !name.is_empty()).unwrap_or_else(|| login.to_owned());
        Ok(Proven {
            provider: format!("ldap:{}", options.url),
            subject,
            email: first("mail"),
            name,
            tenant: options.tenant.clone(),
            role: options.roles.role_in_directory(&groups),
            signed_in_us: now_us,
            issued_us: now_us,
        })
    })
    .await
}

async fn in_time<T>(work: impl std::future::Future<Output = Result<T, NotProven>>) -> Result<T, NotProven> {
    let outcome = tokio::time::timeout(ALL, work).await;
    outcome.unwrap_or_else(|_| Err(NotProven::Failed("no answer in time".to_owned())))
}

/// A connection that searches.
pub(super) async fn searcher(options: &LdapOptions) -> Result<Ldap, NotProven> {
    let mut searcher = connect(options).await?;
    let bound =
        searcher.with_timeout(STEP).simple_bind(&options.bind_dn, options.bind_password.expose()).await?;
    if bound.rc != 0 {
        return Err(NotProven::Failed(format!("the directory refuses `ldap.bind_dn`: code {}", bound.rc)));
    }
    Ok(searcher)
}

/// A number that stands for a name that is nowhere.
fn nothing_of(login: &str) -> u64 {
    std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), login)
}

pub(super) async fn connect(options: &LdapOptions) -> Result<Ldap, NotProven> {
    let is_tls = options.url.starts_with("ldaps://") || options.start_tls;
    if !is_tls && !is_own_machine(&options.url) {
        return Err(NotProven::Failed(
            "without TLS passwords would be read on the way; use ldaps:// or ldap.start_tls".to_owned(),
        ));
    }
    let mut settings = LdapConnSettings::new().set_conn_timeout(STEP).set_starttls(options.start_tls);
    if is_tls {
        settings = settings.set_config(tls(options.ca_file.clone()).await?);
    }
    let (connection, ldap) = LdapConnAsync::with_settings(settings, &options.url).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.drive().await {
            tracing::debug!(%error, "a connection to the directory ended");
        }
    });
    Ok(ldap)
}

fn is_own_machine(url: &str) -> bool {
    let host = url.strip_prefix("ldap://").unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"]
        .iter()
        .any(|own| host.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/'])))
}

async fn tls(ca_file: Option<PathBuf>) -> Result<Arc<ClientConfig>, NotProven> {
    let made = tokio::task::spawn_blocking(move || {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(file) => {
                let certificates = CertificateDer::pem_file_iter(&file).map_err(|error| error.to_string())?;
                for certificate in certificates {
                    let certificate = certificate.map_err(|error| error.to_string())?;
                    roots.add(certificate).map_err(|error| error.to_string())?;
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok::<_, String>(Arc::new(config))
    });
    let made = made.await.map_err(|error| error.to_string());
    made.and_then(|made| made).map_err(|error| NotProven::Failed(format!("ldap.ca_file: {error}")))
}

/// Exactly one entry for what was typed.
async fn search(ldap: &mut Ldap, options: &LdapOptions, login: &str) -> Result<SearchEntry, NotProven> {
    let filter = options.user_filter.replace("{login}", &ldap_escape(login));
    let wanted = ["mail", "cn", "memberOf", options.id_attribute.as_str()];
    let bounds = SearchOptions::new().sizelimit(2).timelimit(STEP.as_secs() as i32);
    let found = ldap
        .with_timeout(STEP)
        .with_search_options(bounds)
        .search(&options.user_base, Scope::Subtree, &filter, wanted)
        .await?;
    // Success, or more than were asked for.
    if !matches!(found.1.rc, 0 | 4) {
        return Err(NotProven::Failed(format!("the search for people failed: code {}", found.1.rc)));
    }
    let mut entries: Vec<_> =
        found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate()).collect();
    match (entries.pop(), entries.is_empty(), found.1.rc) {
        (Some(entry), true, 0) => Ok(SearchEntry::construct(entry)),
        (None, _, _) => Err(NotProven::Wrong("nobody of that login is there")),
        _ => Err(NotProven::Wrong("several are there of that login")),
    }
}

/// The groups of a person.
async fn groups(
    ldap: &mut Ldap,
    options: &LdapOptions,
    person: &SearchEntry,
) -> Result<Vec<Group>, NotProven> {
    let Some(base) = &options.group_base else {
        let own = person.attrs.iter().find(|(name, _)| name.eq_ignore_ascii_case("memberOf"));
        let names = own.map(|(_, names)| names.as_slice()).unwrap_or_default();
        return Ok(names.iter().map(|name| Group::new(name, &[])).collect());
    };
    let filter = options.group_filter.replace("{dn}", &ldap_escape(person.dn.as_str()));
    let bounds = SearchOptions::new().sizelimit(GROUPS_MAX).timelimit(STEP.as_secs() as i32);
    let found = ldap
        .with_timeout(STEP)
        .with_search_options(bounds)
        .search(base, Scope::Subtree, &filter, ["cn"])
        .await?;
    if found.1.rc != 0 {
        return Err(NotProven::Failed(format!("the search for groups failed: code {}", found.1.rc)));
    }
    let entries = found.0.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
    let entries = entries.map(SearchEntry::construct);
    let names = |entry: &SearchEntry| entry.attrs.get("cn").cloned().unwrap_or_default();
    Ok(entries.map(|entry| Group::new(&entry.dn, &names(&entry))).collect())
}

/// Whether the bind was as the person: an anonymous one would not be let read the entry, or be told so.
async fn reads_itself(ldap: &mut Ldap, dn: &str) -> Result<(), NotProven> {
    let answer = ldap.with_timeout(STEP).extended(ldap3::exop::WhoAmI).await?;
    let (exop, result) = (answer.0, answer.1);
    if result.rc != 0 {
        // A directory without the operation (RFC 4532): the entry must be there for the person.
        let found =
            ldap.with_timeout(STEP).search(dn, Scope::Base, "(objectClass=*)", ["1.1"]).await?.success()?;
        return if found.0.len() == 1 { Ok(()) } else { Err(NotProven::Wrong("the bind was anonymous")) };
    }
    let who = exop.val.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    if who.trim().is_empty() || who.trim() == "dn:" {
        return Err(NotProven::Wrong("the bind was anonymous"));
    }
    Ok(())
}

/// What names the person for good.
fn subject(person: &SearchEntry, attribute: &str) -> Result<String, NotProven> {
    if let Some(text) = person.attrs.get(attribute).and_then(|values| values.first()) {
        return Ok(text.clone());
    }
    let bytes =
        person.bin_attrs.get(attribute).and_then(|values| values.first()).filter(|bytes| !bytes.is_empty());
    bytes.map(|bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect()).ok_or_else(|| {
        NotProven::Failed(format!(
            "the entry has no `{attribute}`; set ldap.id_attribute to one that every person has"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::is_own_machine;

    #[test]
    fn without_tls_only_this_machine_is_spoken_to() {
        for own in ["ldap://127.0.0.1:389", "ldap://localhost", "ldap://[::1]:1389/"] {
            assert!(is_own_machine(own), "{own}");
        }
        for other in
            ["ldap://127.0.0.1.evil.example", "ldap://localhost.evil", "ldap://10.0.0.1", "ldapi://x", ""]
        {
            assert!(!is_own_machine(other), "{other}");
        }
    }
}
