//! Writing text, numbers, ids and moments into a byte buffer, without the formatting machinery.

use tollgate_core::id::{BASE62, DecisionId};

/// Digits of a decision id after its `dec_`.
const DECISION_DIGITS: usize = 22;
/// 62^10: ten digits, the most that a 64-bit number holds whole.
const CHUNK: u64 = 839_299_365_868_340_224;
const CHUNK_DIGITS: usize = 10;

/// Writes a decimal number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes a JSON string with its quotes (RFC 8259 §7).
pub fn push_json_string(out: &mut Vec<u8>, text: &str) {
    // Nearly every text needs no escape; the compiler makes one vectorised pass of this.
    let needs_escape = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    if !text.bytes().fold(false, |odd, byte| odd | needs_escape(byte)) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    // Writing a string into memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

/// Writes an id of 63 bits as its prefix, `_` and eleven digits, as `Display` of the id types does.
pub fn push_id(out: &mut Vec<u8>, prefix: &str, id: u64) {
    out.extend_from_slice(prefix.as_bytes());
    out.push(b'_');
    out.extend_from_slice(&base62_of_u64::<11>(id));
}

/// A decision id as its `Display` writes it. It is on every answer, in some of them several times, and
/// making it is slow: it is made once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionText([u8; 4 + DECISION_DIGITS]);

impl DecisionText {
    /// The text of `id`.
    #[must_use]
    pub fn of(id: DecisionId) -> Self {
        DecisionTexts::new(id).text(id)
    }

    /// Its ASCII bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Writes the ids of one boot and lane one after the other. What they have in common, nearly all of a text,
/// is divided out once.
#[derive(Clone, Copy, Debug)]
pub struct DecisionTexts {
    boot: u64,
    lane: u16,
    /// The digits, in chunks of ten, of the number that decision 0 of the lane has.
    first: [u64; 3],
    /// The upper two chunks that `text` was written of.
    written: [u64; 2],
    text: DecisionText,
}

impl DecisionTexts {
    /// For the ids of the boot and lane of `id`.
    #[must_use]
    pub fn new(id: DecisionId) -> Self {
        let DecisionId { boot, lane, .. } = id;
        let packed = (u128::from(boot & 0xFFFF_FFFF_FFFF) << 80) | (u128::from(lane) << 64);
        let chunk = u128::from(CHUNK);
        let high = packed / chunk;
        let first = [(high / chunk) as u64, (high % chunk) as u64, (packed % chunk) as u64];
        let text = DecisionText(*b"dec_0000000000000000000000");
        Self { boot, lane, first, written: [0, 0], text }
    }

    /// The text of `id`, quickest for ids of the same boot and lane as before.
    pub fn text(&mut self, id: DecisionId) -> DecisionText {
        if (id.boot, id.lane) != (self.boot, self.lane) {
            *self = Self::new(id);
        }
        let [top, middle, low] = self.first;
        // Two chunks fit into 64 bits, so that nothing is lost before it is carried on.
        let low = low + id.number % CHUNK;
        let middle = middle + id.number / CHUNK + low / CHUNK;
        let written = [top + middle / CHUNK, middle % CHUNK];
        let DecisionText(text) = &mut self.text;
        if written != self.written {
            self.written = written;
            text[4..6].copy_from_slice(&base62_of_u64::<2>(written[0]));
            text[6..16].copy_from_slice(&base62_of_u64::<CHUNK_DIGITS>(written[1]));
        }
        text[16..].copy_from_slice(&base62_of_u64::<CHUNK_DIGITS>(low % CHUNK));
        self.text
    }
}

/// The last `N` digits. Five digits fit into 32 bits, where dividing is quick, and the fives do not wait for
/// each other.
fn base62_of_u64<const N: usize>(value: u64) -> [u8; N] {
    const FIVE: u64 = 62_u64.pow(5);
    let mut digits = [b'0'; N];
    let mut left = value;
    for five in digits.rchunks_mut(5) {
        let mut part = (left % FIVE) as u32;
        left /= FIVE;
        for digit in five.iter_mut().rev() {
            *digit = BASE62[(part % 62) as usize];
            part /= 62;
        }
    }
    digits
}

/// Writes a moment as RFC 3339 in UTC to the second: `2026-09-01T12:00:00Z`. Moments outside the
/// years 0 to 9999 are written as the nearest one inside.
pub fn push_rfc3339(out: &mut Vec<u8>, wall_us: i64) {
    const FIRST: i64 = -62_167_219_200;
    const LAST: i64 = 253_402_300_799;
    let seconds = wall_us.div_euclid(1_000_000).clamp(FIRST, LAST);
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    push_padded(out, year, 4);
    out.push(b'-');
    push_padded(out, month, 2);
    out.push(b'-');
    push_padded(out, day, 2);
    out.push(b'T');
    push_padded(out, second_of_day / 3600, 2);
    out.push(b':');
    push_padded(out, second_of_day / 60 % 60, 2);
    out.push(b':');
    push_padded(out, second_of_day % 60, 2);
    out.push(b'Z');
}

/// A moment as RFC 3339 in UTC to the second.
#[must_use]
pub fn rfc3339(wall_us: i64) -> String {
    let mut out = Vec::with_capacity(20);
    push_rfc3339(&mut out, wall_us);
    String::from_utf8(out).unwrap_or_default()
}

fn push_padded(out: &mut Vec<u8>, number: i64, width: u32) {
    for place in (0..width).rev() {
        out.push(b'0' + (number / 10_i64.pow(place) % 10) as u8);
    }
}

/// Year, month and day of a day counted from 1970-01-01 in the proleptic Gregorian calendar
/// (H. Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
