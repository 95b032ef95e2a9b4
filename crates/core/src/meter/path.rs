//! Paths into the data of records, and finding what they lead to in one pass over it.
//!
//! A path is the part of JSONPath (RFC 9535) that leads to one place: `$.a.b`, `$.list[0]`, `$['a.b']`.
//! What is neither is here: filters, wildcards, and places that are many.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use smallvec::SmallVec;
use thiserror::Error;

use super::number::Number;

/// Bytes of a path at most.
pub const PATH_LEN_MAX: usize = 256;
/// Steps of a path at most.
const STEPS_MAX: usize = 16;
/// Bytes of a text that are kept; the rest is cut at a character.
pub const TEXT_LEN_MAX: usize = 256;

/// A way to one place in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path {
    steps: Box<[Step]>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    Member(Box<str>),
    Element(u32),
}

/// Why a text is no path.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("it is not a path to one place such as `$.bytes`, `$.list[0]` or `$['a.b']`")]
pub struct PathError;

impl Path {
    /// The path that a text is.
    ///
    /// # Errors
    /// [`PathError`] for anything else, more than 256 bytes or 16 steps.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let mut rest = text.strip_prefix('$').filter(|_| text.len() <= PATH_LEN_MAX).ok_or(PathError)?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = first_step(rest).ok_or(PathError)?;
            steps.push(step);
            rest = behind;
        }
        let is_bounded = (1..=STEPS_MAX).contains(&steps.len());
        if is_bounded { Ok(Self { steps: steps.into() }) } else { Err(PathError) }
    }

    /// The member that it leads to, when it leads to one of the outermost object.
    #[must_use]
    pub fn member(&self) -> Option<&str> {
        match &*self.steps {
            [Step::Member(name)] => Some(name),
            _ => None,
        }
    }
}

fn first_step(rest: &str) -> Option<(Step, &str)> {
    if let Some(named) = rest.strip_prefix('.') {
        let end = named.find(['.', '[']).unwrap_or(named.len());
        let (name, behind) = named.split_at_checked(end)?;
        let is_name =
            !name.is_empty() && name.chars().all(|sign| sign.is_alphanumeric() || sign == '_' || sign == '-');
        return is_name.then(|| (Step::Member(name.into()), behind));
    }
    let inner = rest.strip_prefix('[')?;
    for quote in ['\'', '"'] {
        if let Some(quoted) = inner.strip_prefix(quote) {
            let (name, behind) = quoted.split_once(quote)?;
            // Escapes are not read: a name with quotes of both kinds or a backslash has no path here.
            return (!name.contains('\\')).then_some((Step::Member(name.into()), behind.strip_prefix(']')?));
        }
    }
    let (index, behind) = inner.split_once(']')?;
    let is_index = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    Some((Step::Element(index.parse().ok().filter(|_| is_index)?), behind))
}

/// What a path leads to, when it is neither an object nor a list.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// `null`, which is like nothing.
    Null,
    /// `true`, `false`.
    Flag(bool),
    /// A number; `None` within when no meter can count it.
    Number(Option<Number>),
    /// A text, cut at [`TEXT_LEN_MAX`] bytes.
    Text(Box<str>),
}

