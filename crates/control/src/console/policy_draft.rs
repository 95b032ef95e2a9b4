//! The draft of a policy.

use tollgate_core::resource::PolicySpec;

use super::{
    form::Fields,
    toml_draft::{Formed, TomlDraft},
};

/// A draft in both views.
pub(crate) type Draft = TomlDraft<PolicySpec>;

/// A list of the form: its name in the policy, its label, what is typed into it.
pub(crate) struct List {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) text: String,
}

impl Draft {
    /// The lists of the form.
    pub(crate) fn lists(&self) -> Vec<List> {
        let Some(spec) = &self.spec else { return Vec::new() };
        let text = |list: &Option<Vec<String>>| list.as_deref().unwrap_or_default().join("\n");
        vec![
            list(
                "services",
                "Services",
                "* for all of this project, empty for none",
                spec.services.join("\n"),
            ),
            list("scopes", "Scopes", "read, write, delete, admin, or any other word", text(&spec.scopes)),
            list("endpoints", "Endpoints", "GET /tiles/**", text(&spec.endpoints)),
            list("allow_ips", "Only from addresses", "10.0.0.0/8", text(&spec.allow_ips)),
            list(
                "allow_referers",
                "Only with Referer",
                "https://*.example.com/*",
                text(&spec.allow_referers),
            ),
            list("allow_origins", "Only with Origin", "https://app.example.com", text(&spec.allow_origins)),
            list("allow_user_agents", "Only with User-Agent", "MyApp/*", text(&spec.allow_user_agents)),
        ]
    }

    /// What the form shows for requests at once.
    pub(crate) fn at_once(&self) -> String {
        let most = self.spec.as_ref().and_then(|spec| spec.max_concurrency);
        most.map(|most| most.to_string()).unwrap_or_default()
    }
}

const fn list(name: &'static str, label: &'static str, hint: &'static str, text: String) -> List {
    List { name, label, hint, text }
}

impl Formed for PolicySpec {
    /// An empty field restricts nothing, unless the list let nobody through before.
    fn over(self, fields: &Fields) -> Result<Self, String> {
        let list = |name: &str, present: &Option<Vec<String>>| {
            let lines = fields.lines(name);
            // An empty field shows a list that lets nobody through too: it never becomes no restriction.
            let lets_nobody = present.as_ref().is_some_and(Vec::is_empty);
            (!lines.is_empty() || lets_nobody).then_some(lines)
        };
        Ok(Self {
            services: fields.lines("services"),
            scopes: list("scopes", &self.scopes),
            endpoints: list("endpoints", &self.endpoints),
            allow_ips: list("allow_ips", &self.allow_ips),
            allow_referers: list("allow_referers", &self.allow_referers),
            allow_origins: list("allow_origins", &self.allow_origins),
            allow_user_agents: list("allow_user_agents", &self.allow_user_agents),
            max_concurrency: fields.text("max_concurrency").and_then(|text| text.parse().ok()),
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Draft;
    use crate::console::form::Fields;

    #[test]
    fn the_form_changes_what_it_shows_and_keeps_the_rest() {
        let toml = "project = \"maps\"\nname = \"p\"\nservices = []\nallow_apps = []\n";
        let body = format!("act=form&services=tiles%0ageocode&toml={}", super::super::form::encoded(toml));
        let draft = Draft::read(&Fields::read(body.as_bytes()));
        let spec = draft.spec().unwrap();
        assert_eq!(spec.services, ["tiles", "geocode"]);
        assert_eq!((spec.scopes, spec.allow_apps), (None, Some(Vec::new())));
        assert!(draft.toml.contains("geocode"));
    }

    #[test]
    fn a_list_that_lets_nobody_through_never_becomes_no_restriction() {
        let toml = "project = \"m\"\nname = \"p\"\nservices = []\nallow_ips = []\n";
        for act in ["form", "save"] {
            let text = super::super::form::encoded(toml);
            let draft =
                Draft::read(&Fields::read(format!("act={act}&services=a&toml={text}&was={text}").as_bytes()));
            let spec = draft.spec().unwrap();
            assert_eq!((spec.services, spec.allow_ips), (vec!["a".to_owned()], Some(Vec::new())), "{act}");
        }
    }

    #[test]
    fn changes_on_both_sides_are_not_lost_in_silence() {
        let was = super::super::form::encoded("project = \"m\"\nname = \"p\"\nservices = []\n");
        let now = super::super::form::encoded("project = \"m\"\nname = \"p\"\nservices = [\"b\"]\n");
        let read = |body: String| Draft::read(&Fields::read(body.as_bytes())).spec();
        assert!(read(format!("act=save&services=a&toml={now}&was={was}")).is_err());
        assert_eq!(read(format!("act=save&toml={now}&was={was}")).unwrap().services, ["b"]);
        assert_eq!(read(format!("act=save&services=a&toml={was}&was={was}")).unwrap().services, ["a"]);
    }

    #[test]
    fn what_cannot_be_read_names_its_line_and_is_kept() {
        let draft = Draft::read(&Fields::read(b"toml=project+%3D+%22m%22%0aname+%3D+3"));
        let errors = draft.spec().unwrap_err();
        assert!(errors[0].problem.starts_with("line 2:"), "{errors:?}");
        assert!(draft.toml.ends_with("name = 3"));
    }
}
