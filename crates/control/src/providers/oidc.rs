//! OpenID Connect: the code flow with PKCE, always (RFC 9700), and ID tokens as bearer.
//!
//! What belongs to one sign-in — state, nonce, verifier — follows from 32 random bytes in a cookie of
//! its own, so that nothing is kept here for who never comes back.

use std::{fmt::Write as _, time::Duration};

use axum::http::{Method, Request, header};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http_body_util::Full;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::{sync::Mutex, time::Instant};
use tollgate_core::secret::Secret;

use super::{
    Proven, RoleMap,
    fetch::Fetcher,
    jwks::Keys,
    jwt::{Algorithm, Claims, Expected, Token},
};

/// How long nobody asks again after the provider could not be reached.
const METADATA_REST: Duration = Duration::from_secs(5);
const ALGORITHMS: &[Algorithm] = &[Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

/// An OpenID provider.
#[derive(Clone, Debug)]
pub struct OidcOptions {
    /// Its issuer, exactly as in its tokens.
    pub issuer: String,
    /// What Tollgate is called there.
    pub client_id: String,
    /// Its secret; `None` for public clients.
    pub client_secret: Option<Secret<String>>,
    /// Scopes beside `openid`, separated by spaces.
    pub scopes: String,
    /// The claim that holds somebody's groups.
    pub groups_claim: String,
    /// Which group gives which role.
    pub roles: RoleMap,
    /// The tenant its people belong to; the only one when not said.
    pub tenant: Option<String>,
}

/// What a provider says about itself (OpenID Connect Discovery §3).
#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// What is known of a provider.
#[derive(Debug)]
enum Asked {
    Never,
    Found(Metadata),
    /// It could not be asked, then.
    Failed(Instant),
}

/// One sign-in under way.
pub(crate) struct Trip(Secret<[u8; 32]>);

/// What the browser brings back.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Return {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) state: String,
    pub(crate) iss: Option<String>,
    pub(crate) error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Oidc {
    options: OidcOptions,
    fetcher: Fetcher,
    keys: Keys,
    metadata: Mutex<Asked>,
}

impl Trip {
    pub(crate) const fn new(random: Secret<[u8; 32]>) -> Self {
        Self(random)
    }

    /// Reads what the cookie holds.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        Some(Self(Secret::new(bytes.try_into().ok()?)))
    }

    /// What the cookie holds.
    pub(crate) fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.expose())
    }

    /// A value of this sign-in that nobody else knows.
    fn derived(&self, what: &str) -> String {
        // HMAC takes keys of any length, so this does not fail; if it did, nothing would fit.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.expose()) else { return String::new() };
        mac.update(what.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }
}

impl Oidc {
    pub(crate) fn new(options: OidcOptions) -> Self {
        Self {
            options,
            fetcher: Fetcher::default(),
            keys: Keys::default(),
            metadata: Mutex::new(Asked::Never),
        }
    }

