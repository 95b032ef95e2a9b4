//! Codes of second factors: TOTP (RFC 6238) with SHA-1, six digits and thirty seconds, which is what
//! authenticator apps do.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use subtle::ConstantTimeEq as _;
use tollgate_core::secret::Secret;

/// Seconds that a code is for.
const STEP_S: i64 = 30;
/// How many steps a clock may be off, either way.
const DRIFT_STEPS: i64 = 1;
/// Bytes of a secret: the output of SHA-1 (RFC 4226 §4, R6).
pub(super) const SECRET_BYTES: usize = 20;

/// The step of time whose code this is, if it is one of now; steps up to `last` are used up.
pub(super) fn matching_step(secret: &Secret<Vec<u8>>, code: &str, last: i64, now_us: i64) -> Option<i64> {
    let digits: Vec<u8> = code.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).collect();
    let present = now_us.div_euclid(1_000_000 * STEP_S);
    // All are compared, so that the time does not say which was near.
    let mut found = None;
    for step in present - DRIFT_STEPS..=present + DRIFT_STEPS {
        let is_it: bool = code_of(secret, step).as_bytes().ct_eq(&digits).into();
        if is_it && step > last {
            found = Some(step);
        }
    }
    found
}

fn code_of(secret: &Secret<Vec<u8>>, step: i64) -> String {
    // HMAC takes keys of any length, so this does not fail.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.expose()) else { return String::new() };
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    // Dynamic truncation (RFC 4226 §5.3).
    let offset = usize::from(hash.last().copied().unwrap_or(0) & 0x0F);
    let part = hash.iter().skip(offset).take(4);
    let number = part.fold(0u32, |number, byte| (number << 8) | u32::from(*byte)) & 0x7FFF_FFFF;
    format!("{:06}", number % 1_000_000)
}

/// The secret as people type it: base32 (RFC 4648 §6) without padding.
pub(super) fn base32(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = String::new();
    for chunk in bytes.chunks(5) {
        let mut block = [0; 8];
        for (place, byte) in block.iter_mut().skip(3).zip(chunk) {
            *place = *byte;
        }
        let value = u64::from_be_bytes(block);
        let digits = (chunk.len() * 8).div_ceil(5);
        text.extend((0..digits).map(|index| char::from(DIGITS[(value >> (35 - 5 * index)) as usize & 31])));
    }
    text
}

/// The address that authenticator apps read from a QR code.
pub(super) fn otpauth_url(secret: &Secret<Vec<u8>>, email: &str) -> Secret<String> {
    let label: String = email
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    Secret::new(format!("otpauth://totp/Tollgate:{label}?secret={}&issuer=Tollgate", base32(secret.expose())))
}

#[cfg(test)]
mod tests {
    use tollgate_core::secret::Secret;

    use super::{base32, code_of, matching_step};

    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        // RFC 6238, appendix B, cut to six digits.
        for (second, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code_of(&secret, second / 30), code);
            assert_eq!(matching_step(&secret, code, 0, second * 1_000_000), Some(second / 30));
        }
    }

    #[test]
    fn a_code_is_good_for_its_time_and_once() {
        let secret = Secret::new(vec![7; 20]);
        let now = 1_767_225_600_000_000;
        let step = now / 30_000_000;
        let code = code_of(&secret, step);
        let (first, second) = code.split_at(3);
        let spaced = format!("{first} {second}");
        assert_eq!(matching_step(&secret, &spaced, 0, now), Some(step));
        assert_eq!(matching_step(&secret, &code, step, now), None, "used up");
        assert_eq!(matching_step(&secret, &code, 0, now + 30_000_000), Some(step), "a slow clock");
        assert_eq!(matching_step(&secret, &code, 0, now + 60_000_000), None);
        assert_eq!(matching_step(&secret, "", 0, now), None);
    }

    #[test]
    fn base32_is_that_of_the_standard() {
        // RFC 4648 §10, without padding.
        for (text, wanted) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(text.as_bytes()), wanted);
        }
    }
}
