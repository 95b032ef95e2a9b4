//! Integration tests of the gateway: one binary, one module per part.

mod engine;
mod intake;
mod llm;
mod pipeline;
mod service_api;
mod treasury;
