//! The data plane: authenticate, decide, forward, meter.
//!
//! A request comes in through the engine ([`http`]), takes the way of the pipeline (ticket in the
//! journal, address, path, service, key, decision), goes through the kind of its service (`proxy`)
//! to an upstream and back, and is written into the journal before the last byte of its answer
//! leaves. [`serve`](serve()) starts it all; [`ports`] says what it needs from the process.
//!
//! What this crate must never know: the store, SQL, the control plane. It reads a snapshot and
//! cannot write a row even by mistake. It decides nothing: `tollgate_core::admit` does.
//!
//! | module | holds |
//! | --- | --- |
//! | [`http`] | the engine: sockets, heads, framing, bounds, upstream pools |
//! | `request` | what is read of a head: sender, path, host, credential |
//! | `service` | services compiled: origins, choice of upstream, paths, CORS |
//! | `lane` | what one lane works with; the account of each request |
//! | `proxy` | forwarding: attempts, health, heads |
//! | [`llm`] | calls to models: what they may use, what they used, as their bodies say |
//! | `ingest`, [`intake`] | batches of records: read, taken apart, handed over |
//! | `metrics` | points of time series: checked, completed, handed over |
//! | `pipeline` | the way of a request from ticket to answer; calls of models, questions to them, and requests that their senders sign |
//! | [`service_api`] | the same decision for services and other proxies that only want the answer |
//! | [`slow_hash`], [`bound_host`] | what may take time: bcrypt and argon2, name servers |
//! | [`assertion`] | signed assertions for upstreams |
//! | [`options`], [`ports`] | settings; the ends of the ports |

pub mod assertion;
pub mod bound_host;
mod caller;
mod denial;
mod faults;
pub mod http;
mod identity;
mod ingest;
pub mod intake;
mod lane;
pub mod llm;
mod meters;
mod metrics;
mod names;
pub mod options;
mod pipeline;
pub mod ports;
mod proxy;
mod request;
mod serve;
mod service;
pub mod service_api;
pub mod slow_hash;

pub use lane::account::{METHODS, method_number};
pub use serve::{StartError, serve};
