//! Compiled JSON Schemas: made by each lane when they are first needed and kept while their text stays the same.
//! Patterns in schemas run in linear time, so that no record can choose how long they take.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use tollgate_core::id::ProjectId;

/// Validators that a lane keeps; when there are more it begins anew.
const KEPT_MAX: usize = 1024;
type Key = (ProjectId, Box<str>, u32);
/// The text, and what was made of it.
type Compiled = (Box<str>, Option<Rc<Validator>>);

/// The validators of a lane.
#[derive(Default)]
pub(crate) struct Validators(RefCell<HashMap<Key, Compiled>>);

impl Validators {
    /// The validator of a schema; `None` when it does not compile, which was checked when it was written.
    pub(crate) fn of(&self, key: Key, schema: &str) -> Option<Rc<Validator>> {
        if let Some((text, validator)) = self.0.borrow().get(&key)
            && **text == *schema
        {
            return validator.clone();
        }
        let compiled = compile(schema);
        if let Err(problem) = &compiled {
            tracing::error!(
                event_type = &*key.1,
                version = key.2,
                problem,
                "a stored schema does not compile"
            );
        }
        let validator = compiled.ok().map(Rc::new);
        let mut kept = self.0.borrow_mut();
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (schema.into(), validator.clone()));
        validator
    }
}

fn compile(schema: &str) -> Result<Validator, String> {
    let schema: Value = serde_json::from_str(schema).map_err(|error| error.to_string())?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(&schema).map_err(|error| error.to_string())
}
