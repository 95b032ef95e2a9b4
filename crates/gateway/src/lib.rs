//! (gateway)
pub mod http;
