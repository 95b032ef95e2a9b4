//! Models as people write them: `[[model]]` of a resource file. What may be written is in
//! [`crate::model`].

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// The path of predict services that name none (CONTRACT §4).
pub const PREDICT_PATH: &str = "/api/v1/predict";
/// Where they take the Open Inference Protocol v2 besides.
pub const INFERENCE_PATH: &str = "/v2";
/// Bytes of a body where the service says nothing.
pub const PREDICT_BYTES_DEFAULT: u64 = 4 << 20;
/// Bytes of a body at most.
pub const PREDICT_BYTES_MAX: u64 = 64 << 20;
/// Requests of one model that wait or run at once, where it says nothing.
pub const CONCURRENCY_DEFAULT: u32 = 64;
/// And at most.
pub const CONCURRENCY_MAX: u32 = 4096;
/// How long an answer may take, where the model says nothing.
pub const TIMEOUT_DEFAULT: Span = Span::from_secs(10);
/// Rows that are joined at most, where the model says nothing.
pub const BATCH_ROWS_DEFAULT: u32 = 64;

/// The longest that an axis without a length is in a question to a file.
pub const OPEN_AXIS_MAX: usize = 1024;

/// `[[model]]`: one version of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// The model, as requests name it: `fraud`.
    pub name: String,
    /// Which version of it: `1`, `2024-05-01`.
    #[serde(default = "first_version")]
    pub version: String,
    /// An ONNX file on every node that runs the gateway: a whole path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A server that has the model, instead of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteSpec>,
    /// Further names of this version: `stable`. Without anybody who says so, `latest` is the highest version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Inputs that must give an answer of these shapes before the version takes requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
    /// Joining requests that wait at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSpec>,
    /// Requests that wait or run at once, 1 to 4096; 64 when not said. More get `overloaded`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_max: Option<u32>,
    /// How long an answer may take; 10 s when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Whether prediction events hold the inputs and outputs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record_inputs: bool,
    /// What it takes. A file says it itself; of a remote model it must be said.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "input")]
    pub inputs: Vec<InputSpec>,
}

fn first_version() -> String {
    "1".to_owned()
}

impl ModelSpec {
    /// What the row is told apart by in its project.
    #[must_use]
    pub fn full_version(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }

    /// How long an answer may take.
    #[must_use]
    pub fn timeout(&self) -> Span {
        self.timeout.unwrap_or(TIMEOUT_DEFAULT)
    }

    /// The longest that an axis without a length may be in a question: what a model makes of a few megabytes in between
    /// is bounded by nothing else. Rows may be as many as are joined.
    #[must_use]
    pub fn open_axis_max(&self, axis: usize) -> usize {
        let joined = self.batch.filter(|_| axis == 0).and_then(|batch| batch.rows_max);
        joined.map_or(OPEN_AXIS_MAX, |rows| OPEN_AXIS_MAX.max(rows as usize))
    }

    /// Requests that wait or run at once.
    #[must_use]
    pub fn concurrency_max(&self) -> u32 {
        self.concurrency_max.unwrap_or(CONCURRENCY_DEFAULT)
    }
}

/// A server that has a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoteSpec {
    /// What it speaks.
    pub protocol: RemoteProtocol,
    /// Its origin: `http://127.0.0.1:8000`.
    pub url: String,
    /// Whether it has to be on the public internet, as for services ([`crate::reach`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internet_only: bool,
    /// Whether a tenant wrote where it is, as for services.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_tenant: bool,
    /// What it calls the model; the model's own name when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What it calls the version; its default when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What a server of models speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RemoteProtocol {
    /// Open Inference Protocol v2 over REST: KServe, Triton, MLServer.
    #[serde(rename = "kserve-v2")]
    KserveV2,
    /// TensorFlow Serving over REST.
    #[serde(rename = "tf-serving")]
    TfServing,
}

/// What a model is tried with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleSpec {
    /// The inputs, as JSON text, as a request has them: `{"features": [[1, 2]]}`.
    pub inputs: String,
    /// The shapes that outputs must have then, by name.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub shapes: std::collections::BTreeMap<String, Vec<usize>>,
}

/// Joining requests that wait at the same time; only where the first axis of every input is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchSpec {
    /// How long the first may wait for others: 1 ms to 1 s.
    pub window: Span,
    /// Rows at which it goes at once, 2 to 65,536; 64 when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_max: Option<u32>,
}

/// What a remote model takes under one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Its name.
    pub name: String,
    /// What its elements are: `FP32`, `INT64`, `BYTES`, … of the Open Inference Protocol v2.
    pub datatype: String,
    /// The length of each axis; -1 any.
    pub shape: Vec<i64>,
}
