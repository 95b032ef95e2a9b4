//! Judges raw request bytes before the codec sees them.

/// Why a request head or the framing of a body was refused. Each is a way to smuggle a request, or a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// The head is longer than the bound.
    #[error("the request head is too long: send fewer or shorter header fields")]
    HeadTooLong,
    /// More fields than the bound.
    #[error("the request has too many header fields")]
    TooManyFields,
    /// The request target is longer than the bound.
    #[error("the request target is too long: move data from the query into the body")]
    TargetTooLong,
}

impl Malformed {
    /// Whether the head was beyond a size bound: answer 431 `head_too_large`. Everything else is
    /// 400 `malformed_request`.
    pub fn is_too_large(self) -> bool {
        matches!(self, Self::HeadTooLong | Self::TooManyFields | Self::TargetTooLong)
    }
}
