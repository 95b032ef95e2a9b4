//! Models: what is wrong with one as it was written, which version is the later one, and what a remote one takes.

use std::{cmp::Ordering, sync::Arc};

use crate::{
    field_error::FieldError,
    id::{ModelId, ProjectId, TenantId},
    name::check_name,
    predict_spec::{CONCURRENCY_MAX, InputSpec, ModelSpec, RemoteSpec},
    service_spec::Upstream,
    tensor::{AXES_MAX, DataType, TensorSpec},
    time::Span,
};

/// The alias that the highest version has unless another version takes it.
pub const LATEST: &str = "latest";
/// Aliases of one version.
const ALIASES_MAX: usize = 16;
/// Bytes of a sample.
const SAMPLE_BYTES_MAX: usize = 64 << 10;
/// The longest path of a file, in bytes.
const FILE_LEN_MAX: usize = 4096;
/// What a remote model takes.
const INPUTS_MAX: usize = 256;
const TIMEOUT_MAX: Span = Span::from_secs(600);
const WINDOW_MAX: Span = Span::from_secs(1);
const ROWS_MAX: u32 = 65_536;

/// A version of a model, with whose it is.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its id.
    pub id: ModelId,
    /// Its project.
    pub project: ProjectId,
    /// The project's tenant.
    pub tenant: TenantId,
    /// The version of its row.
    pub version: u64,
    /// As it was written.
    pub spec: Arc<ModelSpec>,
}

/// Versions by what they are called: numbers by their value, the rest as texts, part by part.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let parts = |text: &str| -> Vec<Result<u64, String>> {
        let parts = text.split(['.', '-', '_']);
        parts.map(|part| part.trim_start_matches('v').parse().map_err(|_| part.to_owned())).collect()
    };
    // A number comes behind a word: `1.0` is later than `1.rc`.
    let rank = |one: &Result<u64, String>, other: &Result<u64, String>| match (one, other) {
        (Ok(one), Ok(other)) => one.cmp(other),
        (Err(one), Err(other)) => one.cmp(other),
        (Ok(_), Err(_)) => Ordering::Greater,
        (Err(_), Ok(_)) => Ordering::Less,
    };
    let (left, right) = (parts(a), parts(b));
    let differing = left.iter().zip(&right).map(|(one, other)| rank(one, other)).find(|order| order.is_ne());
    differing.unwrap_or_else(|| left.len().cmp(&right.len())).then_with(|| a.cmp(b))
}

/// What is wrong with a model, everything at once. What stands in its file is found out where it is loaded.
#[must_use]
pub fn check_model(spec: &ModelSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (field, name) in [("name", &spec.name), ("version", &spec.version)] {
        errors.extend(check_name(name).err().map(|problem| FieldError::new(field, problem)));
    }
    check_source(spec, &mut errors);
    check_aliases(spec, &mut errors);
    if let Some(sample) = spec.sample.as_ref().filter(|sample| sample.inputs.len() > SAMPLE_BYTES_MAX) {
        let problem = format!("{} bytes are over the bound of {SAMPLE_BYTES_MAX}", sample.inputs.len());
        errors.push(FieldError::new("sample.inputs", problem));
    }
    if let Some(batch) = spec.batch {
        if !(Span::from_millis(1)..=WINDOW_MAX).contains(&batch.window) {
            errors.push(FieldError::new("batch.window", format!("{} is outside 1ms to 1s", batch.window)));
        }
        if let Some(rows) = batch.rows_max.filter(|rows| !(2..=ROWS_MAX).contains(rows)) {
            errors.push(FieldError::new("batch.rows_max", format!("{rows} is outside 2 to {ROWS_MAX}")));
        }
        if spec.remote.is_some() {
            let problem = "requests are joined where the model runs; leave it away for remote models";
            errors.push(FieldError::new("batch", problem));
        }
    }
    if let Some(count) = spec.concurrency_max.filter(|count| !(1..=CONCURRENCY_MAX).contains(count)) {
        let problem = format!("{count} is outside 1 to {CONCURRENCY_MAX}");
        errors.push(FieldError::new("concurrency_max", problem));
    }
    if !(Span::from_millis(1)..=TIMEOUT_MAX).contains(&spec.timeout()) {
        let problem = format!("{} is outside 1ms to {TIMEOUT_MAX}", spec.timeout());
        errors.push(FieldError::new("timeout", problem));
    }
    errors.extend(inputs_of(&spec.inputs).err().into_iter().flatten());
    errors
}

fn check_source(spec: &ModelSpec, errors: &mut Vec<FieldError>) {
    match (&spec.file, &spec.remote) {
        (Some(file), None) => {
            if !file.starts_with('/') || file.len() > FILE_LEN_MAX {
                errors.push(FieldError::new("file", "it is not a whole path that begins with `/`"));
            }
            if !spec.inputs.is_empty() {
                errors.push(FieldError::new("input", "a file says itself what it takes; leave it away"));
            }
        }
        (None, Some(remote)) => {
            check_remote(remote, errors);
            if spec.inputs.is_empty() {
                let problem =
                    "say what the remote model takes: `[[model.input]]` with `name`, `datatype` and `shape`";
                errors.push(FieldError::new("input", problem));
            }
        }
        _ => errors.push(FieldError::new(
            "file",
            "say either `file = \"/…/model.onnx\"` or `remote = { protocol, url }`",
        )),
    }
}