impl Scalar {
    /// A text, cut where it is too long.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut end = text.len().min(TEXT_LEN_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        Self::Text(text.get(..end).unwrap_or_default().into())
    }

    /// The number that it is; texts that are written like one are too.
    #[must_use]
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => *number,
            Self::Text(text) => Number::parse(text),
            Self::Null | Self::Flag(_) => None,
        }
    }

    /// What it is told apart by: its text. `1` and `"1"` are the same.
    #[must_use]
    pub fn word(&self) -> Option<Box<str>> {
        match self {
            Self::Null | Self::Number(None) => None,
            Self::Flag(flag) => Some(if *flag { "true".into() } else { "false".into() }),
            Self::Number(Some(number)) => Some(number.to_string().into()),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

/// Finds what paths lead to, in their order; `None` where there is nothing, an object or a list. Data that
/// ends in the middle or is no JSON is an error, and so is what lies deeper than the deserializer goes.
///
/// # Errors
/// Those of the deserializer.
pub fn find<'de, D: Deserializer<'de>>(paths: &[Path], data: D) -> Result<Vec<Option<Scalar>>, D::Error> {
    let mut found = vec![None; paths.len()];
    let open = (0..paths.len()).map(|path| (path, 0)).collect();
    Walk { paths, open, found: &mut found }.deserialize(data)?;
    Ok(found)
}

/// A value, and the paths that lead to it or through it: which, and how many of their steps were taken.
struct Walk<'w> {
    paths: &'w [Path],
    open: SmallVec<[(usize, usize); 8]>,
    found: &'w mut Vec<Option<Scalar>>,
}

impl Walk<'_> {
    fn step(&self, (path, taken): (usize, usize)) -> Option<&Step> {
        self.paths.get(path)?.steps.get(taken)
    }

    fn through(&self, is_it: impl Fn(&Step) -> bool) -> SmallVec<[(usize, usize); 8]> {
        let open = self.open.iter().filter(|open| self.step(**open).is_some_and(&is_it));
        open.map(|(path, taken)| (*path, taken + 1)).collect()
    }

    fn note(self, scalar: &Scalar) {
        for (path, taken) in &self.open {
            let is_end = self.paths.get(*path).is_some_and(|path| path.steps.len() == *taken);
            if let Some(place) = self.found.get_mut(*path).filter(|_| is_end) {
                *place = Some(scalar.clone());
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, data: D) -> Result<(), D::Error> {
        if self.open.is_empty() {
            return serde::Deserialize::deserialize(data).map(|IgnoredAny| ());
        }
        data.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.note(&Scalar::Null);
        Ok(())
    }

    fn visit_bool<E>(self, flag: bool) -> Result<(), E> {
        self.note(&Scalar::Flag(flag));
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        self.note(&Scalar::Number(Number::parse(&number.to_string())));
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        self.note(&Scalar::Number(Number::parse(&number.to_string())));
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        self.note(&Scalar::Number(Number::of_float(number)));
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.note(&Scalar::text(text));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            let open = self.through(|step| matches!(step, Step::Member(own) if **own == *name));
            members.next_value_seed(Walk { paths: self.paths, open, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        for index in 0_u32.. {
            let open = self.through(|step| *step == Step::Element(index));
            let walk = Walk { paths: self.paths, open, found: &mut *self.found };
            if elements.next_element_seed(walk)?.is_none() {
                return Ok(());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(data: &str, paths: &[&str]) -> Vec<Option<String>> {
        let paths: Vec<Path> = paths.iter().map(|path| Path::parse(path).unwrap()).collect();
        let found = find(&paths, &mut serde_json::Deserializer::from_str(data)).unwrap();
        found.into_iter().map(|scalar| scalar.and_then(|scalar| scalar.word()).map(String::from)).collect()
    }

    #[test]
    fn paths_lead_to_one_place_each_in_one_pass() {
        let data = r#"{"a":{"b":[1,{"c":"x"}],"b.c":true},"n":-1.50,"s":"2.5","z":null,"a\u0062":7}"#;
        let said = |text: &str| Some(text.to_owned());
        for (path, word) in [
            ("$.a.b[0]", said("1")),
            ("$.a.b[1].c", said("x")),
            ("$.a['b.c']", said("true")),
            ("$[\"n\"]", said("-1.5")),
            ("$.s", said("2.5")),
            ("$.ab", said("7")),
            ("$.z", None),
            ("$.a", None),
            ("$.a.b", None),
            ("$.a.b[2]", None),
            ("$.none", None),
        ] {
            assert_eq!(at(data, &[path]), [word], "{path}");
        }
        assert_eq!(at(data, &["$.n", "$.n", "$.a.b[0]"]), [said("-1.5"), said("-1.5"), said("1")]);
        assert_eq!(at("[3,4]", &["$[1]"]), [said("4")]);
        assert_eq!(at("5", &["$.a"]), [None]);
    }

    #[test]
    fn what_is_no_path_to_one_place_is_refused() {
        let long = format!("$.{}", "a".repeat(PATH_LEN_MAX));
        let deep = "$".to_owned() + &".a".repeat(STEPS_MAX + 1);
        for text in
            ["", "$", "a", "$a", "$.", "$..a", "$.*", "$[*]", "$[-1]", "$[1", "$['a]", "$.a b", &long, &deep]
        {
            assert_eq!(Path::parse(text), Err(PathError), "{text}");
        }
    }

    #[test]
    fn numbers_may_be_written_as_texts() {
        assert_eq!(Scalar::text("12.5").number(), Number::parse("12.5"));
        assert_eq!(Scalar::text("12.5 MB").number(), None);
        assert_eq!(Scalar::Flag(true).number(), None);
    }
}
