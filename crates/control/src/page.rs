//! The front page: what this node is, how it is, and where to go from here.

use std::fmt::Write as _;

use crate::health::Report;

/// The page's stylesheet.
pub(crate) const STYLE: &str = include_str!("../assets/tollgate.css");

/// The page.
pub(crate) fn front(report: &Report, version: &str) -> String {
    let (state, word) = if report.is_ready() { ("ok", "Ready") } else { ("bad", "Not ready") };
    let mut rows = String::new();
    for part in &report.parts {
        let (class, mark) = if part.ok { ("ok", "✓ well") } else { ("bad", "✕ not well") };
        // Writing to a string cannot fail.
        let _ = write!(
            rows,
            "<tr><th scope=\"row\">{}</th><td class=\"{class}\">{mark}</td><td>{}</td></tr>",
            escape(part.name),
            escape(&part.detail)
        );
    }
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Tollgate · {node}</title><link rel=\"stylesheet\" href=\"/tollgate.css\"></head>\
         <body><main><h1>Tollgate <span class=\"{state}\">{word}</span></h1>\
         <p>Node <code>{node}</code>, version {version}, roles {roles}.</p>\
         <table><caption>Its parts</caption><thead><tr><th scope=\"col\">Part</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Detail</th></tr></thead><tbody>{rows}</tbody></table>\
         <p>For machines: <a href=\"/readyz\">readiness</a>, <a href=\"/livez\">liveness</a>, \
         <a href=\"/metrics\">metrics</a>.</p>\
         <p>Keys, policies and services are managed with the command line on the host: \
         <code>tollgate keys create --help</code>.</p></main></body></html>\n",
        node = escape(&report.node),
        version = escape(version),
        roles = escape(&report.roles.join(", ")),
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
