//! Models in this process: ONNX files loaded, checked, swapped, run on threads of their own.
//!
//! [`Host`] follows the small tables: what is registered there is tried in a process of its own ([`Trial`]), loaded,
//! tried on its sample, and only then takes requests. A file that cannot be used leaves the one before in its place.
//! Requests run on a few threads off the lanes ([`pool`]); rows that wait at the same time can be joined.
//!
//! Trees and linear models are run by this crate itself ([`native`]), and questions of few rows to them by the lane that
//! asks; everything else by tract.
//!
//! It is a crate of its own because tract is heavy to build (decision 0019), and nothing else needs it.
//!
//! What this crate must never know: HTTP, keys, the store. Who may ask what was decided before it is asked.

mod check;
mod host;
mod native;
mod onnx;
mod pool;
mod serve;
mod state;
mod unusable;

pub use check::{Checked, check, rehearse, run_native};
pub use host::{Host, HostOptions, Trial, TrialInside};
pub use onnx::FILE_BYTES_MAX;
pub use state::{Condition, ModelState};
pub use unusable::Unusable;
