//! One delivery as it is sent (Standard Webhooks, "Webhook payload" and "Signature scheme").

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use ring::hmac;
use tollgate_core::secret::Secret;
use tollgate_store::Outgoing;

/// What is signed and sent.
pub(super) struct Message {
    /// `webhook-id`: the same however often it is sent.
    pub(super) id: String,
    /// `webhook-timestamp`: of this attempt, seconds.
    pub(super) timestamp_s: i64,
    /// `webhook-signature`: one for each secret.
    pub(super) signature: String,
    /// The body.
    pub(super) body: String,
}

impl Message {
    /// Signs a delivery at a moment.
    pub(super) fn sign(outgoing: &Outgoing, secrets: &[Secret<Vec<u8>>], now_us: i64) -> Self {
        let id = outgoing.notice.to_string();
        let timestamp_s = now_us.div_euclid(1_000_000);
        let body = body(outgoing);
        let signed = format!("{id}.{timestamp_s}.{body}");
        let signatures = secrets.iter().map(|secret| signature(secret.expose(), signed.as_bytes()));
        let signature = signatures.collect::<Vec<_>>().join(" ");
        Self { id, timestamp_s, signature, body }
    }
}

fn body(outgoing: &Outgoing) -> String {
    let time = Timestamp::from_millisecond(outgoing.at_us.div_euclid(1000));
    let time = time.map(|time| time.to_string()).unwrap_or_default();
    // The body of a notice is JSON already, and the others are words without anything to escape.
    format!(r#"{{"type":"{}","timestamp":"{time}","data":{}}}"#, outgoing.kind, outgoing.body)
}

fn signature(secret: &[u8], signed: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    format!("v1,{}", STANDARD.encode(hmac::sign(&key, signed)))
}

#[cfg(test)]
mod tests {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use tollgate_core::{
        id::{NoticeId, WebhookId},
        secret::Secret,
    };
    use tollgate_store::Outgoing;

    use super::{Message, signature};

    #[test]
    fn a_signature_is_that_of_the_standards_example() {
        // `spec/standard-webhooks.md` and the tests of its reference libraries.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signed = br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#;
        assert_eq!(signature(&secret, signed), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn each_secret_signs_and_the_id_stays() {
        let outgoing = Outgoing {
            webhook: WebhookId(1),
            position: 1,
            notice: NoticeId(7),
            kind: "key.created".to_owned(),
            at_us: 1_800_000_000_123_456,
            body: r#"{"key_id":"key_1"}"#.to_owned(),
            attempts: 0,
        };
        let secrets = [Secret::new(vec![1; 32]), Secret::new(vec![2; 32])];
        let first = Message::sign(&outgoing, &secrets, 1_800_000_001_000_000);
        let again = Message::sign(&outgoing, &secrets, 1_800_000_009_000_000);
        assert_eq!(first.signature.split(' ').count(), 2);
        assert!(first.signature.split(' ').all(|one| one.starts_with("v1,")));
        assert_eq!((&first.id, &first.body), (&again.id, &again.body));
        assert_ne!(first.signature, again.signature, "the time is signed too");
        assert!(!first.id.contains('.'));
        let read: serde_json::Value = serde_json::from_str(&first.body).unwrap();
        assert_eq!(read["timestamp"], "2027-01-15T08:00:00.123Z");
        assert_eq!(read["data"]["key_id"], "key_1");
    }
}
