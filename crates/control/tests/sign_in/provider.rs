//! An OpenID provider of the test's own: it signs whatever a test tells it to.

use std::{
    net::SocketAddr,
    process::Command,
    sync::{Arc, Mutex},
};

use axum::{Json, Router, extract::State, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ring::{
    rand::SystemRandom,
    rsa::PublicKeyComponents,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use serde_json::{Value, json};
use sha2::Sha256;

pub(crate) struct Provider {
    pub(crate) issuer: String,
    pub(crate) keys_url: String,
    key: RsaKeyPair,
    pub(crate) stranger: RsaKeyPair,
    /// What the token endpoint gives for a code, and what it was asked.
    pub(crate) desk: Arc<Mutex<(String, String)>>,
}

fn rsa_key() -> RsaKeyPair {
    let made = Command::new("openssl")
        .args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-outform", "DER"])
        .output()
        .unwrap();
    // Some versions write PKCS#8, some PKCS#1.
    RsaKeyPair::from_pkcs8(&made.stdout).or_else(|_| RsaKeyPair::from_der(&made.stdout)).unwrap()
}

pub(crate) fn part(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let (key, stranger) = (rsa_key(), rsa_key());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let issuer = format!("http://{address}");
        let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
        let jwks = json!({ "keys": [
            { "kty": "RSA", "kid": "k1", "use": "sig", "alg": "RS256", "n": part(&public.n), "e": part(&public.e) },
            { "kty": "RSA", "kid": "k2", "use": "enc", "n": part(&public.n), "e": part(&public.e) },
            { "kty": "oct", "kid": "k3", "k": "c2VjcmV0" },
        ]});
        let metadata = json!({
            "issuer": issuer, "authorization_endpoint": format!("{issuer}/auth?tenant=1"),
            "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/jwks"),
            "authorization_response_iss_parameter_supported": true,
        });
        let desk = Arc::new(Mutex::new((String::new(), String::new())));
        let at_desk = |State(desk): State<Arc<Mutex<(String, String)>>>, body: String| async move {
            let mut desk = desk.lock().unwrap();
            desk.1 = body;
            Json(json!({ "access_token": "a", "token_type": "Bearer", "id_token": desk.0 }))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(move || async move { Json(metadata) }))
            .route("/jwks", get(move || async move { Json(jwks) }))
            .route("/token", axum::routing::post(at_desk))
            .with_state(desk.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { keys_url: format!("{issuer}/jwks"), issuer, key, stranger, desk }
    }

    /// A token that holds, with some claims changed; `Null` takes one away.
    pub(crate) fn token(&self, claims: Value) -> String {
        self.signed(&json!({ "alg": "RS256", "kid": "k1", "typ": "JWT" }), &claims, None)
    }

    pub(crate) fn signed(&self, header: &Value, claims: &Value, key: Option<&RsaKeyPair>) -> String {
        let signed = format!("{}.{}", part(header.to_string()), part(claims.to_string()));
        self.sign_raw(&signed, key)
    }

    pub(crate) fn sign_raw(&self, signed: &str, key: Option<&RsaKeyPair>) -> String {
        let key = key.unwrap_or(&self.key);
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", part(signature))
    }

    /// Signed as if the public key were a shared secret.
    pub(crate) fn confused(&self, claims: &Value) -> String {
        let public = PublicKeyComponents::<Vec<u8>>::from(self.key.public());
        let signed = format!(
            "{}.{}",
            part(json!({ "alg": "HS256", "kid": "k1" }).to_string()),
            part(claims.to_string())
        );
        let mut mac = Hmac::<Sha256>::new_from_slice(&public.n).unwrap();
        mac.update(signed.as_bytes());
        format!("{signed}.{}", part(mac.finalize().into_bytes()))
    }
}

/// Claims with some changed; `Null` takes one away.
pub(crate) fn with(base: &Value, changes: Value) -> Value {
    let mut claims = base.clone();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}
