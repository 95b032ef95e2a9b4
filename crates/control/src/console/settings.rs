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
use crate::{health::Report, state::micros};

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
        shell: visit.shell("Settings"),
    })
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
