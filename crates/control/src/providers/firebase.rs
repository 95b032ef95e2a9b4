//! Firebase ID tokens, by the rules of `firebase.google.com/docs/auth/admin/verify-id-tokens`. Custom
//! tokens and the unsigned ones of the emulator are refused like any other that does not hold.

use super::{
    Proven, RoleMap,
    fetch::Fetcher,
    jwks::Keys,
    jwt::{Algorithm, Expected, Token},
};

/// The longest subject there.
const SUBJECT_BYTES_MAX: usize = 128;
/// Where Google publishes the keys.
const KEYS_URL: &str =
    "https://www.googleapis.com/service_accounts/v1/jwk/securetoken@system.gserviceaccount.com";

/// A Firebase project whose people sign in here.
#[derive(Clone, Debug)]
pub struct FirebaseOptions {
    /// Its id.
    pub project: String,
    /// The tenant its people belong to; the only one when not said.
    pub tenant: Option<String>,
    /// The claim that holds somebody's groups.
    pub groups_claim: String,
    /// Which group gives which role.
    pub roles: RoleMap,
    /// Where the keys are published.
    pub keys_url: String,
}

impl FirebaseOptions {
    /// A project whose keys are where Google publishes them.
    #[must_use]
    pub fn new(project: String) -> Self {
        Self {
            project,
            tenant: None,
            groups_claim: "groups".to_owned(),
            roles: RoleMap::default(),
            keys_url: KEYS_URL.to_owned(),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Firebase {
    options: FirebaseOptions,
    issuer: String,
    fetcher: Fetcher,
    keys: Keys,
}

impl Firebase {
    pub(crate) fn new(options: FirebaseOptions) -> Self {
        let issuer = format!("https://securetoken.google.com/{}", options.project);
        Self { options, issuer, fetcher: Fetcher::default(), keys: Keys::default() }
    }

    /// Who a token proves; why nobody, for the log.
    pub(crate) async fn prove(&self, text: &str, now_us: i64) -> Result<Proven, String> {
        let algorithms = &[Algorithm::Rs256];
        let token = Token::parse(text, algorithms)?;
        if token.kid.is_none() {
            return Err("it names no key".to_owned());
        }
        let expected =
            Expected { issuer: &self.issuer, audience: &self.options.project, nonce: None, now_us };
        let claims = self.keys.verify(&self.fetcher, &self.options.keys_url, (&token, &expected)).await?;
        if claims.all.get("auth_time").is_none() {
            return Err("it does not say when the person signed in".to_owned());
        }
        if claims.subject.len() > SUBJECT_BYTES_MAX {
            return Err("its subject is too long".to_owned());
        }
        let groups = claims.texts(&self.options.groups_claim);
        Ok(Proven {
            provider: format!("firebase:{}", self.options.project),
            subject: claims.subject.clone(),
            email: claims.email().to_owned(),
            name: claims.name().to_owned(),
            tenant: self.options.tenant.clone(),
            role: self.options.roles.role_of(groups.iter().copied()),
            signed_in_us: claims.auth_time_s.saturating_mul(1_000_000),
            issued_us: claims.issued_s.saturating_mul(1_000_000),
        })
    }
}
