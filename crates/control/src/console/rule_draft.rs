//! The draft of a rule: form and TOML are two views of it, and either is read back into it.

use serde::{Serialize, de::DeserializeOwned};
use tollgate_core::{
    field_error::FieldError,
    rule::spec::{Above, RuleSpec, ThenSpec, WhenSpec},
};

use super::form::Fields;

/// A draft in both views.
pub(crate) struct RuleDraft {
    /// The TOML as it was typed, or as the form became.
    pub(crate) toml: String,
    /// What the TOML says, where it can be read.
    pub(crate) spec: Option<RuleSpec>,
    /// Why it cannot be read.
    pub(crate) problem: Option<String>,
}

impl RuleDraft {
    /// What is saved.
    pub(crate) fn of(spec: &RuleSpec) -> Self {
        Self { toml: toml::to_string(spec).unwrap_or_default(), spec: Some(spec.clone()), problem: None }
    }

    /// What a page sent back. Whichever view was changed counts; a button that names a view makes
    /// that one count. Both changed without one is for the person to settle: nothing is lost in silence.
    pub(crate) fn read(fields: &Fields) -> Self {
        let text = |name: &str| fields.exact(name).replace("\r\n", "\n");
        let (toml, was) = (text("toml"), Self::parse(text("was")));
        let is_toml_changed = toml != was.toml;
        let draft = Self::parse(toml);
        let formed = was.spec.as_ref().map(|spec| over(spec.clone(), fields));
        let is_form_changed = match (&formed, &was.spec) {
            (Some(Ok(formed)), Some(was)) => formed != was,
            (formed, _) => formed.is_some(),
        };
        match (fields.text("act"), draft.spec.clone()) {
            (Some("form"), Some(spec)) => draft.formed(over(spec, fields)),
            (Some("toml"), _) | (_, None) => draft,
            (_, Some(_)) if !is_form_changed => draft,
            (_, Some(spec)) if !is_toml_changed => draft.formed(over(spec, fields)),
            (_, Some(_)) => {
                let problem = "form and TOML were both changed; put one into the other first";
                Self { problem: Some(problem.to_owned()), spec: None, toml: draft.toml }
            }
        }
    }

    fn formed(self, spec: Result<RuleSpec, String>) -> Self {
        match spec {
            Ok(spec) => Self::of(&spec),
            Err(problem) => Self { problem: Some(problem), spec: None, ..self },
        }
    }

    fn parse(toml: String) -> Self {
        match toml::from_str::<RuleSpec>(&toml) {
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
    pub(crate) fn spec(&self) -> Result<RuleSpec, Vec<FieldError>> {
        let problem = || self.problem.clone().unwrap_or_default();
        self.spec.clone().ok_or_else(|| vec![FieldError::new("toml", problem())])
    }

    /// What the form shows in a field.
    pub(crate) fn value(&self, name: &str) -> String {
        let Some(spec) = &self.spec else { return String::new() };
        let (when, then) = (&spec.when, &spec.then);
        match name {
            "metric" => word(&when.metric),
            "service" => when.service.clone().unwrap_or_default(),
            "code" => when.code.clone().unwrap_or_default(),
            "per" => word(&when.per),
            "above" => match &when.above {
                Above::Count(count) => count.to_string(),
                Above::Decimal(text) => text.clone(),
            },
            "window" => when.window.to_string(),
            "action" => word(&then.action),
            "closes" => then.service.clone().unwrap_or_default(),
            "until" => then.until.as_ref().map(word).unwrap_or_default(),
            "mode" => word(&spec.mode),
            _ => String::new(),
        }
    }
}

/// A word of a rule as it is written.
pub(super) fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn read<T: DeserializeOwned>(label: &str, text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|error| format!("{label}: {error}"))
}

/// The rule with what the form says of it.
fn over(spec: RuleSpec, fields: &Fields) -> Result<RuleSpec, String> {
    let text = |name: &str| fields.text(name).unwrap_or_default();
    let above = text("above");
    let above = above.parse().map_or_else(|_| Above::Decimal(above.to_owned()), Above::Count);
    let until = fields.text("until").map(|until| read("Until", until)).transpose()?;
    Ok(RuleSpec {
        when: WhenSpec {
            metric: read("Metric", text("metric"))?,
            service: fields.owned("service"),
            code: fields.owned("code"),
            per: read("Per", text("per"))?,
            above,
            window: read("Window", text("window"))?,
            ..spec.when
        },
        then: ThenSpec {
            action: read("Action", text("action"))?,
            service: fields.owned("closes"),
            until,
            ..spec.then
        },
        mode: read("Mode", text("mode"))?,
        ..spec
    })
}

#[cfg(test)]
mod tests {
    use super::RuleDraft;
    use crate::console::form::{Fields, encoded};

    const TOML: &str = "project = \"maps\"\nname = \"flood\"\nmode = \"enforce\"\n\n[when]\nmetric = \"requests\"\n\
                        per = \"key\"\nabove = 100\nwindow = \"1m\"\n\n[then]\naction = \"block\"\nuntil = \"next_hour\"\n";

    fn posted(form: &str) -> RuleDraft {
        let toml = encoded(TOML);
        RuleDraft::read(&Fields::read(format!("{form}&toml={toml}&was={toml}").as_bytes()))
    }

    #[test]
    fn the_form_changes_what_it_shows_and_keeps_the_rest() {
        let form = "metric=requests&per=consumer&above=250&window=5m&action=block&until=30m&mode=observe&service=tiles";
        let draft = posted(form);
        let shown = |name: &str| draft.value(name);
        assert_eq!(draft.problem, None);
        assert_eq!(
            (shown("above"), shown("until"), shown("service")),
            ("250".into(), "30m".into(), "tiles".into())
        );
        assert!(draft.toml.contains("mode = \"observe\"") && draft.toml.contains("per = \"consumer\""));
    }

    #[test]
    fn what_the_form_cannot_mean_is_said_and_not_saved() {
        let draft =
            posted("metric=requests&per=key&above=1&window=often&action=block&until=next_hour&mode=enforce");
        assert!(draft.spec().is_err());
        assert!(draft.problem.unwrap().contains("often"));
    }
}
