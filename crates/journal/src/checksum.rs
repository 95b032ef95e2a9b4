//! CRC32C over the words of a frame: every record is checked when it is written and when it is read, so the
//! instruction of the processor is used as it is, word after word. The ways that the crate `crc32c` takes to be
//! fast for kilobytes cost more than they bring for the hundred and some bytes of a record.
//!
//! Unsafe is only that a function for processors with that instruction is called, where it was looked for.

/// Bytes from which on the crate is faster.
#[cfg(target_arch = "x86_64")]
const LONG_BYTES: usize = 512;

/// Continues `seed` over four bytes and `rest`, of which any length is right, and multiples of 8 are fast.
#[inline]
pub(crate) fn append(seed: u32, first: u32, rest: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if rest.len() < LONG_BYTES && std::is_x86_feature_detected!("sse4.2") {
        return by_words(seed, first, rest);
    }
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &first.to_le_bytes()), rest)
}

#[cfg(target_arch = "x86_64")]
#[inline]
#[expect(unsafe_code, reason = "an instruction that not every processor has is unsafe to ask for")]
fn by_words(seed: u32, first: u32, rest: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u32, _mm_crc32_u64};

    #[target_feature(enable = "sse4.2")]
    fn sum(seed: u32, first: u32, rest: &[u8]) -> u32 {
        let (words, bytes) = rest.as_chunks::<8>();
        let mut sum = u64::from(_mm_crc32_u32(!seed, first));
        for word in words {
            sum = _mm_crc32_u64(sum, u64::from_le_bytes(*word));
        }
        // The upper half is always zero.
        !bytes.iter().fold(sum as u32, |sum, byte| _mm_crc32_u8(sum, *byte))
    }
    // SAFETY: all that `sum` asks for is SSE 4.2, and the only caller has found it on this processor.
    unsafe { sum(seed, first, rest) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_what_the_crate_says(seed: u32, first: u32, rest in proptest::collection::vec(any::<u8>(), 0..700)) {
            let wanted = crc32c::crc32c_append(crc32c::crc32c_append(seed, &first.to_le_bytes()), &rest);
            prop_assert_eq!(super::append(seed, first, &rest), wanted);
        }
    }
}
