//! The bytes of a batch: records of a kilobyte, the same for everybody that is measured. Numbers are written over
//! in place, so that making a batch costs next to nothing beside sending it.

/// Records of a batch.
pub(crate) const RECORDS: usize = 500;
/// Bytes of a record with what separates it from the next.
pub(crate) const RECORD_BYTES: usize = 1024;
/// Digits of a number.
const DIGITS: usize = 16;
/// What stands where a number goes.
const PLACE: &str = "################";

const WORDS: [&str; 12] = [
    "Berlin",
    "express",
    "pending",
    "standard",
    "euro",
    "warehouse",
    "returned",
    "Lisbon",
    "priority",
    "gift",
    "online",
    "partner",
];

/// A batch whose records have numbers that can be set.
#[derive(Clone)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    /// Where the number of each record is.
    places: Vec<usize>,
}

impl Batch {
    /// A batch as the door takes it: `{"records":[…]}`, each record with an `id` or with none.
    pub(crate) fn json(with_ids: bool, seed: u64) -> Self {
        let name = if with_ids { "id" } else { "no" };
        let mut batch = Self { bytes: b"{\"records\":[".to_vec(), places: Vec::new() };
        for index in 0..RECORDS {
            let record = record(name, index, seed);
            batch.push(&record);
            batch.bytes.push(if index + 1 < RECORDS { b',' } else { b']' });
        }
        batch.bytes.push(b'}');
        batch
    }

    /// The same records as text of `COPY … FROM STDIN`: number, type, data.
    pub(crate) fn copy(table: &str, rows: usize, seed: u64) -> Self {
        let mut batch =
            Self { bytes: format!("COPY {table} FROM STDIN;\n").into_bytes(), places: Vec::new() };
        for index in 0..rows {
            // One number is the column's, the same one stands in the record.
            batch.push(PLACE);
            batch.bytes.extend_from_slice(b"\torder.placed\t");
            batch.push(&record("id", index, seed));
            batch.bytes.push(b'\n');
        }
        batch.bytes.extend_from_slice(b"\\.\n");
        batch
    }

    fn push(&mut self, text: &str) {
        let at = self.bytes.len() + text.find(PLACE).unwrap_or(0);
        self.places.push(at);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Gives the records these numbers, counting up; `each` places in a row have the same one.
    pub(crate) fn number(&mut self, first: u64, each: usize) {
        for (index, at) in self.places.iter().enumerate() {
            let mut value = first + (index / each) as u64;
            let Some(digits) = self.bytes.get_mut(*at..*at + DIGITS) else { continue };
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
                value /= 10;
            }
        }
    }
}

/// One record, its number left open: an order with some words that repeat and some text that does not.
fn record(name: &str, index: usize, seed: u64) -> String {
    let mut state = seed.wrapping_mul(1_000_003).wrapping_add(index as u64);
    let mut word = || WORDS[usize::try_from(next(&mut state) % 12).unwrap_or(0)];
    let mut text = format!(
        "{{\"{name}\":\"{PLACE}\",\"type\":\"order.placed\",\"city\":\"{}\",\"state\":\"{}\",\"currency\":\"{}\",\
         \"shipping\":\"{}\",\"channel\":\"{}\",\"lines\":[",
        word(),
        word(),
        word(),
        word(),
        word()
    );
    for line in 0..8 {
        let sku = next(&mut state);
        let comma = if line > 0 { "," } else { "" };
        text += &format!(
            "{comma}{{\"sku\":\"{:010}\",\"quantity\":{},\"price\":{}}}",
            sku % 10_000_000_000,
            sku % 9,
            sku % 99_991
        );
    }
    text += "],\"note\":\"";
    let room = RECORD_BYTES - 1 - 2;
    while text.len() + 11 < room {
        text += &format!("{:010} ", next(&mut state) % 10_000_000_000);
    }
    text += &"x".repeat(room - text.len());
    text + "\"}"
}

/// SplitMix64 (Steele, Lea, Flood 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_json_of_records_of_a_kilobyte_with_numbers_of_their_own() {
        let mut batch = Batch::json(true, 7);
        batch.number(1000, 1);
        let read: serde_json::Value = serde_json::from_slice(&batch.bytes).unwrap();
        let records = read["records"].as_array().unwrap();
        assert_eq!(records.len(), RECORDS);
        assert_eq!(records[3]["id"], "0000000000001003");
        assert_eq!(batch.bytes.len(), RECORDS * RECORD_BYTES + "{\"records\":[]}".len() - 1);
    }

    #[test]
    fn rows_of_copy_have_their_number_twice() {
        let mut batch = Batch::copy("t", 2, 7);
        batch.number(5, 2);
        let text = String::from_utf8(batch.bytes).unwrap();
        let rows: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(rows.len(), 3);
        assert!(
            rows[1].starts_with("0000000000000006\torder.placed\t{\"id\":\"0000000000000006\""),
            "{text}"
        );
    }
}
