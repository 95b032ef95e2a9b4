//! The decisions of Tollgate, pure.
//!
//! What a key looks like, how it is recognised, what its policy allows, how limits and quotas are
//! counted, which service takes a request, and why a request was refused: all of it is decided
//! here, by functions of their arguments. [`admit::admit`] is the only place where allow or deny
//! is decided; the gateway, the verify endpoint, forward-auth and `tollgate explain` all call it.
//!
//! What this crate must never know: sockets, HTTP types, SQL, files, clocks, randomness, the
//! environment, async. Time comes in as [`time::Now`], random bytes as arrays, live counters
//! through the [`counters::Counters`] trait.
//!
//! The rooms, in the order of a request:
//!
//! | module | holds |
//! | --- | --- |
//! | [`path`], [`route`] | the one spelling of a path; which service takes a request |
//! | [`address`] | who the client is behind trusted proxies; networks |
//! | [`key`], [`keyring`], [`authenticate`] | the grammar of keys, all keys in memory, recognising one |
//! | [`signature`], [`signature_service`] | whether the holder of a secret has written a body; services that ask for it |
//! | [`facts`], [`admit`], [`explain`] | what is known of a request; the decision; its trace in words |
//! | [`limits`], [`counters`], [`period`] | rates, the port to live counters, calendar periods |
//! | [`resource`], [`name`], [`service_spec`], [`upstream_spec`], [`llm_spec`], [`llm_service`], [`field_error`] | resources as written, and what may be written |
//! | [`policy`], [`service`], [`tables`] | policies and services compiled; the small tables |
//! | [`money`], [`budget`] | amounts, prices, what a model call used and costs; budgets, and who holds them |
//! | [`metric`], [`metrics_spec`], [`metrics_service`] | points of time series and their lines; services that take them |
//! | [`event`], [`ingest_spec`], [`ingest_service`] | batches of records on their way in; services that take them, types of events |
//! | [`meter`], [`usage_report`] | what is counted from events; what services report of requests they served themselves |
//! | [`rule`], [`blocks`], [`backtest`] | rules that block and unblock by themselves: written, compiled, watching; who is blocked; what one would have done |
//! | [`notice`] | what happened that people want told: its types, and patterns of them |
//! | [`webhook`] | who is told; where such requests may go, and when they are tried again |
//! | [`model`], [`predict_spec`], [`predict_service`], [`serving`], [`tensor`] | models that answer with numbers; services that ask them; the numbers |
//! | [`authz`] | what people may do: the [`authz::Permit`] every mutation needs |

pub mod address;
pub mod admit;
pub mod authenticate;
pub mod authz;
pub mod backtest;
pub mod blocks;
pub mod budget;
mod built_in;
pub mod code;
pub mod counters;
pub mod event;
pub mod explain;
pub mod facts;
pub mod field_error;
pub mod id;
pub mod ingest_service;
pub mod ingest_spec;
pub mod key;
pub mod keyring;
pub mod limits;
pub mod llm_service;
pub mod llm_spec;
pub mod meter;
pub mod metric;
pub mod metrics_service;
pub mod metrics_spec;
pub mod model;
pub mod money;
pub mod name;
pub mod notice;
pub mod path;
pub mod pattern;
pub mod period;
pub mod policy;
pub mod predict_service;
pub mod predict_spec;
pub mod reach;
pub mod resource;
pub mod route;
pub mod rule;
pub mod secret;
pub mod service;
pub mod service_spec;
pub mod serving;
pub mod signature;
pub mod signature_service;
pub mod tables;
pub mod tensor;
pub mod time;
pub mod upstream_spec;
pub mod url_pattern;
pub mod usage_report;
pub mod webhook;
