//! The two patterns of policies: paths by segment, and texts with `*`.

use std::ops::Range;

use thiserror::Error;

/// The longest pattern that is accepted, in bytes.
pub const PATTERN_LEN_MAX: usize = 512;
/// The longest text that a [`TextPattern`] looks at, in bytes; longer ones match nothing but `*`, so
/// that a client cannot choose how long matching takes.
pub const TEXT_LEN_MAX: usize = 8192;

/// Why a pattern is refused.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum PatternError {
    /// Not `METHOD /path`.
    #[error("`{0}` is not an endpoint; write a method or `*`, a space and a path: `GET /tiles/**`")]
    Endpoint(String),
    /// The path is not absolute.
    #[error("`{0}` is not a path pattern; it must begin with `/`")]
    NotAbsolute(String),
    /// `**` stands elsewhere than at the end.
    #[error("`{0}`: `**` may only be the last segment")]
    DeepNotLast(String),
    /// A segment that no path in its one spelling has.
    #[error("`{0}` matches no path: empty segments, `.` and `..` are removed before patterns are asked")]
    NeverMatches(String),
    /// A `*` shares its segment with other characters.
    #[error("`{0}`: `*` stands for one whole segment; it cannot share it with other characters")]
    PartialSegment(String),
    /// Not a pattern of URLs.
    #[error(
        "`{0}` is not a URL pattern; write `https://app.example.com`, `https://*.example.com/*` or `*`, \
         names in ASCII"
    )]
    Url(String),
    /// Too long.
    #[error("a pattern has at most 512 characters")]
    TooLong,
}

/// A path pattern: `*` is one segment, a last `**` any number of segments, none included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    deep: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Exact(Box<str>),
    Any,
}

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is not absolute, too long, or a wildcard stands where it has no meaning.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_LEN_MAX {
            return Err(PatternError::TooLong);
        }
        let rest = text.strip_prefix('/').ok_or_else(|| PatternError::NotAbsolute(text.to_owned()))?;
        let mut segments = Vec::new();
        let mut deep = false;
        let mut ended = false;
        for part in rest.split('/') {
            if ended || matches!(part, "." | "..") {
                return Err(PatternError::NeverMatches(text.to_owned()));
            }
            // An empty segment stands at the end only: `/tiles/`.
            ended = part.is_empty();
            if deep {
                return Err(PatternError::DeepNotLast(text.to_owned()));
            }
            match part {
                "**" => deep = true,
                "*" => segments.push(Segment::Any),
                part if part.contains('*') => return Err(PatternError::PartialSegment(text.to_owned())),
                part => segments.push(Segment::Exact(part.into())),
            }
        }
        Ok(Self { text: text.into(), segments: segments.into(), deep })
    }

    /// Whether a normalised path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.captures(path, |_| {})
    }

    /// Like [`Self::matches`], and hands over which bytes of the path each wildcard matched, in order; those of
    /// a `**` have no leading slash.
    pub fn captures(&self, path: &str, mut capture: impl FnMut(Range<usize>)) -> bool {
        let Some(mut rest) = path.strip_prefix('/') else { return false };
        let mut ended = false;
        for segment in &self.segments {
            if ended {
                return false;
            }
            let from = path.len() - rest.len();
            let (part, next) = match rest.split_once('/') {
                Some((part, next)) => (part, Some(next)),
                None => (rest, None),
            };
            match segment {
                Segment::Exact(text) if &**text != part => return false,
                Segment::Exact(_) => {}
                Segment::Any if part.is_empty() => return false,
                Segment::Any => capture(from..from + part.len()),
            }
            match next {
                Some(next) => rest = next,
                None => ended = true,
            }
        }
        if self.deep {
            let from = if ended { path.len() } else { path.len() - rest.len() };
            capture(from..path.len());
            return true;
        }
        ended
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// An endpoint: a method or `*`, and a path pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    method: Option<Box<str>>,
    path: PathPattern,
}

impl Endpoint {
    /// Reads `GET /tiles/**`.
    ///
    /// # Errors
    /// When the method is not upper-case letters or `*`, or the path no pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let error = || PatternError::Endpoint(text.chars().take(PATTERN_LEN_MAX).collect());
        let (method, path) = text.split_once(' ').ok_or_else(error)?;
        let method = match method {
            "*" => None,
            word if !word.is_empty()
                && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') =>
            {
                Some(word.into())
            }
            _ => return Err(error()),
        };
        Ok(Self { method, path: PathPattern::parse(path.trim_start())? })
    }

    /// Whether a request matches.
    #[must_use]
    pub fn matches(&self, method: &str, path: &str) -> bool {
        self.could_match(Some(method), Some(path))
    }

    /// Whether a request of which method or path may be unknown could match.
    #[must_use]
    pub fn could_match(&self, method: Option<&str>, path: Option<&str>) -> bool {
        let method_fits = match (self.method.as_deref(), method) {
            (Some(own), Some(method)) => own == method,
            _ => true,
        };
        method_fits && path.is_none_or(|path| self.path.matches(path))
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method.as_deref().unwrap_or("*"), self.path.as_str())
    }
}

/// A text with `*` for any run of characters; letters match in either case when asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPattern {
    text: Box<str>,
    fold: bool,
}

impl TextPattern {
    /// A pattern that tells upper from lower case.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > PATTERN_LEN_MAX {
            Err(PatternError::TooLong)
        } else {
            Ok(Self { text: text.into(), fold: false })
        }
    }

    /// A pattern that does not, for host names and origins.
    ///
    /// # Errors
    /// When it is too long.
    pub fn parse_folded(text: &str) -> Result<Self, PatternError> {
        Self::parse(text).map(|pattern| Self { fold: true, ..pattern })
    }

    /// Whether the whole text matches. Takes time in the order of the two lengths' product at
    /// most, and no recursion. A text over [`TEXT_LEN_MAX`] matches nothing but `*`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let (pattern, text) = (self.text.as_bytes(), text.as_bytes());
        if text.len() > TEXT_LEN_MAX {
            return !pattern.is_empty() && pattern.iter().all(|byte| *byte == b'*');
        }
        let same = |a: u8, b: u8| if self.fold { a.eq_ignore_ascii_case(&b) } else { a == b };
        let (mut at_pattern, mut at_text) = (0, 0);
        let mut retry: Option<(usize, usize)> = None;
        while let Some(&byte) = text.get(at_text) {
            match pattern.get(at_pattern) {
                Some(b'*') => {
                    at_pattern += 1;
                    retry = Some((at_pattern, at_text));
                }
                Some(&wanted) if same(wanted, byte) => {
                    at_pattern += 1;
                    at_text += 1;
                }
                _ => {
                    let Some((after_star, from)) = retry else { return false };
                    at_pattern = after_star;
                    at_text = from + 1;
                    retry = Some((after_star, from + 1));
                }
            }
        }
        pattern.iter().skip(at_pattern).all(|byte| *byte == b'*')
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}
