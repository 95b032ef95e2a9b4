//! Checking what services of kind `llm` say of themselves ([`crate::llm_spec`]), and the match that
//! services of built-in kinds have when none is written.

use crate::{
    field_error::FieldError,
    ingest_spec::INGEST_PATH,
    llm_spec::{CredentialSpec, FallbackSpec},
    metrics_spec::METRICS_PATH,
    money::{price::Provider, table::MODEL_LEN_MAX},
    predict_spec::PREDICT_PATH,
    resource::{ServiceKind, ServiceSpec},
    signature::spec::SignatureSpec,
};

/// Fallbacks a service may have.
pub const FALLBACKS_MAX: usize = 4;
/// The longest path of a credential's file, in bytes.
const FILE_LEN_MAX: usize = 4096;
/// The longest name of a variable, in bytes.
const VARIABLE_LEN_MAX: usize = 128;

impl ServiceSpec {
    /// Whether nothing is left to be filled in by [`ServiceSpec::completed`].
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let has_match = self.matches.host.is_some() || self.matches.path_prefix.is_some();
        has_match
            || match self.kind {
                ServiceKind::Proxy => true,
                ServiceKind::Llm => self.provider.is_none(),
                ServiceKind::Ingest | ServiceKind::Metrics | ServiceKind::Predict => false,
            }
    }

    /// The same with the match that its kind has when neither host nor path prefix is written
    /// (CONTRACT §4): `/v1beta` for Gemini, `/v1` for the others; `POST /api/v1/ingest` for records,
    /// `POST /api/submit` for points.
    #[must_use]
    pub fn completed(mut self) -> Self {
        if !self.is_complete() {
            let prefix = match (self.kind, self.provider) {
                (ServiceKind::Ingest, _) => INGEST_PATH,
                (ServiceKind::Metrics, _) => METRICS_PATH,
                (ServiceKind::Predict, _) => PREDICT_PATH,
                (_, Some(Provider::Gemini)) => "/v1beta",
                _ => "/v1",
            };
            self.matches.path_prefix = Some(prefix.to_owned());
            let posts = matches!(self.kind, ServiceKind::Ingest | ServiceKind::Metrics);
            if posts && self.matches.methods.is_none() {
                self.matches.methods = Some(vec!["POST".to_owned()]);
            }
        }
        self
    }

    /// Every credential that it names: its own, those of its fallbacks, and those of its signature.
    pub fn credentials_named(&self) -> impl Iterator<Item = &CredentialSpec> {
        let of_fallbacks = self.fallbacks.iter().filter_map(|fallback| fallback.credential.as_ref());
        let of_signature = self.signature.iter().flat_map(SignatureSpec::credentials_named);
        self.credential.iter().chain(of_fallbacks).chain(of_signature)
    }
}

/// Checks what is of kind `llm` alone.
pub(crate) fn check_llm(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    if spec.kind != ServiceKind::Llm {
        let has = [
            ("provider", spec.provider.is_some()),
            ("credential", spec.credential.is_some()),
            ("fallback", !spec.fallbacks.is_empty()),
        ];
        for (field, _) in has.into_iter().filter(|(_, has)| *has) {
            let problem = "only services with `kind = \"llm\"` have it; leave it away, or change the kind";
            errors.push(FieldError::new(field, problem));
        }
        return;
    }
    if spec.provider.is_none() {
        let problem = "it is missing; say whose API it is: `openai`, `gemini` or `anthropic`";
        errors.push(FieldError::new("provider", problem));
    }
    if spec.public {
        let problem = "calls of a model cost money; serve them to holders of keys only";
        errors.push(FieldError::new("public", problem));
    }
    if spec.websocket {
        errors.push(FieldError::new("websocket", "calls of a model are priced by request; leave it away"));
    }
    if let Some(credential) = &spec.credential {
        check_credential(credential, "credential", errors);
    }
    if spec.fallbacks.len() > FALLBACKS_MAX {
        let count = spec.fallbacks.len();
        let problem = format!("{count} of them; at most {FALLBACKS_MAX} are allowed");
        errors.push(FieldError::new("fallback", problem));
    }
    for (index, fallback) in spec.fallbacks.iter().enumerate() {
        check_fallback(&format!("fallback[{index}]"), fallback, errors);
    }
}

fn check_fallback(field: &str, fallback: &FallbackSpec, errors: &mut Vec<FieldError>) {
    if fallback.upstreams.is_empty() && fallback.model.is_none() {
        let problem = "it tries the same again; name other `upstreams`, another `model`, or both";
        errors.push(FieldError::new(field, problem));
    }
    let is_name = |model: &str| {
        (1..=MODEL_LEN_MAX).contains(&model.len())
            && !model.chars().any(|sign| sign.is_control() || sign.is_whitespace() || sign == '*')
    };
    if fallback.model.as_deref().is_some_and(|model| !is_name(model)) {
        let problem = "it is not the name of one model; patterns are for policies";
        errors.push(FieldError::new(format!("{field}.model"), problem));
    }
    if let Some(credential) = &fallback.credential {
        check_credential(credential, &format!("{field}.credential"), errors);
    }
}

pub(crate) fn check_credential(credential: &CredentialSpec, field: &str, errors: &mut Vec<FieldError>) {
    match credential {
        CredentialSpec::Env(name) if !is_variable(name) => errors.push(FieldError::new(
            format!("{field}.env"),
            "it is not the name of a variable such as `OPENAI_API_KEY`",
        )),
        CredentialSpec::File(path) if !path.starts_with('/') || path.len() > FILE_LEN_MAX => errors
            .push(FieldError::new(format!("{field}.file"), "it is not a whole path that begins with `/`")),
        CredentialSpec::Secret(name) => {
            let error = crate::name::check_name(name).err();
            errors.extend(error.map(|problem| FieldError::new(format!("{field}.secret"), problem)));
        }
        CredentialSpec::Env(_) | CredentialSpec::File(_) => {}
    }
}

fn is_variable(name: &str) -> bool {
    (1..=VARIABLE_LEN_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit())
}
