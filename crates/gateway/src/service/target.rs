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

    /// The upstream's path for the path that was decided about and the same path on the wire
    /// ([`path::wire`]). What is changed is found in the one and cut out of the other.
    pub(crate) fn apply<'p>(&self, decided: &'p str, wire: &'p str) -> Cow<'p, str> {
        let cut = if decided.starts_with(&*self.prefix) { self.prefix.len() } else { 0 };
        let rest = decided.get(cut..).unwrap_or_default();
        let part = |from, to| {
            if decided == wire {
                wire.get(from..to).unwrap_or_default()
            } else {
                path::wire_part(wire, from, to)
            }
        };
        let left = if rest.is_empty() { "/" } else { part(cut, decided.len()) };
        let Some((from, to)) = &self.rewrite else { return Cow::Borrowed(left) };
        let mut captures: Vec<&str> = Vec::new();
        let rest = if rest.is_empty() { "/" } else { rest };
        if !from.captures(rest, |bytes| captures.push(part(cut + bytes.start, cut + bytes.end))) {
            return Cow::Borrowed(left);
        }
        captures.truncate(CAPTURES_MAX);
        Cow::Owned(fill(to, &captures))
    }
}

/// Puts captures, which are encoded, where `{n}` stands, counted from 1, and encodes the rest; `{n}` without a
/// capture stays as it is. A capture that is empty or ends with a slash leaves one slash, not two: a path with an empty
/// segment is another one to many upstreams, and one that begins with `//` names a host.
fn fill(template: &str, captures: &[&str]) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(&path::encode(before));
        let filled = after.split_once('}').and_then(|(number, after)| {
            let index = number.parse::<usize>().ok()?.checked_sub(1)?;
            Some((captures.get(index)?, after))
        });
        match filled {
            Some((capture, after)) => {
                text.push_str(capture);
                // It was empty, or ended with a slash itself.
                let is_cut = text.ends_with('/');
                rest = if is_cut { after.strip_prefix('/').unwrap_or(after) } else { after };
            }
            None => {
                text.push_str(&path::encode("{"));
                rest = after;
            }
        }
    }
    text.push_str(&path::encode(rest));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retarget(prefix: &str, rewrite: Option<(&str, &str)>) -> Retarget {
        let rewrite = rewrite.map(|(from, to)| (PathPattern::parse(from).unwrap(), to.into()));
        Retarget { prefix: prefix.into(), rewrite }
    }

    /// What goes upstream for what a client sends.
    fn sent(retarget: &Retarget, raw: &str) -> String {
        let decided = path::normalise(raw).unwrap();
        retarget.apply(&decided, &path::wire(raw, &decided)).into_owned()
    }

    #[test]
    fn a_prefix_is_cut_off_and_what_is_left_begins_with_a_slash() {
        for (path, target) in [
            ("/tiles/1/2", "/1/2"),
            ("/tiles", "/"),
            ("/tiles/", "/"),
            ("/other", "/other"),
            ("/%74iles/a%2Bb/%c3%bc", "/a%2Bb/%C3%BC"),
        ] {
            assert_eq!(sent(&retarget("/tiles", None), path), target);
        }
        assert_eq!(sent(&retarget("/ü+", None), "/%c3%bc%2b/%40@"), "/%40@");
    }

    #[test]
    fn a_rewrite_fills_in_what_the_wildcards_matched() {
        let items = retarget("", Some(("/v1/*/items/**", "/items/{1}/{2}")));
        assert_eq!(sent(&items, "/v1/7/items/a/b"), "/items/7/a/b");
        assert_eq!(sent(&items, "/v1/7%2b+ü/items/a%40/@b"), "/items/7%2B+%C3%BC/a%40/@b");
        assert_eq!(sent(&items, "/v2/7"), "/v2/7");
        let odd = retarget("", Some(("/a/*", "/b/{2}/{x}/{1}")));
        assert_eq!(sent(&odd, "/a/7"), "/b/%7B2%7D/%7Bx%7D/7");
        let both = retarget("/ü", Some(("/*/x", "/{1}")));
        assert_eq!(sent(&both, "/%c3%bc/a%2C,/x"), "/a%2C,");
        let root = retarget("/a", Some(("/**", "/b/{1}")));
        assert_eq!(sent(&root, "/a"), "/b/");
    }

    #[test]
    fn a_wildcard_that_matched_nothing_leaves_one_slash() {
        for (from, to, path, target) in [
            ("/a/**", "/b/{1}/c", "/a", "/b/c"),
            ("/a/**", "/b/{1}/c", "/a/", "/b/c"),
            ("/a/**", "/b/{1}/c", "/a/x/y", "/b/x/y/c"),
            ("/a/**", "/b/{1}/c", "/a/x/", "/b/x/c"),
            ("/a/**", "/b/{1}", "/a/x/", "/b/x/"),
            ("/a/**", "/{1}/c", "/a", "/c"),
            ("/a/**", "/{1}/{1}/c", "/a/", "/c"),
            ("/a/**", "/{1}/", "/a", "/"),
            ("/a/**", "/{1}", "/a", "/"),
            ("/a/**", "/b/{1}", "/a", "/b/"),
            ("/a/**", "/b{1}/c", "/a", "/b/c"),
            ("/a/**", "/b/{1}.json", "/a", "/b/.json"),
            ("/*/**", "/x/{2}/{1}", "/a", "/x/a"),
            ("/*/**", "/x/{2}/{1}", "/a/b", "/x/b/a"),
            // What the template says itself is left as it is.
            ("/a/**", "/b//{1}/c", "/a", "/b//c"),
        ] {
            assert_eq!(sent(&retarget("", Some((from, to))), path), target, "{from} to {to} of {path}");
        }
    }

    #[test]
    fn what_is_not_plain_is_encoded_again() {
        let own = retarget("", None);
        assert_eq!(own.apply("/a b/ü?#%", "/a%20b/%C3%BC%3F%23%25"), "/a%20b/%C3%BC%3F%23%25");
    }

    proptest::proptest! {
        /// Whatever a client spells: the path an upstream reads is the path that was decided about.
        #[test]
        fn an_upstream_reads_the_path_that_was_decided_about(raw in "/[a-c./%2befBEF;?+@,ü-]{0,24}") {
            if let Ok(decided) = path::normalise(&raw) {
                let sent_whole = sent(&retarget("", None), &raw);
                proptest::prop_assert_eq!(path::normalise(&sent_whole), Ok(decided.clone()));
                let cut = sent(&retarget("/a", None), &raw);
                let read = path::normalise(&cut);
                let left = decided.strip_prefix("/a").unwrap_or(&decided);
                let left = if left.is_empty() { "/" } else { left };
                if left.starts_with('/') {
                    proptest::prop_assert_eq!(read.as_deref(), Ok(left));
                }
                let moved = sent(&retarget("", Some(("/*/**", "/x/{2}/{1}"))), &raw);
                if let Some((first, behind)) = decided.get(1..).filter(|rest| !rest.is_empty()).map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
                    let expected = format!("/x/{behind}/{first}");
                    let expected = expected.replace("//", "/");
                    proptest::prop_assert!(!moved.contains("//"), "{}", moved);
                    let read = path::normalise(&moved);
                    proptest::prop_assert_eq!(read.as_deref(), Ok(&*expected));
                }
            }
        }
    }
}
