//! Settings: how people sign in here, and this node.

use askama::Template;
use axum::response::Response;
use tollgate_core::authz::Action;

use super::{
    shell::Shell,
    sign_in::provider,
    trouble::{Trouble, html},
    visit::Visit,
    words,
};
use crate::{
    health::Report,
    state::{Kept, micros},
};

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    shell: Shell,
    report: Option<Report>,
    /// How people sign in.
    ways: Vec<String>,
    has_mail: bool,
    idle: String,
    life: String,
    fresh: String,
    may_members: bool,
    may_tokens: bool,
    may_secrets: bool,
    may_webhooks: bool,
    may_records: bool,
    /// What is kept for how long, and when people are reminded; only for who may see how nodes are run.
    kept: Vec<(&'static str, String)>,
}

pub(crate) async fn show(visit: Visit) -> Result<Response, Trouble> {
    visit.permit(Action::UseOwnAccount)?;
    let options = visit.app.options();
    html(&Page {
        report: visit.may(Action::ReadSystem).then(|| visit.app.control().health.report()),
        ways: ways(&visit),
        has_mail: options.courier.is_some(),
        idle: words::span(micros(options.session_idle)),
        life: words::span(micros(options.session_life)),
        fresh: words::span(micros(options.fresh)),
        may_members: visit.may(Action::ReadMembers),
        may_tokens: visit.may(Action::ReadServiceTokens),
        may_webhooks: visit.may(Action::ReadAutomation),
        may_records: visit.may(Action::ReadAutomation),
        may_secrets: visit.may(Action::ReadProviderCredentials),
        kept: if visit.may(Action::ReadSystem) { kept(&visit.app.control().kept) } else { Vec::new() },
        shell: visit.shell("Settings"),
    })
}

fn kept(kept: &Kept) -> Vec<(&'static str, String)> {
    let span = |us: Option<i64>| us.map(words::span);
    let decisions = match micros(kept.decisions) {
        0 => "none are kept, only what they sum up to".to_owned(),
        us => format!("{}; what they sum up to stays", words::span(us)),
    };
    let expiring = if kept.reminders.expiring { "30, 7 and 1 days before" } else { "never" };
    let rotation = span(kept.reminders.rotation_after_us).map(|span| format!("when a secret is {span} old"));
    let unused = span(kept.reminders.unused_after_us).map(|span| format!("after {span}"));
    let or_never = |words: Option<String>| words.unwrap_or_else(|| "never".to_owned());
    vec![
        ("Single decisions", decisions),
        ("Usage by day", words::span(micros(kept.usage_days))),
        ("Usage by hour", words::span(micros(kept.usage_hours.min(kept.usage_days)))),
        ("Usage by minute", words::span(micros(kept.usage_minutes.min(kept.usage_days)))),
        ("Audit, keys, people", "for good".to_owned()),
        ("Reminds of expiry", expiring.to_owned()),
        ("Reminds to rotate", or_never(rotation)),
        ("Reminds of unused keys", or_never(unused)),
    ]
}

fn ways(visit: &Visit) -> Vec<String> {
    let mut ways = vec!["password, with a second factor where one is set up".to_owned()];
    ways.extend(provider(&visit.app, "/", false).map(|own| format!("{} (OpenID Connect)", own.name)));
    let options = &visit.app.options().providers;
    ways.extend(options.ldap.as_ref().map(|_| "directory (LDAP)".to_owned()));
    ways.extend(
        options.firebase.as_ref().map(|own| format!("Firebase project {}, over the API", own.project)),
    );
    ways
}