fn check_remote(remote: &RemoteSpec, errors: &mut Vec<FieldError>) {
    errors.extend(Upstream::parse(&remote.url).err().map(|problem| FieldError::new("remote.url", problem)));
    for (field, name) in [("remote.model", &remote.model), ("remote.version", &remote.version)] {
        let problem = name.as_deref().and_then(|name| check_name(name).err());
        errors.extend(problem.map(|problem| FieldError::new(field, problem)));
    }
}

fn check_aliases(spec: &ModelSpec, errors: &mut Vec<FieldError>) {
    if spec.aliases.len() > ALIASES_MAX {
        let problem = format!("{} of them; at most {ALIASES_MAX} are allowed", spec.aliases.len());
        errors.push(FieldError::new("aliases", problem));
    }
    for (index, alias) in spec.aliases.iter().enumerate() {
        let problem = check_name(alias).err();
        errors.extend(problem.map(|problem| FieldError::new(format!("aliases[{index}]"), problem)));
        if *alias == spec.version || spec.aliases.iter().take(index).any(|other| other == alias) {
            let problem = format!("`{alias}` stands here twice, or is the version itself; leave one away");
            errors.push(FieldError::new(format!("aliases[{index}]"), problem));
        }
    }
}

/// What a remote model takes, compiled.
///
/// # Errors
/// Everything that is wrong, all at once.
pub fn inputs_of(inputs: &[InputSpec]) -> Result<Vec<TensorSpec>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut specs: Vec<TensorSpec> = Vec::new();
    if inputs.len() > INPUTS_MAX {
        errors.push(FieldError::new("input", format!("at most {INPUTS_MAX} are allowed")));
    }
    for (index, input) in inputs.iter().enumerate() {
        let field = |name: &str| format!("input[{index}].{name}");
        if input.name.is_empty() || specs.iter().any(|spec| *spec.name == *input.name) {
            errors.push(FieldError::new(field("name"), "it is empty, or stands here twice"));
        }
        let kind = DataType::named(&input.datatype);
        if kind.is_none() {
            let names = DataType::ALL.map(DataType::name).join(", ");
            let problem = format!("`{}` is not a type; use one of {names}", input.datatype);
            errors.push(FieldError::new(field("datatype"), problem));
        }
        let axis = |length: &i64| match *length {
            -1 => Some(None),
            length => usize::try_from(length).ok().filter(|length| *length > 0).map(Some),
        };
        let shape: Option<Box<[_]>> = input.shape.iter().map(axis).collect();
        match (kind, shape.filter(|shape| shape.len() <= AXES_MAX)) {
            (Some(kind), Some(shape)) => {
                specs.push(TensorSpec { name: input.name.as_str().into(), kind, shape });
            }
            (_, None) => {
                let problem = format!("it is not at most {AXES_MAX} lengths, each over 0 or -1 for any");
                errors.push(FieldError::new(field("shape"), problem));
            }
            (None, Some(_)) => {}
        }
    }
    if errors.is_empty() { Ok(specs) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_versions_are_later_whatever_their_digits() {
        let mut versions = ["10", "9", "2", "v3", "1.10", "1.9", "2024-05-01", "2023-12-31", "1.rc", "1"];
        versions.sort_by(|a, b| compare_versions(a, b));
        let sorted = ["1", "1.rc", "1.9", "1.10", "2", "v3", "9", "10", "2023-12-31", "2024-05-01"];
        assert_eq!(versions, sorted);
    }

    #[test]
    fn everything_wrong_with_a_model_is_said_at_once() {
        let spec: ModelSpec = serde_json::from_str(
            r#"{"project":"p","name":"a b","version":"1","file":"model.onnx","aliases":["1","x","x"],
                "batch":{"window":"2s","rows_max":1},"concurrency_max":0,"timeout":"1h",
                "input":[{"name":"","datatype":"FLOAT","shape":[0]}]}"#,
        )
        .unwrap();
        let fields: Vec<String> = check_model(&spec).into_iter().map(|error| error.field).collect();
        assert_eq!(
            fields,
            [
                "name",
                "file",
                "input",
                "aliases[0]",
                "aliases[2]",
                "batch.window",
                "batch.rows_max",
                "concurrency_max",
                "timeout",
                "input[0].name",
                "input[0].datatype",
                "input[0].shape",
            ]
        );
    }

    #[test]
    fn a_remote_model_says_what_it_takes() {
        let text = |inputs: &str| {
            format!(
                r#"{{"project":"p","name":"a","remote":{{"protocol":"kserve-v2","url":"http://h:1"}}{inputs}}}"#
            )
        };
        let bare: ModelSpec = serde_json::from_str(&text("")).unwrap();
        assert_eq!(check_model(&bare).first().map(|error| error.field.as_str()), Some("input"));
        let said = r#","input":[{"name":"x","datatype":"FP32","shape":[-1,4]}]"#;
        assert_eq!(check_model(&serde_json::from_str(&text(said)).unwrap()), []);
    }
}
