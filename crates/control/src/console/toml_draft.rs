//! The draft of a resource: form and TOML are two views of it, and either is read back into it.

use serde::{Serialize, de::DeserializeOwned};
use tollgate_core::field_error::FieldError;

use super::form::Fields;

/// What has a form.
pub(crate) trait Formed: Clone + PartialEq + Serialize + DeserializeOwned {
    /// The same with what the form says of it; why it cannot be, in words for who fills it in.
    fn over(self, fields: &Fields) -> Result<Self, String>;
}

/// A draft in both views.
pub(crate) struct TomlDraft<S> {
    /// The TOML as it was typed, or as the form became.
    pub(crate) toml: String,
    /// What the TOML says, where it can be read.
    pub(crate) spec: Option<S>,
    /// Why it cannot be read.
    pub(crate) problem: Option<String>,
}

impl<S: Formed> TomlDraft<S> {
    /// What is saved.
    pub(crate) fn of(spec: &S) -> Self {
        Self { toml: toml::to_string(spec).unwrap_or_default(), spec: Some(spec.clone()), problem: None }
    }

    /// What a page sent back. Whichever view was changed counts; a button that names a view makes
    /// that one count. Both changed without one is for the person to settle: nothing is lost in silence.
    pub(crate) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.exact(name).replace("\r\n", "\n");
        let (toml, was) = (text("toml"), Self::parse(text("was")));
        let is_toml_changed = toml != was.toml;
        let draft = Self::parse(toml);
        let formed = was.spec.as_ref().map(|spec| spec.clone().over(fields));
        let is_form_changed = match (&formed, &was.spec) {
            (Some(Ok(formed)), Some(was)) => formed != was,
            (formed, _) => formed.is_some(),
        };
        match (fields.text("act"), draft.spec.clone()) {
            (Some("form"), Some(spec)) => draft.formed(spec.over(fields)),
            (Some("toml"), _) | (_, None) => draft,
            (_, Some(_)) if !is_form_changed => draft,
            (_, Some(spec)) if !is_toml_changed => draft.formed(spec.over(fields)),
            (_, Some(_)) => {
                let problem = "form and TOML were both changed; put one into the other first";
                Self { problem: Some(problem.to_owned()), spec: None, toml: draft.toml }
            }
        }
    }

    fn formed(self, spec: Result<S, String>) -> Self {
        match spec {
            Ok(spec) => Self::of(&spec),
            Err(problem) => Self { problem: Some(problem), spec: None, ..self },
        }
    }

    fn parse(toml: String) -> Self {
        match toml::from_str::<S>(&toml) {
            Ok(spec) => Self { toml, spec: Some(spec), problem: None },
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let line = 1 + toml.bytes().take(at).filter(|byte| *byte == b'\n').count();
                let problem = Some(format!("line {line}: {}", error.message()));
                Self { toml, spec: None, problem }
            }
        }
    }

    /// What it says, or why it says nothing.
    pub(crate) fn spec(&self) -> Result<S, Vec<FieldError>> {
        let problem = || self.problem.clone().unwrap_or_default();
        self.spec.clone().ok_or_else(|| vec![FieldError::new("toml", problem())])
    }
}
