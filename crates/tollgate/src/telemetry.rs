//! Logs and metrics of the process. No level logs a credential: credentials are `Secret`s, which
//! cannot be printed.

use std::io::IsTerminal as _;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

use crate::{config::Log, failure::Failure};

/// Starts the log on stderr: for people on a terminal, JSON lines otherwise, or as configured.
pub(crate) fn start_log(log: &Log) -> Result<(), Failure> {
    let filter: EnvFilter = log.level.parse().map_err(Failure::failed)?;
    let human = match log.format {
        "human" => true,
        "json" => false,
        _ => std::io::stderr().is_terminal(),
    };
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if human {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
    started.map_err(|error| Failure::failed(format!("the log cannot be started: {error}")))
}

/// Seconds that requests are sorted into: from 100 µs to a minute.
const SECONDS: [f64; 17] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0];

/// Installs the recorder of metrics; to be called before anything records.
pub(crate) fn start_metrics() -> Result<PrometheusHandle, Failure> {
    let recorder = PrometheusBuilder::new().set_buckets(&SECONDS).map_err(Failure::failed)?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(Failure::failed)?;
    metrics::describe_gauge!("tollgate_build_info", "1, with the version of the binary");
    metrics::gauge!("tollgate_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    Ok(handle)
}
