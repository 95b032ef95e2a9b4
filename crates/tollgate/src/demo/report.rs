//! What the demo prints.

use serde::Serialize;

use super::{furnish::Furnished, place::Place, samples::Outcome};
use crate::{context::Context, failure::Failure, print};

#[derive(Serialize)]
struct Once<'a> {
    requests: &'a [Outcome],
}

/// What happened, for `--once`.
pub(super) fn once(context: &Context, place: &Place, outcomes: &[Outcome]) -> Result<(), Failure> {
    context.printer.result(&Once { requests: outcomes }, || {
        format!(
            "{}\n\nThis is recorded in {}; look at it with:\n{}",
            table(outcomes),
            place.data_dir.display(),
            commands(place, outcomes)
        )
    })
}

#[derive(Serialize)]
struct Running<'a> {
    gateway: String,
    service_api: String,
    control: String,
    /// Who can sign in to the console; absent when an earlier demo made them, for it showed the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner<'a>>,
    data_dir: String,
    keys: Keys<'a>,
    service_token: &'a str,
    requests: &'a [Outcome],
}

#[derive(Serialize)]
struct Owner<'a> {
    email: &'a str,
    password: &'a str,
}

#[derive(Serialize)]
struct Keys<'a> {
    reader: &'a str,
    shop: &'a str,
    office: &'a str,
    expired: &'a str,
    assistant: &'a str,
    intern: &'a str,
}

/// What there is to try while it runs.
pub(super) fn running(
    context: &Context,
    place: &Place,
    furnished: &Furnished,
    outcomes: &[Outcome],
) -> Result<(), Failure> {
    if context.printer.is_json() && !context.printer.is_default() {
        return context.printer.json_line(&Running {
            gateway: format!("http://{}", place.gateway),
            service_api: format!("http://{}", place.service_api),
            control: format!("http://{}", place.control),
            owner: furnished
                .owner
                .as_ref()
                .map(|(email, password)| Owner { email, password: password.expose() }),
            data_dir: place.data_dir.display().to_string(),
            keys: Keys {
                reader: furnished.reader.key.expose(),
                shop: furnished.shop.key.expose(),
                office: furnished.office.key.expose(),
                expired: furnished.expired.key.expose(),
                assistant: furnished.assistant.key.expose(),
                intern: furnished.intern.key.expose(),
            },
            service_token: furnished.token.expose(),
            requests: outcomes,
        });
    }
    let text = [
        "The Tollgate demo is running. Press Ctrl-C to end it.".to_owned(),
        addresses(place, furnished),
        format!("What the sample requests came to\n\n{}", indented(&table(outcomes))),
        curls(place, furnished),
        format!("Look at what happened, in another terminal\n\n{}", indented(&commands(place, outcomes))),
    ];
    context.printer.text(&text.join("\n\n"))
}

fn addresses(place: &Place, furnished: &Furnished) -> String {
    let owner = furnished.owner.as_ref();
    let fields = print::fields(&[
        ("gateway", format!("http://{}", place.gateway)),
        ("service API", format!("http://{}", place.service_api)),
        ("console", format!("http://{}", place.control)),
        ("upstream", format!("http://{} (a sample, in this process)", place.upstream)),
        ("data", place.data_dir.display().to_string()),
        (
            "owner",
            owner
                .map(|(email, password)| format!("{email}, password {}", password.expose()))
                .unwrap_or_default(),
        ),
    ]);
    indented(fields.trim_end())
}

/// Ready lines, each with what it shows.
fn curls(place: &Place, furnished: &Furnished) -> String {
    let reader = furnished.reader.key.expose();
    let gateway = place.gateway;
    let bearer = |key: &str, rest: &str| format!("curl -i -H 'Authorization: Bearer {key}' {rest}");
    let lines = [
        ("allowed", bearer(reader, &format!("http://{gateway}/tiles/7/66/42"))),
        ("denied: this key reads tiles only", bearer(reader, &format!("http://{gateway}/orders"))),
        (
            "denied: expired",
            bearer(furnished.expired.key.expose(), &format!("http://{gateway}/tiles/7/66/42")),
        ),
        (
            "an order by a key with the scope `write`",
            bearer(
                furnished.shop.key.expose(),
                &format!("-d '{{\"item\":\"a map\"}}' http://{gateway}/orders"),
            ),
        ),
        (
            "a call of a model, with its cost in `X-Tollgate-Cost`",
            bearer(
                furnished.assistant.key.expose(),
                &format!(
                    "-H 'Content-Type: application/json' -d '{{\"model\":\"demo-small\",\"max_tokens\":400,\"messages\":[{{\"role\":\"user\",\"content\":\"Which way is north?\"}}]}}' http://{gateway}/v1/chat/completions"
                ),
            ),
        ),
        ("what a key is and what remains", bearer(reader, &format!("http://{gateway}/v1/me"))),
        (
            "a service asks about a key",
            bearer(
                furnished.token.expose(),
                &format!(
                    "-H 'Content-Type: application/json' -d '{{\"key\":\"{reader}\",\"service\":\"tiles\",\"method\":\"GET\",\"path\":\"/tiles/7\"}}' http://{}/v1/keys/verify",
                    place.service_api
                ),
            ),
        ),
    ];
    let lines: Vec<String> = lines.iter().map(|(what, line)| format!("  # {what}\n  {line}")).collect();
    format!("Try it\n\n{}", lines.join("\n\n"))
}

/// Commands to go on with.
fn commands(place: &Place, outcomes: &[Outcome]) -> String {
    let binary = std::env::args().next().unwrap_or_else(|| "tollgate".to_owned());
    let tail = format!("--data-dir {}", place.data_dir.display());
    let denied = outcomes.iter().find(|outcome| outcome.code == "ip_not_allowed");
    let denied = denied.map_or("DECISION_ID", |outcome| outcome.decision_id.as_str());
    [
        format!("{binary} usage --by key,service,code {tail}"),
        format!("{binary} explain {denied} {tail}"),
        format!("{binary} events query --code key_blocked {tail}"),
        format!("{binary} rules log {tail}"),
        format!("{binary} keys list {tail}"),
        format!("{binary} audit verify {tail}"),
    ]
    .join("\n")
}

fn table(outcomes: &[Outcome]) -> String {
    let rows = outcomes.iter().map(|outcome| {
        [
            outcome.tries.to_owned(),
            outcome.request.clone(),
            outcome.status.to_string(),
            outcome.code.clone(),
            outcome.why.clone(),
        ]
    });
    print::table(["tries", "request", "status", "code", "why"], rows)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}
