//! The draft of a version of a model.

use tollgate_core::{
    predict_spec::{BatchSpec, ModelSpec, RemoteProtocol, RemoteSpec, SampleSpec},
    time::Span,
};

use super::{
    form::Fields,
    toml_draft::{Formed, TomlDraft},
};

/// A draft in both views.
pub(crate) type ModelDraft = TomlDraft<ModelSpec>;

impl ModelDraft {
    /// Whether the model lives on a server of its own.
    pub(crate) fn is_remote(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.remote.is_some())
    }

    /// Whether prediction events hold inputs and outputs.
    pub(crate) fn records(&self) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.record_inputs)
    }

    /// What the form shows in a field.
    pub(crate) fn value(&self, name: &str) -> String {
        let Some(spec) = &self.spec else { return String::new() };
        let (remote, batch) = (spec.remote.as_ref(), spec.batch.as_ref());
        let text = match name {
            "file" => spec.file.clone(),
            "protocol" => remote.map(|remote| protocol_name(remote.protocol).to_owned()),
            "url" => remote.map(|remote| remote.url.clone()),
            "there" => remote.and_then(|remote| remote.model.clone()),
            "there_version" => remote.and_then(|remote| remote.version.clone()),
            "aliases" => Some(spec.aliases.join(", ")),
            "sample" => spec.sample.as_ref().map(|sample| sample.inputs.clone()),
            "timeout" => spec.timeout.map(|span| span.to_string()),
            "concurrency" => spec.concurrency_max.map(|count| count.to_string()),
            "batch_window" => batch.map(|batch| batch.window.to_string()),
            "batch_rows" => batch.and_then(|batch| batch.rows_max).map(|rows| rows.to_string()),
            _ => None,
        };
        text.unwrap_or_default()
    }
}

const fn protocol_name(protocol: RemoteProtocol) -> &'static str {
    match protocol {
        RemoteProtocol::KserveV2 => "kserve-v2",
        RemoteProtocol::TfServing => "tf-serving",
    }
}

fn span(label: &str, text: &str) -> Result<Span, String> {
    text.parse().map_err(|error| format!("{label}: {error}"))
}

fn count(label: &str, text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("{label}: `{text}` is no whole number"))
}

fn remote_over(present: RemoteSpec, fields: &Fields) -> RemoteSpec {
    RemoteSpec {
        protocol: match fields.text("protocol") {
            Some("tf-serving") => RemoteProtocol::TfServing,
            _ => RemoteProtocol::KserveV2,
        },
        url: fields.owned("url").unwrap_or_default(),
        model: fields.owned("there"),
        version: fields.owned("there_version"),
        ..present
    }
}

/// The sample with other inputs; the one that there was where they differ in space alone.
fn sample_over(present: Option<SampleSpec>, fields: &Fields) -> Option<SampleSpec> {
    if !fields.has("sample") {
        return present;
    }
    let inputs = fields.owned("sample")?.replace("\r\n", "\n");
    match present {
        Some(present) if present.inputs.trim() == inputs => Some(present),
        present => Some(SampleSpec { inputs, ..present.unwrap_or_default() }),
    }
}

impl Formed for ModelSpec {
    fn over(self, fields: &Fields) -> Result<Self, String> {
        let window = fields.text("batch_window").map(|text| span("Wait for others", text)).transpose()?;
        let rows_max = fields.text("batch_rows").map(|text| count("Rows at most", text)).transpose()?;
        Ok(Self {
            remote: self.remote.map(|remote| remote_over(remote, fields)),
            aliases: fields.lines("aliases"),
            sample: sample_over(self.sample, fields),
            batch: match fields.has("batch_window") {
                true => window.map(|window| BatchSpec { window, rows_max }),
                false => self.batch,
            },
            concurrency_max: fields.text("concurrency").map(|text| count("At once", text)).transpose()?,
            timeout: fields.text("timeout").map(|text| span("Answer within", text)).transpose()?,
            record_inputs: fields.has("record_inputs"),
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::ModelDraft;
    use crate::console::form::{Fields, encoded};

    const FILE: &str = "project = \"maps\"\nname = \"fraud\"\nversion = \"3\"\nfile = \"/m/fraud.onnx\"\n\
                        [sample]\ninputs = \"[[1, 2]]\"\n[sample.shapes]\nout = [1, 2]\n";

    fn posted(form: &str) -> ModelDraft {
        let toml = encoded(FILE);
        ModelDraft::read(&Fields::read(format!("{form}&toml={toml}&was={toml}").as_bytes()))
    }

    #[test]
    fn the_form_changes_what_it_shows_and_keeps_file_and_shapes() {
        let draft = posted(
            "aliases=stable%2C+next&sample=%5B%5B3%2C+4%5D%5D&timeout=2s&concurrency=8&batch_window=2ms",
        );
        let spec = draft.spec.clone().unwrap();
        assert_eq!(spec.aliases, ["stable", "next"]);
        assert_eq!(spec.file.as_deref(), Some("/m/fraud.onnx"));
        let sample = spec.sample.unwrap();
        assert_eq!((sample.inputs.as_str(), sample.shapes["out"].as_slice()), ("[[3, 4]]", &[1, 2][..]));
        assert_eq!((draft.value("timeout"), draft.value("batch_window")), ("2s".into(), "2ms".into()));
    }

    #[test]
    fn what_the_form_cannot_mean_is_said_and_not_saved() {
        let draft = posted("sample=%5B%5B1%2C+2%5D%5D&timeout=soon");
        assert!(draft.spec().is_err());
        assert!(draft.problem.unwrap().contains("soon"));
    }
}
