//! LiteLLM's proxy, one worker: the master key is its only key, and no budget is on, for its virtual keys need a
//! program that no package brings.

use std::net::SocketAddr;
use std::process::Command;

use super::models::{MODEL, Models};
use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::Outcome;
use crate::python;

/// The version that the figures in the docs were measured with.
const PACKAGE: &str = "litellm[proxy]==1.106.2";
/// It refuses a weak one; it protects nothing here.
pub(in crate::bench) const MASTER_KEY: &str = "sk-5d1f0c6a9b3e7d2846a1c0f9e8b7d6a5c4b3a29180f7e6d5";

/// Starts it with a model for each of the two upstreams: `plain` and `streamed`.
pub(in crate::bench) fn start(folder: &Folder, models: &Models) -> Outcome<(Server, SocketAddr)> {
    let programs = python::environment("litellm", &[PACKAGE])?;
    let address = free_address()?;
    let model = |name: &str, upstream: SocketAddr| {
        format!(
            "  - model_name: {name}\n    litellm_params: {{ model: openai/{MODEL}, api_base: \"http://{upstream}/v1\", api_key: sk-x }}\n"
        )
    };
    let text = format!(
        "model_list:\n{}{}litellm_settings: {{ telemetry: false }}\ngeneral_settings: {{ master_key: {MASTER_KEY} }}\n",
        model("plain", models.plain),
        model("streamed", models.streamed)
    );
    let config = folder.write("litellm.yaml", &text)?;
    let mut command = Command::new(programs.join("litellm"));
    command
        .env("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        .env("LITELLM_LOG", "ERROR")
        .arg("--config")
        .arg(config);
    command.args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()]);
    println!("starting LiteLLM (it takes half a minute)");
    let mut server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("litellm.log"))?;
    server.wait_until_ready(address, "/health/liveliness")?;
    Ok((server, address))
}
