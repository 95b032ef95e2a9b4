//! Random ids of rows, the only randomness this crate takes by itself. Secrets come in from outside.

use crate::error::StoreError;

/// Eight bytes of the operating system.
pub(crate) fn id_bytes() -> Result<[u8; 8], StoreError> {
    let mut bytes = [0; 8];
    fill(&mut bytes)?;
    Ok(bytes)
}

/// Many ids at once, sorted, so that a bulk insert walks its index once. They are 63-bit.
pub(crate) fn sorted_ids(count: usize) -> Result<Vec<u64>, StoreError> {
    let mut bytes = vec![0; count * 8];
    fill(&mut bytes)?;
    let mut ids: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|chunk| chunk.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte)) >> 1)
        .collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Fills with bytes of the operating system.
pub(crate) fn fill(bytes: &mut [u8]) -> Result<(), StoreError> {
    getrandom::fill(bytes).map_err(|error| StoreError::Unavailable {
        public: "the operating system gave no random numbers".to_owned(),
        cause: error.to_string(),
    })
}
