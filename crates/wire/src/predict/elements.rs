//! Nested arrays of JSON, read into a tensor in one pass without a tree of values.
//!
//! Keeps: every row of an axis has the same length, every element is of the type that is wanted, and no more
//! axes or elements than [`AXES_MAX`] and [`ELEMENTS_MAX`] are held.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;
use tollgate_core::tensor::{AXES_MAX, Data, DataType, ELEMENTS_MAX, Tensor};

use super::mistake::{InputMistake, shown};

/// Reads nested arrays of elements of one type. `field` is where they stand, for the words of a mistake.
///
/// # Errors
/// The first element, row or axis that does not fit.
pub fn read_nested(json: &RawValue, kind: DataType, field: &str) -> Result<Tensor, InputMistake> {
    let mut sink = Sink {
        data: Data::none_of(kind),
        lengths: [None; AXES_MAX],
        axes: None,
        place: Vec::new(),
        problem: None,
    };
    let mut text = serde_json::Deserializer::from_str(json.get());
    let read = Level { sink: &mut sink, depth: 0 }.deserialize(&mut text);
    if let Err(error) = read {
        let place: String = sink.place.iter().map(|index| format!("[{index}]")).collect();
        let field = format!("{field}{place}");
        return Err(match sink.problem {
            Some(problem) => InputMistake::new(field, problem),
            None => InputMistake::of_json(field, &error),
        });
    }
    let axes = sink.axes.unwrap_or_else(|| sink.lengths.iter().flatten().count());
    let shape = sink.lengths.iter().take(axes).map(|length| length.unwrap_or(0)).collect();
    Ok(Tensor { shape, data: sink.data })
}

/// The type that JSON of unknown type looks like by its first element: whole numbers, numbers, texts, truths.
#[must_use]
pub fn typed_guess(json: &RawValue) -> DataType {
    let text = json.get();
    let first = text.trim_start_matches(['[', ' ', '\t', '\r', '\n']);
    match first.as_bytes().first() {
        Some(b'"') => DataType::Text,
        Some(b't' | b'f') => DataType::Bool,
        // One fraction anywhere makes all of them fractions.
        _ if text.contains(['.', 'e', 'E']) => DataType::F64,
        _ => DataType::I64,
    }
}

struct Sink {
    data: Data,
    /// The length of each axis that has been read to its end once.
    lengths: [Option<usize>; AXES_MAX],
    /// How many axes there are, known from the first element on.
    axes: Option<usize>,
    /// Where we are.
    place: Vec<usize>,
    problem: Option<String>,
}

impl Sink {
    fn fail<E: Error>(&mut self, problem: String) -> E {
        self.problem.get_or_insert(problem);
        E::custom("")
    }

    /// An element of this text was found.
    fn wrong<E: Error>(&mut self, found: impl fmt::Display) -> E {
        let kind = self.data.kind();
        let found = shown(&found.to_string());
        self.fail(format!("{found} is not {}; the model takes {kind}", kind.words()))
    }

    fn check_depth<E: Error>(&mut self, depth: usize) -> Result<(), E> {
        match self.axes {
            Some(axes) if axes == depth => {}
            Some(axes) => {
                return Err(self.fail(format!(
                    "an element stands {depth} brackets deep, others stand {axes} deep; all must be alike"
                )));
            }
            None => self.axes = Some(depth),
        }
        if self.data.len() >= ELEMENTS_MAX {
            return Err(self.fail(format!("there are more than {ELEMENTS_MAX} elements; send fewer rows")));
        }
        Ok(())
    }

    fn float<E: Error>(&mut self, value: f64, whole: Option<i128>) -> Result<(), E> {
        macro_rules! whole {
            ($own:ident, $kind:ty) => {
                match whole.and_then(|whole| <$kind>::try_from(whole).ok()) {
                    Some(value) => {
                        $own.push(value);
                        Ok(())
                    }
                    None => Err(()),
                }
            };
        }
        let pushed = match &mut self.data {
            Data::F64(own) => {
                own.push(value);
                Ok(())
            }
            Data::F32(own) => {
                let narrow = value as f32;
                if narrow.is_finite() {
                    own.push(narrow);
                    Ok(())
                } else {
                    Err(())
                }
            }
            Data::I8(own) => whole!(own, i8),
            Data::I16(own) => whole!(own, i16),
            Data::I32(own) => whole!(own, i32),
            Data::I64(own) => whole!(own, i64),
            Data::U8(own) => whole!(own, u8),
            Data::U16(own) => whole!(own, u16),
            Data::U32(own) => whole!(own, u32),
            Data::U64(own) => whole!(own, u64),
            Data::Bool(_) | Data::Text(_) => Err(()),
        };
        match (pushed, whole) {
            (Ok(()), _) => Ok(()),
            (Err(()), Some(whole)) => Err(self.wrong(whole)),
            (Err(()), None) => Err(self.wrong(value)),
        }
    }
}

/// What stands so many brackets deep.
struct Level<'s> {
    sink: &'s mut Sink,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} or an array of such", self.sink.data.kind().words())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let Self { sink, depth } = self;
        if depth >= AXES_MAX {
            return Err(sink.fail(format!("arrays lie more than {AXES_MAX} deep within one another")));
        }
        let mut length = 0;
        sink.place.push(0);
        while rows.next_element_seed(Level { sink, depth: depth + 1 })?.is_some() {
            length += 1;
            if let Some(last) = sink.place.last_mut() {
                *last = length;
            }
        }
        sink.place.pop();
        match sink.lengths.get(depth).copied().flatten() {
            Some(known) if known != length => {
                let problem = format!(
                    "it has {length} elements, others beside it have {known}; make them equally long"
                );
                Err(sink.fail(problem))
            }
            _ => {
                if let Some(own) = sink.lengths.get_mut(depth) {
                    *own = Some(length);
                }
                Ok(())
            }
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.sink.check_depth(self.depth)?;
        match &mut self.sink.data {
            Data::Bool(own) => {
                own.push(value);
                Ok(())
            }
            _ => Err(self.sink.wrong(value)),
        }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.sink.check_depth(self.depth)?;
        self.sink.float(value as f64, Some(i128::from(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.sink.check_depth(self.depth)?;
        self.sink.float(value as f64, Some(i128::from(value)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.sink.check_depth(self.depth)?;
        self.sink.float(value, None)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.sink.check_depth(self.depth)?;
        match &mut self.sink.data {
            Data::Text(own) => {
                own.push(value.to_owned());
                Ok(())
            }
            _ => Err(self.sink.wrong(format_args!("the text \"{}\"", shown(value)))),
        }
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Err(self.sink.wrong("null"))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(self.sink.wrong("an object"))
    }
}
