//! Questions to models and their answers: `POST /api/v1/predict` and the Open Inference Protocol v2 (CONTRACT §4).
//!
//! What lives here: reading tensors out of JSON, strictly, with the place of the first mistake; writing them.
//! What does not: which model is meant and what runs it.

mod answer;
mod elements;
mod infer;
mod mistake;
mod question;

pub use self::{
    answer::{
        Answered, error_body, infer_body, infer_request, metadata_body, name_ready_body, push_inputs,
        push_nested, push_outputs, question_body,
    },
    elements::{read_nested, typed_guess},
    infer::{Infer, InferOutputs, Wanted},
    mistake::InputMistake,
    question::{Question, read_inputs},
};
