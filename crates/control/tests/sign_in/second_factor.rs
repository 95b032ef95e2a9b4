//! Second factors: asked for once confirmed, each code good once, recovery codes as a way back.

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::json;
use sha1::Sha1;

use super::world::{Browser, MINUTE, OWNER, PASSWORD, World, world};

fn unbase32(text: &str) -> Vec<u8> {
    let digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits = text.chars().fold((0u64, 0, Vec::new()), |(value, bits, mut bytes), sign| {
        let value = (value << 5 | digits.find(sign).unwrap() as u64) & 0xFFFF;
        let bits = bits + 5;
        if bits >= 8 {
            bytes.push((value >> (bits - 8)) as u8);
            return (value, bits - 8, bytes);
        }
        (value, bits, bytes)
    });
    bits.2
}

/// RFC 6238, written a second time.
pub(crate) fn code(secret: &str, now_us: i64) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(&unbase32(secret)).unwrap();
    mac.update(&(now_us / 30_000_000).to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7FFF_FFFF;
    format!("{:06}", number % 1_000_000)
}

async fn enrolled(world: &World) -> (Browser, String, Vec<String>) {
    let mut browser = world.owner().await;
    let begun = browser.post("session/second-factor", json!({})).await;
    assert_eq!(begun.status, 200, "{begun:?}");
    let secret = begun.body["secret"].as_str().unwrap().to_owned();
    assert!(
        begun.body["otpauth_url"]
            .as_str()
            .unwrap()
            .starts_with("otpauth://totp/Tollgate:owner%40example.com?secret=")
    );
    let wrong = browser.post("session/second-factor/confirm", json!({ "code": "000000" })).await;
    assert_eq!(wrong.code(), "invalid");
    assert_eq!(world.browser().sign_in(OWNER, PASSWORD).await.status, 200, "it does not count yet");
    let right = json!({ "code": code(&secret, world.now()) });
    let confirmed = browser.post("session/second-factor/confirm", right).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let codes = confirmed.body["recovery_codes"].as_array().unwrap();
    (browser, secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn sign_in(world: &World, code: &str) -> (u16, String) {
    let body = json!({ "email": OWNER, "password": PASSWORD, "code": code });
    let answer = world.browser().post("session", body).await;
    let method = answer.body["method"].as_str().unwrap_or(answer.code()).to_owned();
    (answer.status, method)
}

#[tokio::test]
async fn a_second_factor_is_asked_for_and_each_code_is_good_once() {
    let world = world().await;
    let (_browser, secret, _) = enrolled(&world).await;
    let present = code(&secret, world.now());
    assert_eq!(
        sign_in(&world, &present).await,
        (401, "sign_in_failed".into()),
        "the confirming code is used up"
    );
    let without = world.browser().sign_in(OWNER, PASSWORD).await;
    assert_eq!((without.status, without.code()), (401, "second_factor_needed"));
    let wrong = world.browser().sign_in(OWNER, "wrong horse battery").await;
    assert_eq!(wrong.code(), "sign_in_failed", "only who knows the password hears of it");
    world.pass(MINUTE);
    let present = code(&secret, world.now());
    let two = [sign_in(&world, &present), sign_in(&world, &present)];
    let [one, other] = two;
    let mut outcomes = [one.await, other.await];
    outcomes.sort();
    assert_eq!(outcomes, [(200, "password+totp".into()), (401, "sign_in_failed".into())]);
    for bad in ["", "0", "12345", "abcdef", "1234567"] {
        assert_eq!(sign_in(&world, bad).await.0, 401, "{bad}");
    }
}

#[tokio::test]
async fn wrong_codes_with_the_right_password_are_bounded_for_the_account() {
    let world = world().await;
    let (_browser, secret, codes) = enrolled(&world).await;
    world.pass(MINUTE);
    for _ in 0..10 {
        assert_eq!(sign_in(&world, "abcdef").await.0, 401);
    }
    // The network has attempts again long before the account has codes.
    world.pass(2 * MINUTE);
    assert_eq!(world.browser().sign_in(OWNER, PASSWORD).await.code(), "second_factor_needed");
    for code in [code(&secret, world.now()).as_str(), codes[0].as_str()] {
        assert_eq!(sign_in(&world, code).await, (429, "too_many_attempts".into()));
    }
    world.pass(4 * MINUTE);
    assert_eq!(sign_in(&world, &code(&secret, world.now())).await, (200, "password+totp".into()));
    assert_eq!(sign_in(&world, &codes[0]).await.0, 200, "a code that fits does not count");
}

#[tokio::test]
async fn a_recovery_code_helps_once() {
    let world = world().await;
    let (mut browser, secret, codes) = enrolled(&world).await;
    assert_eq!(codes.len(), 10);
    let typed = codes[0].to_uppercase().replace('-', " ");
    assert_eq!(sign_in(&world, &typed).await, (200, "password+recovery".into()));
    assert_eq!(sign_in(&world, &codes[0]).await.0, 401);
    assert_eq!(browser.get("session").await.body["recovery_codes_left"], 9);
    world.pass(11 * MINUTE);
    assert_eq!(browser.delete("session/second-factor").await.code(), "sign_in_not_fresh");
    let proof = json!({ "password": PASSWORD });
    assert_eq!(browser.post("session/fresh", proof).await.code(), "second_factor_needed");
    let proof = json!({ "password": PASSWORD, "code": code(&secret, world.now()) });
    assert_eq!(browser.post("session/fresh", proof).await.status, 200);
    assert_eq!(browser.delete("session/second-factor").await.status, 204);
    assert_eq!(world.browser().sign_in(OWNER, PASSWORD).await.body["method"], "password");
}
