//! What a service's signatures are held against, and the key that they count as: from the environment and from files
//! read once, from what Tollgate keeps looked up for each request, so that a change counts at once.

use std::sync::Arc;

use tollgate_core::{
    llm_spec::CredentialSpec,
    secret::Secret,
    service::Service,
    signature::{SigningSecret, spec::SignatureScheme},
    tables::Tables,
};

use super::route::{file, variable};

/// The secrets of one service.
pub(crate) struct Signing {
    scheme: SignatureScheme,
    secrets: Box<[Source]>,
    key: Option<Source>,
}

/// Where a secret is.
enum Source {
    Read(Arc<Secret<String>>),
    Kept(Box<str>),
    /// It was named and could not be read.
    Missing,
}

impl Signing {
    /// Reads what stands on the host; `None` for services that ask for no signature. What cannot be read goes to the
    /// log, and requests that need it are refused.
    pub(crate) fn compile(service: &Service) -> Option<Self> {
        let spec = service.spec.signature.as_ref()?;
        let read = |from: &CredentialSpec| Source::read(from, service.name());
        Some(Self {
            scheme: spec.scheme,
            secrets: spec.secrets_named().map(read).collect(),
            key: spec.key.as_ref().map(read),
        })
    }

    /// The secrets that are at hand now.
    pub(crate) fn secrets(&self, tables: &Tables, service: &Service) -> Vec<SigningSecret> {
        let parse = |text: Arc<Secret<String>>| match SigningSecret::parse(self.scheme, text.expose()) {
            Ok(secret) => Some(secret),
            Err(problem) => {
                tracing::error!(
                    service = service.name(),
                    "a secret of the signature cannot be used: {problem}"
                );
                None
            }
        };
        self.secrets.iter().filter_map(|source| source.text(tables, service)).filter_map(parse).collect()
    }

    /// The key that signed requests count as.
    pub(crate) fn key(&self, tables: &Tables, service: &Service) -> Option<Arc<Secret<String>>> {
        self.key.as_ref().and_then(|source| source.text(tables, service))
    }
}

impl Source {
    fn read(from: &CredentialSpec, service: &str) -> Self {
        let text = match from {
            CredentialSpec::Secret(name) => return Self::Kept(name.as_str().into()),
            CredentialSpec::Env(name) => variable(name),
            CredentialSpec::File(path) => file(path),
        };
        match text {
            Ok(text) => Self::Read(Arc::new(Secret::new(text.trim().to_owned()))),
            Err(problem) => {
                tracing::error!(service, "a secret of the signature cannot be read: {problem}");
                Self::Missing
            }
        }
    }

    fn text(&self, tables: &Tables, service: &Service) -> Option<Arc<Secret<String>>> {
        match self {
            Self::Read(text) => Some(Arc::clone(text)),
            Self::Kept(name) => tables.secret(service.project, name).cloned(),
            Self::Missing => None,
        }
    }
}
