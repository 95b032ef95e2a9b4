//! Real ONNX files, held against what onnxruntime answers to the same rows; and the host that serves them.

mod files;
mod hosting;
