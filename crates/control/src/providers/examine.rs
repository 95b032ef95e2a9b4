//! Whether the configured providers can be used, step by step as a sign-in goes, with what helps. For
//! `tollgate doctor`; nobody signs in by it and nothing is changed.

use ldap3::Scope;
use serde::Deserialize;

use super::{
    LdapOptions, OidcOptions, ProviderOptions,
    fetch::{Fetcher, check_url},
    jwt::Jwk,
    ldap::{NotProven, STEP, connect, searcher},
};

/// How far clocks may be apart before tokens are refused, seconds.
const SKEW_S: i64 = 60;

/// What was found about one thing of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderFinding {
    /// What was looked at: `ldap bind`.
    pub check: &'static str,
    /// Whether it is as it should be.
    pub is_ok: bool,
    /// What was found.
    pub found: String,
    /// How to mend it; empty when nothing is wrong.
    pub remedy: String,
}

/// Looks at the configured directory and OpenID provider. Nothing is found of what is not configured; a step
/// that fails ends its provider's.
pub async fn examine_providers(options: &ProviderOptions, now_us: i64) -> Vec<ProviderFinding> {
    let mut found = Vec::new();
    if let Some(ldap) = &options.ldap {
        found.extend(directory(ldap).await);
    }
    if let Some(oidc) = &options.oidc {
        found.extend(provider(oidc, now_us).await);
    }
    found
}

fn good(check: &'static str, found: impl Into<String>) -> ProviderFinding {
    ProviderFinding { check, is_ok: true, found: found.into(), remedy: String::new() }
}

fn bad(check: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> ProviderFinding {
    ProviderFinding { check, is_ok: false, found: found.into(), remedy: remedy.into() }
}

/// The cause, for an operator.
fn cause(problem: NotProven) -> String {
    match problem {
        NotProven::Failed(why) => why,
        NotProven::Wrong(why) => why.to_owned(),
        NotProven::Busy => "too many at once".to_owned(),
    }
}

async fn directory(options: &LdapOptions) -> Vec<ProviderFinding> {
    let secured = match (options.url.starts_with("ldaps://"), options.start_tls) {
        (true, _) => "LDAPS",
        (false, true) => "StartTLS",
        (false, false) => "no TLS, this machine only",
    };
    if let Err(problem) = connect(options).await {
        return vec![bad(
            "ldap connect",
            format!("{} ({secured}): {}", options.url, cause(problem)),
            "check that the directory runs and that ldap.url names it as its certificate does; give the \
             authority that signed the certificate as ldap.ca_file",
        )];
    }
    let mut found = vec![good("ldap connect", format!("{} ({secured})", options.url))];
    let mut searcher = match searcher(options).await {
        Ok(searcher) => searcher,
        Err(problem) => {
            found.push(bad(
                "ldap bind",
                cause(problem),
                "correct ldap.bind_dn and ldap.bind_password (code 49: one of them is wrong)",
            ));
            return found;
        }
    };
    found.push(good("ldap bind", options.bind_dn.clone()));
    let bases =
        [("ldap.user_base", Some(&options.user_base)), ("ldap.group_base", options.group_base.as_ref())];
    for (setting, base) in bases.into_iter().filter_map(|(setting, base)| Some((setting, base?))) {
        let searched =
            searcher.with_timeout(STEP).search(base, Scope::Base, "(objectClass=*)", ["1.1"]).await;
        let problem = match searched {
            Ok(answer) if answer.1.rc == 0 && answer.0.len() == 1 => None,
            Ok(answer) => Some(format!("code {}", answer.1.rc)),
            Err(error) => Some(error.to_string()),
        };
        found.push(match problem {
            None => good(setting, base.clone()),
            Some(problem) => bad(
                setting,
                format!("{base} is not to be read: {problem}"),
                format!("correct {setting} (code 32: there is no such entry), or let ldap.bind_dn read it"),
            ),
        });
    }
    let _closed = searcher.unbind().await;
    found
}

/// What is looked at of what a provider says about itself.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    code_challenge_methods_supported: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Jwks {
    keys: Vec<serde_json::Value>,
}

async fn provider(options: &OidcOptions, now_us: i64) -> Vec<ProviderFinding> {
    let fetcher = Fetcher::default();
    let url = format!("{}/.well-known/openid-configuration", options.issuer.trim_end_matches('/'));
    let (metadata, date_s) = match fetcher.dated_json::<Metadata>(&url).await {
        Ok(answer) => answer,
        Err(problem) => {
            return vec![bad(
                "oidc discovery",
                problem,
                "check that oidc.issuer is the provider's and that this machine reaches it over https",
            )];
        }
    };
    let mut found = vec![good("oidc discovery", url)];
    found.push(if metadata.issuer == options.issuer {
        good("oidc issuer", metadata.issuer.clone())
    } else {
        let called = format!("the provider calls itself `{}`", metadata.issuer);
        bad("oidc issuer", called, format!("set oidc.issuer to exactly `{}`", metadata.issuer))
    });
    for (name, url) in [
        ("authorization_endpoint", &metadata.authorization_endpoint),
        ("token_endpoint", &metadata.token_endpoint),
    ] {
        let checked = url.parse().map_err(|_| "it is no address".to_owned()).and_then(|url| check_url(&url));
        if let Err(problem) = checked {
            found.push(bad(
                "oidc discovery",
                format!("{name} {url}: {problem}"),
                "correct it at the provider",
            ));
        }
    }
    if metadata.code_challenge_methods_supported.is_some_and(|all| !all.iter().any(|own| own == "S256")) {
        found.push(bad(
            "oidc discovery",
            "it does not do PKCE with S256",
            "switch it on at the provider; Tollgate signs nobody in without it",
        ));
    }
    found.push(keys(&fetcher, &metadata.jwks_uri).await);
    found.push(clock(date_s, now_us));
    found
}

async fn keys(fetcher: &Fetcher, url: &str) -> ProviderFinding {
    match fetcher.json::<Jwks>(url).await {
        Ok(answer) => {
            let usable = answer.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
            match usable.filter(Jwk::is_usable).count() {
                0 => bad(
                    "oidc keys",
                    format!("{url} has no key for RS256, ES256 or EdDSA"),
                    "let the provider sign ID tokens with one of them",
                ),
                count => good("oidc keys", format!("{count} at {url}")),
            }
        }
        Err(problem) => {
            bad("oidc keys", problem, "check that this machine reaches the provider's `jwks_uri` over https")
        }
    }
}

fn clock(date_s: Option<i64>, now_us: i64) -> ProviderFinding {
    let Some(date_s) = date_s else {
        return good("oidc clock", "the provider does not say what time it has");
    };
    let apart = now_us.div_euclid(1_000_000) - date_s;
    if apart.abs() <= SKEW_S / 2 {
        return good("oidc clock", format!("{} s apart", apart.abs()));
    }
    let side = if apart > 0 { "ahead of" } else { "behind" };
    bad(
        "oidc clock",
        format!("this machine is {} s {side} the provider; past {SKEW_S} s tokens are refused", apart.abs()),
        "set the clocks with NTP",
    )
}

#[cfg(test)]
mod tests {
    use super::clock;

    #[test]
    fn clocks_that_are_apart_are_told_with_their_side() {
        let now = 1_767_225_600_000_000;
        assert!(clock(None, now).is_ok && clock(Some(1_767_225_570), now).is_ok);
        let ahead = clock(Some(1_767_225_500), now);
        assert!(!ahead.is_ok && ahead.found.contains("100 s ahead of"), "{ahead:?}");
        assert!(clock(Some(1_767_225_700), now).found.contains("100 s behind"));
    }
}