    /// Where to send the browser. A sign-in at the provider that is older than `age` is asked for anew, and
    /// the provider must say how old it is (OpenID Connect Core §3.1.2.1).
    pub(crate) async fn begin(
        &self,
        trip: &Trip,
        redirect_uri: &str,
        age: Duration,
    ) -> Result<String, String> {
        let metadata = self.metadata().await?;
        let mut url = metadata.authorization_endpoint;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(trip.derived("verifier").as_bytes()));
        let scope = format!("openid {}", self.options.scopes);
        let (state, nonce) = (trip.derived("state"), trip.derived("nonce"));
        let max_age = age.as_secs().to_string();
        let parameters = [
            ("response_type", "code"),
            ("client_id", &self.options.client_id),
            ("redirect_uri", redirect_uri),
            ("scope", scope.trim()),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("max_age", &max_age),
        ];
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&form(&parameters));
        Ok(url)
    }

    /// Who comes back; why nobody, for the log.
    pub(crate) async fn finish(
        &self,
        (trip, back): (&Trip, &Return),
        redirect_uri: &str,
        now_us: i64,
    ) -> Result<Proven, String> {
        if let Some(error) = &back.error {
            return Err(format!("the provider says `{}`", error.chars().take(64).collect::<String>()));
        }
        let same = subtle::ConstantTimeEq::ct_eq(trip.derived("state").as_bytes(), back.state.as_bytes());
        if !bool::from(same) || back.code.is_empty() {
            return Err("it answers another sign-in".to_owned());
        }
        let metadata = self.metadata().await?;
        // RFC 9207: the answer says whose it is, where the provider does so at all.
        let wants_issuer = metadata.authorization_response_iss_parameter_supported;
        if back.iss.as_ref().map_or(wants_issuer, |issuer| *issuer != self.options.issuer) {
            return Err("it is the answer of another provider".to_owned());
        }
        let token = self.exchange(&metadata, trip, (&back.code, redirect_uri)).await?;
        let nonce = trip.derived("nonce");
        let claims = self.claims(token.expose(), (&metadata, Some(&nonce)), now_us).await?;
        // It comes from the provider itself, at this moment, whatever the clocks say.
        Ok(Proven { issued_us: now_us, ..self.proven(&claims) })
    }

    /// Who a bearer is; why nobody, for the log.
    pub(crate) async fn prove(&self, text: &str, now_us: i64) -> Result<Proven, String> {
        let metadata = self.metadata().await?;
        Ok(self.proven(&self.claims(text, (&metadata, None), now_us).await?))
    }

    async fn claims(
        &self,
        text: &str,
        (metadata, nonce): (&Metadata, Option<&str>),
        now_us: i64,
    ) -> Result<Claims, String> {
        let token = Token::parse(text, ALGORITHMS)?;
        let expected =
            Expected { issuer: &self.options.issuer, audience: &self.options.client_id, nonce, now_us };
        self.keys.verify(&self.fetcher, &metadata.jwks_uri, (&token, &expected)).await
    }

    fn proven(&self, claims: &Claims) -> Proven {
        let groups = claims.texts(&self.options.groups_claim);
        Proven {
            provider: format!("oidc:{}", self.options.issuer),
            subject: claims.subject.clone(),
            email: claims.email().to_owned(),
            name: claims.name().to_owned(),
            tenant: self.options.tenant.clone(),
            role: self.options.roles.role_of(groups.iter().copied()),
            signed_in_us: claims.auth_time_s.saturating_mul(1_000_000),
            issued_us: claims.issued_s.saturating_mul(1_000_000),
        }
    }

    /// Gives the code for an ID token.
    async fn exchange(
        &self,
        metadata: &Metadata,
        trip: &Trip,
        (code, redirect_uri): (&str, &str),
    ) -> Result<Secret<String>, String> {
        #[derive(Deserialize)]
        struct Answer {
            id_token: Secret<String>,
        }
        let verifier = trip.derived("verifier");
        let mut parameters = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", redirect_uri),
            ("code_verifier", &verifier),
        ];
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(&metadata.token_endpoint)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        match &self.options.client_secret {
            Some(secret) => {
                // RFC 6749 §2.3.1: both are form-encoded before they are joined.
                let both = format!("{}:{}", escaped(&self.options.client_id), escaped(secret.expose()));
                request = request.header(header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(both)));
            }
            None => parameters.push(("client_id", &self.options.client_id)),
        }
        let request = request.body(Full::from(form(&parameters))).map_err(|error| error.to_string())?;
        let bytes = self.fetcher.send(request).await?;
        let answer: Answer =
            serde_json::from_slice(&bytes).map_err(|_| "the token endpoint gave no ID token".to_owned())?;
        Ok(answer.id_token)
    }

    async fn metadata(&self) -> Result<Metadata, String> {
        let mut kept = self.metadata.lock().await;
        match &*kept {
            Asked::Found(metadata) => return Ok(metadata.clone()),
            Asked::Failed(at) if at.elapsed() < METADATA_REST => {
                return Err("it could not be reached a moment ago".to_owned());
            }
            Asked::Failed(_) | Asked::Never => {}
        }
        let asked = self.ask_metadata().await;
        *kept = match &asked {
            Ok(metadata) => Asked::Found(metadata.clone()),
            Err(_) => Asked::Failed(Instant::now()),
        };
        asked
    }

    async fn ask_metadata(&self) -> Result<Metadata, String> {
        let issuer = &self.options.issuer;
        let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let found: Metadata = self.fetcher.json(&url).await?;
        if found.issuer != *issuer {
            return Err(format!("{url}: it calls itself another issuer than `oidc.issuer`"));
        }
        Ok(found)
    }
}

/// `application/x-www-form-urlencoded`.
fn form(parameters: &[(&str, &str)]) -> String {
    let pairs = parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            // Writing to a string cannot fail.
            other => _ = write!(out, "%{other:02X}"),
        }
    }
    out
}
