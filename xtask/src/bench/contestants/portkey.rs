//! Portkey's gateway on Node: it has no keys of its own; headers say where a call goes.

use std::net::SocketAddr;
use std::process::Command;

use crate::bench::places::{CONTESTANT_CPU, Folder, free_address};
use crate::bench::server::Server;
use crate::command::Outcome;
use crate::npm;

/// The version that the figures in the docs were measured with.
const VERSION: &str = "1.15.2";
/// It would listen on all addresses of the machine and has no option to say which; and on Node 20 it fails at every
/// stream, because it changes headers that its own `fetch` made immutable.
const MENDED: &str = r#"const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...more) {
  const options = typeof port === "number" ? { port } : port;
  const done = more.filter((argument) => typeof argument === "function");
  return listen.call(this, { ...options, host: "127.0.0.1" }, ...done);
};
const asIs = globalThis.fetch;
globalThis.fetch = async (...asked) => {
  const answer = await asIs(...asked);
  const isStream = answer.headers.get("content-type") === "text/event-stream";
  return isStream ? new Response(answer.body, answer) : answer;
};
"#;

/// Starts it.
pub(in crate::bench) fn start(folder: &Folder) -> Outcome<(Server, SocketAddr)> {
    let home = npm::folder("@portkey-ai/gateway", VERSION)?;
    let address = free_address()?;
    let mended = folder.write("mended.cjs", MENDED)?;
    let mut command = Command::new("node");
    command.arg("-r").arg(mended).arg(home.join("node_modules/@portkey-ai/gateway/build/start-server.js"));
    command.args([&format!("--port={}", address.port()), "--headless"]);
    let mut server = Server::start(CONTESTANT_CPU, &command, &folder.path().join("portkey.log"))?;
    server.wait_until_ready(address, "/")?;
    Ok((server, address))
}
