//! Tests only: throw-away servers and small clients around the real `tollgate` binary.
//!
//! What is here: [`Postgres`] and [`Upstream`] (servers to stand in front of and behind Tollgate), [`Directory`],
//! [`Influx`] and [`Influx2`] (where points go), [`OpenIdProvider`] and [`MailServer`] (who knows people and reaches them),
//! [`Tollgate`] (the real binary in a temporary folder on free ports), [`raw`] (bytes over TCP), [`hostile`] (what to send
//! over it) and [`http`] (a plain client), [`browser`] (a real Chromium), and [`wait_until`], which every test uses instead of sleeping.
//!
//! What must never be here: a dependency on a product crate. The testkit sees Tollgate only as its users do,
//! through the command line, the settings and the wire of the contract, so that a test written with it
//! cannot agree with the product by sharing its code.
//!
//! Every set-up step that fails panics with what to do about it: a test whose world is not as it asked for
//! must stop at once. Everything started is stopped by its own process id when the value is dropped.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "used by tests only: a failed set-up step must end the test at that line"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "tests measure with the ordinary clock and read their depth from the environment"
)]

pub mod browser;
mod depth;
mod directory;
pub mod hostile;
pub mod http;
mod inference_server;
mod influx;
mod influx2;
mod mail;
mod model_upstream;
mod openid;
mod port;
mod postgres;
mod process;
pub mod raw;
mod redis;
mod tls_door;
mod tollgate;
pub mod upstream;
mod wait;

pub use depth::Depth;
pub use directory::{Directory, certificate};
pub use inference_server::InferenceServer;
pub use influx::Influx;
pub use influx2::{Influx2, InfluxMood};
pub use mail::{MailServer, Received};
pub use model_upstream::{Billing, ModelUpstream, Rates};
pub use openid::OpenIdProvider;
pub use port::{free_address, free_port};
pub use postgres::Postgres;
pub use redis::Redis;
pub use tls_door::TlsDoor;
pub use tollgate::{Addresses, CliOutput, Tollgate, TollgateBuilder};
pub use upstream::{Seen, Upstream};
pub use wait::{poll_until, wait_until};
