//! Records for benches and torture: what they look like, who takes them, where they go on to. What must never be
//! here: what is measured or claimed of them.

pub(crate) mod broker;
pub(crate) mod node;
pub(crate) mod post;
pub(crate) mod postgres;
pub(crate) mod text;
