//! The draft of a rule.

use serde::{Serialize, de::DeserializeOwned};
use tollgate_core::rule::spec::{Above, RuleSpec, ThenSpec, WhenSpec};

use super::{
    form::Fields,
    toml_draft::{Formed, TomlDraft},
};

/// A draft in both views.
pub(crate) type RuleDraft = TomlDraft<RuleSpec>;

impl RuleDraft {
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

impl Formed for RuleSpec {
    fn over(self, fields: &Fields) -> Result<Self, String> {
        let text = |name: &str| fields.text(name).unwrap_or_default();
        let above = text("above");
        let above = above.parse().map_or_else(|_| Above::Decimal(above.to_owned()), Above::Count);
        let until = fields.text("until").map(|until| read("Until", until)).transpose()?;
        Ok(Self {
            when: WhenSpec {
                metric: read("Metric", text("metric"))?,
                service: fields.owned("service"),
                code: fields.owned("code"),
                per: read("Per", text("per"))?,
                above,
                window: read("Window", text("window"))?,
                ..self.when
            },
            then: ThenSpec {
                action: read("Action", text("action"))?,
                service: fields.owned("closes"),
                until,
                ..self.then
            },
            mode: read("Mode", text("mode"))?,
            ..self
        })
    }
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
