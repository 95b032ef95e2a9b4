//! Real ONNX files, held against what onnxruntime answers to the same rows; and the host that serves them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed step must end the test at that line")]

mod files;
mod hosting;
mod native;
