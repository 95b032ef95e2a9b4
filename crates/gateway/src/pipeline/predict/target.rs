//! What a path asks for: a question, or one of the endpoints of the Open Inference Protocol v2.

use tollgate_core::predict_spec::INFERENCE_PATH;

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target<'p> {
    /// `POST /api/v1/predict`
    Question,
    /// `GET /v2/health/live`
    Live,
    /// `GET /v2/health/ready`
    Ready,
    /// `GET /v2`
    Server,
    /// `GET /v2/models/{model}[/versions/{version}]`
    Model(Of<'p>),
    /// `GET /v2/models/{model}[/versions/{version}]/ready`
    ModelReady(Of<'p>),
    /// `POST /v2/models/{model}[/versions/{version}]/infer`
    Infer(Of<'p>),
}

/// Which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of<'p> {
    pub(super) model: &'p str,
    /// A version or an alias; the latest when not said.
    pub(super) version: Option<&'p str>,
}

impl<'p> Target<'p> {
    /// What a path asks a service with this prefix (without a slash at its end) for.
    pub(super) fn of(path: &'p str, prefix: &str) -> Option<Self> {
        let below = path.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let protocol = match below {
            Some(rest) if prefix.ends_with(INFERENCE_PATH) => Some(rest),
            Some("" | "/") => return Some(Self::Question),
            Some(rest) => rest.strip_prefix(INFERENCE_PATH),
            // The second match of a service at its usual path.
            None => path.strip_prefix(INFERENCE_PATH),
        };
        let mut parts = protocol?.split('/').skip(1).filter(|part| !part.is_empty());
        let parts: [Option<&str>; 6] = std::array::from_fn(|_| parts.next());
        let of = |model, version| Of { model, version };
        match parts {
            [None, ..] => Some(Self::Server),
            [Some("health"), Some("live"), None, ..] => Some(Self::Live),
            [Some("health"), Some("ready"), None, ..] => Some(Self::Ready),
            [Some("models"), Some(model), None, ..] => Some(Self::Model(of(model, None))),
            [Some("models"), Some(model), Some("ready"), None, ..] => Some(Self::ModelReady(of(model, None))),
            [Some("models"), Some(model), Some("infer"), None, ..] => Some(Self::Infer(of(model, None))),
            [Some("models"), Some(model), Some("versions"), Some(version), last, None] => match last {
                None => Some(Self::Model(of(model, Some(version)))),
                Some("ready") => Some(Self::ModelReady(of(model, Some(version)))),
                Some("infer") => Some(Self::Infer(of(model, Some(version)))),
                Some(_) => None,
            },
            _ => None,
        }
    }

    /// Whether errors have the protocol's shape.
    pub(super) const fn is_protocol(self) -> bool {
        !matches!(self, Self::Question)
    }

    /// Whether a model is asked.
    pub(super) const fn is_question(self) -> bool {
        matches!(self, Self::Question | Self::Infer(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_of_the_protocol_is_known_and_no_other() {
        let usual = "/api/v1/predict";
        let of = |model, version| Of { model, version };
        for (path, target) in [
            ("/api/v1/predict", Some(Target::Question)),
            ("/api/v1/predict/", Some(Target::Question)),
            ("/v2", Some(Target::Server)),
            ("/v2/", Some(Target::Server)),
            ("/v2/health/live", Some(Target::Live)),
            ("/v2/health/ready", Some(Target::Ready)),
            ("/v2/models/m", Some(Target::Model(of("m", None)))),
            ("/v2/models/m/ready", Some(Target::ModelReady(of("m", None)))),
            ("/v2/models/m/infer", Some(Target::Infer(of("m", None)))),
            ("/v2/models/m/versions/3", Some(Target::Model(of("m", Some("3"))))),
            ("/v2/models/m/versions/3/ready", Some(Target::ModelReady(of("m", Some("3"))))),
            ("/v2/models/m/versions/3/infer", Some(Target::Infer(of("m", Some("3"))))),
            ("/v2/models", None),
            ("/v2/models/m/versions/3/infer/more", None),
            ("/v2/models/m/generate", None),
            ("/v2/health", None),
            ("/api/v1/predict/m", None),
        ] {
            assert_eq!(Target::of(path, usual), target, "{path}");
        }
        assert_eq!(Target::of("/ml/v2/health/live", "/ml"), Some(Target::Live));
        assert_eq!(Target::of("/ml", "/ml"), Some(Target::Question));
        assert_eq!(Target::of("/x/v2/models/m/infer", "/x/v2"), Some(Target::Infer(of("m", None))));
    }
}
