//! The path and query an upstream gets: from the one spelling that was decided about, never from
//! what the client spelled, and without the credential.

use std::borrow::Cow;

use tollgate_core::{path, pattern::PathPattern, resource::ServiceSpec};

/// Wildcards a rewrite may refer to.
const CAPTURES_MAX: usize = 16;

/// How a service changes the path.
#[derive(Debug, Default)]
pub(crate) struct Retarget {
    /// Cut off, without a trailing slash.
    prefix: Box<str>,
    rewrite: Option<(PathPattern, Box<str>)>,
}

impl Retarget {
    /// Reads what a service says.
    pub(crate) fn of(spec: &ServiceSpec) -> Self {
        let prefix = match &spec.matches.path_prefix {
            Some(prefix) if spec.strip_prefix => prefix.trim_end_matches('/').into(),
            _ => Box::default(),
        };
        let rewrite = spec.rewrite.as_ref().and_then(|rewrite| {
            PathPattern::parse(&rewrite.from).ok().map(|from| (from, rewrite.to.as_str().into()))
        });
        Self { prefix, rewrite }
    }

    /// The upstream's path, encoded for the wire, for a normalised path.
    pub(crate) fn apply<'p>(&self, normalised: &'p str) -> Cow<'p, str> {
        let rest = normalised.strip_prefix(&*self.prefix).unwrap_or(normalised);
        let rest = if rest.is_empty() { "/" } else { rest };
        let Some((from, to)) = &self.rewrite else { return path::encode(rest) };
        let mut captures: Vec<&str> = Vec::new();
        if !from.captures(rest, |text| captures.push(text)) {
            return path::encode(rest);
        }
        captures.truncate(CAPTURES_MAX);
        Cow::Owned(path::encode(&fill(to, &captures)).into_owned())
    }
}

/// Puts captures where `{n}` stands, counted from 1; `{n}` without a capture stays as it is.
fn fill(template: &str, captures: &[&str]) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let filled = after.split_once('}').and_then(|(number, after)| {
            let index = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some((captures.get(index)?, after))
        });
        match filled {
            Some((capture, after)) => {
                text.push_str(capture);
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retarget(prefix: &str, rewrite: Option<(&str, &str)>) -> Retarget {
        let rewrite = rewrite.map(|(from, to)| (PathPattern::parse(from).unwrap(), to.into()));
        Retarget { prefix: prefix.into(), rewrite }
    }

    #[test]
    fn a_prefix_is_cut_off_and_what_is_left_begins_with_a_slash() {
        for (path, target) in
            [("/tiles/1/2", "/1/2"), ("/tiles", "/"), ("/tiles/", "/"), ("/other", "/other")]
        {
            assert_eq!(retarget("/tiles", None).apply(path), target);
        }
    }

    #[test]
    fn a_rewrite_fills_in_what_the_wildcards_matched() {
        let items = retarget("", Some(("/v1/*/items/**", "/items/{1}/{2}")));
        assert_eq!(items.apply("/v1/7/items/a/b"), "/items/7/a/b");
        assert_eq!(items.apply("/v2/7"), "/v2/7");
        let odd = retarget("", Some(("/a/*", "/b/{2}/{x}/{1}")));
        assert_eq!(odd.apply("/a/7"), "/b/%7B2%7D/%7Bx%7D/7");
    }

    #[test]
    fn what_is_not_plain_is_encoded_again() {
        assert_eq!(retarget("", None).apply("/a b/ü?#%"), "/a%20b/%C3%BC%3F%23%25");
    }

    proptest::proptest! {
        /// Whatever a client spells: the path an upstream reads is the path that was decided about.
        #[test]
        fn an_upstream_reads_the_path_that_was_decided_about(raw in "/[a-c./%2eEfF;?+ü-]{0,24}") {
            if let Ok(decided) = path::normalise(&raw) {
                let sent = retarget("", None).apply(&decided);
                proptest::prop_assert_eq!(path::normalise(&sent), Ok(decided.clone()));
                let cut = retarget("/a", None).apply(&decided);
                let read = path::normalise(&cut);
                let left = decided.strip_prefix("/a").unwrap_or(&decided);
                let left = if left.is_empty() { "/" } else { left };
                if left.starts_with('/') {
                    proptest::prop_assert_eq!(read.as_deref(), Ok(left));
                }
            }
        }
    }
}
