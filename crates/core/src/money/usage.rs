//! What one call of a model used. Providers count differently: whether cached tokens are part of the
//! input and thoughts part of the output. This is the one meaning inside Tollgate; the readers of
//! answers bring each provider's numbers to it.

/// The most tokens that one count may be. A larger number in an answer is a mistake of its sender.
pub const TOKENS_MAX: u64 = 1_000_000_000_000;

/// What one call used, in tokens. `input` and `output` are totals; the fields below each are parts of
/// it that may have a price of their own, and no token is in two of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All that was read: prompt, cached or not, written to a cache or not, tool results.
    pub input: u64,
    /// Of the input: read from a cache, but for audio.
    pub cached_input: u64,
    /// Of the input: audio read from a cache.
    pub cached_audio: u64,
    /// Of the input: written to a cache that lives for the provider's ordinary time (five minutes).
    pub cache_write: u64,
    /// Of the input: written to a cache that lives for an hour.
    pub cache_write_1h: u64,
    /// Of the input: audio that was in no cache.
    pub input_audio: u64,
    /// Of the input: images that were in no cache.
    pub input_image: u64,
    /// All that was produced: text, thoughts, audio, images.
    pub output: u64,
    /// Of the output: thoughts.
    pub reasoning: u64,
    /// Of the output: audio.
    pub output_audio: u64,
    /// Of the output: images.
    pub output_image: u64,
    /// Searches and fetches that the provider's own tools made, each with a fee.
    pub searches: u64,
    /// Whether a number was counted or guessed here, missing, or beyond belief. Such usage must never
    /// settle for less than what is known to be spent.
    pub estimated: bool,
}

impl Usage {
    /// Input and output together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The input that has no price of its own.
    #[must_use]
    pub fn plain_input(&self) -> u64 {
        let parts = [
            self.cached_input,
            self.cached_audio,
            self.cache_write,
            self.cache_write_1h,
            self.input_audio,
            self.input_image,
        ];
        rest(self.input, &parts)
    }

    /// The output that has no price of its own.
    #[must_use]
    pub fn plain_output(&self) -> u64 {
        rest(self.output, &[self.reasoning, self.output_audio, self.output_image])
    }

    /// Whether no part is more than its total.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let inputs = u128::from(self.cached_input)
            + u128::from(self.cached_audio)
            + u128::from(self.cache_write)
            + u128::from(self.cache_write_1h)
            + u128::from(self.input_audio)
            + u128::from(self.input_image);
        let outputs =
            u128::from(self.reasoning) + u128::from(self.output_audio) + u128::from(self.output_image);
        inputs <= u128::from(self.input) && outputs <= u128::from(self.output)
    }
}

/// A total without its parts; 0 when a sender's parts are more than its total, so that every part
/// is still counted.
fn rest(total: u64, parts: &[u64]) -> u64 {
    parts.iter().fold(total, |rest, part| rest.saturating_sub(*part))
}
