//! The console: pages for people who are signed in, rendered here, working without a script. The
//! templates, styles and scripts stand in `console/` at the root of the repository and are part of the
//! binary; nothing is fetched from anywhere else.
//!
//! A page is a file: its handlers, what it shows, and a template. What it shows is read through the
//! tenant-bound queries of the store, with the permit of whoever visits ([`visit::Visit`]), so that
//! nothing crosses tenants and nobody is shown what their role does not have. What changes anything
//! comes as a form with the session's token ([`visit::Posted`]) and goes through the same mutations as
//! the admin API. A whole key is in one answer: that of the form that made it, which is never cached.

mod account;
mod assets;
mod attention;
mod audit;
mod budget;
mod budget_form;
mod budgets;
mod bulk;
mod chart;
mod confirm;
mod consumer;
mod consumer_form;
mod consumers;
mod dashboards;
mod event;
mod events;
mod form;
mod guest;
mod invitation;
mod invite;
mod key;
mod key_acts;
mod keys;
mod llm_service;
mod look;
mod many;
mod member;
mod members;
mod meters;
mod model;
mod model_draft;
mod models;
mod new_key;
mod notices;
mod once;
mod overview;
mod pieces;
mod policies;
mod policy;
mod policy_draft;
mod policy_words;
mod prices;
mod qr;
mod range;
mod records;
mod reset;
mod rule;
mod rule_draft;
mod rule_words;
mod rules;
mod search;
mod second_factor;
mod secrets;
mod self_key;
mod self_service;
mod services;
mod settings;
mod shell;
mod sign_in;
mod spend;
mod times;
mod tokens;
mod toml_draft;
mod trail;
mod trial;
mod trouble;
mod usage;
mod visit;
mod webhook;
mod webhooks;
mod widget;
mod words;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::state::App;

pub(crate) use trouble::nothing;

/// The routes of all pages.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/", get(self_service::front))
        .route(assets::ROUTE, get(assets::serve))
        .route("/favicon.ico", get(assets::favicon))
        .route("/look", post(look::change))
        .route("/search", get(search::page).post(search::find))
        .route("/events", get(events::show))
        .route("/events/notices", get(notices::show))
        .route("/events/{id}", get(event::show))
        .route("/usage", get(usage::show))
        .route("/policies", get(policies::show).post(policy::create))
        .route("/policies/new", get(policy::blank))
        .route("/policies/{id}", get(policy::show).post(policy::save))
        .route("/policies/{id}/delete", post(policy::delete))
        .route("/models", get(models::list).post(model::create))
        .route("/models/new", get(model::blank))
        .route("/models/{id}", get(model::show).post(model::save))
        .route("/models/{id}/alias", post(model::give_alias))
        .route("/models/{id}/delete", post(model::delete))
        .route("/rules", get(rules::show).post(rule::create))
        .route("/rules/new", get(rule::blank))
        .route("/rules/{id}", get(rule::show).post(rule::save))
        .route("/rules/{id}/delete", post(rule::delete))
        .route("/blocks", get(rules::blocks))
        .route("/blocks/{id}/lift", post(rules::lift))
        .route("/services", get(services::list).post(llm_service::create))
        .route("/services/new", get(llm_service::blank))
        .route("/services/{id}", get(services::show))
        .route("/services/{id}/edit", get(llm_service::edit).post(llm_service::save))
        .merge(counted())
        .merge(money())
        .merge(holders())
        .merge(administration())
        .merge(doors())
        .merge(telling())
        .merge(recording())
        .merge(own())
        .layer(middleware::from_fn(trouble::frame))
}

/// Meters, and dashboards made of them.
fn counted() -> Router<App> {
    Router::new()
        .route("/meters", get(meters::list))
        .route("/meters/{id}", get(meters::show))
        .route("/dashboards", get(dashboards::list).post(dashboards::create))
        .route("/dashboards/{id}", get(dashboards::show).post(dashboards::change))
        .route("/dashboards/{id}/delete", post(dashboards::delete))
}

/// Budgets, their ledger, prices.
fn money() -> Router<App> {
    Router::new()
        .route("/budgets", get(budgets::list).post(budget_form::create))
        .route("/budgets/new", get(budget_form::blank))
        .route("/budgets/{id}", get(budget::show))
        .route("/budgets/{id}/edit", get(budget_form::edit).post(budget_form::save))
        .route("/budgets/{id}/fund", post(budget::fund))
        .route("/budgets/{id}/delete", post(budget::delete))
        .route("/spend", get(spend::show))
        .route("/prices", get(prices::list).post(prices::create))
        .route("/prices/{id}/end", post(prices::end))
}

/// Consumers and keys.
fn holders() -> Router<App> {
    Router::new()
        .route("/consumers", get(consumers::show).post(consumer_form::create))
        .route("/consumers/new", get(consumer_form::blank))
        .route("/consumers/{id}", get(consumer::show))
        .route("/consumers/{id}/edit", get(consumer_form::edit).post(consumer_form::save))
        .route("/consumers/{id}/delete", post(consumer_form::delete))
        .route("/keys", get(keys::show).post(new_key::create))
        .route("/keys/new", get(new_key::blank))
        .route("/keys/many", get(many::blank).post(many::create))
        .route("/keys/bulk", get(bulk::ask).post(bulk::start))
        .route("/keys/jobs", get(bulk::list))
        .route("/keys/jobs/{id}", get(bulk::show))
        .route("/keys/jobs/{id}/cancel", post(bulk::cancel))
        .route("/keys/jobs/{id}/result.csv", get(bulk::result))
        .route("/keys/{id}", get(key::show))
        .route("/keys/{id}/edit", post(key_acts::edit))
        .route("/keys/{id}/rotate", get(key_acts::ask_rotate).post(key_acts::rotate))
        .route("/keys/{id}/finish", get(key_acts::ask_finish).post(key_acts::finish))
        .route("/keys/{id}/disable", get(key_acts::ask_disable).post(key_acts::disable))
        .route("/keys/{id}/enable", post(key_acts::enable))
        .route("/keys/{id}/revoke", get(key_acts::ask_revoke).post(key_acts::revoke))
}

/// Audit, members, tokens, the own account.
fn administration() -> Router<App> {
    Router::new()
        .route("/audit", get(audit::show))
        .route("/audit/export", get(audit::export))
        .route("/settings", get(settings::show))
        .route("/settings/members", get(members::list))
        .route("/settings/invitations", post(invite::send))
        .route("/settings/invitations/{id}/withdraw", post(invite::withdraw))
        .route("/settings/members/{id}", get(member::show).post(member::change))
        .route("/settings/members/{id}/consumers", post(member::map))
        .route("/settings/members/{id}/sessions", post(member::end_sessions))
        .route("/settings/members/{id}/reset", post(member::reset))
        .route("/settings/members/{id}/remove", get(member::ask_remove).post(member::remove))
        .route("/settings/tokens", get(tokens::list).post(tokens::create))
        .route("/settings/tokens/{id}/revoke", post(tokens::revoke))
        .route("/settings/secrets", get(secrets::list).post(secrets::set))
        .route("/settings/secrets/{id}/remove", post(secrets::remove))
        .route("/account", get(account::show))
        .route("/account/password", post(account::password))
        .route("/account/tenant", post(account::tenant))
        .route("/account/sessions/{id}/end", post(account::end))
        .route("/account/sessions/end", post(account::end_others))
        .route("/account/second-factor", post(second_factor::begin))
        .route("/account/second-factor/confirm", post(second_factor::confirm))
        .route("/account/second-factor/remove", post(second_factor::remove))
}

/// Records and their types.
fn recording() -> Router<App> {
    Router::new()
        .route("/settings/records", get(records::show))
        .route("/settings/records/types", post(records::register))
        .route("/settings/records/try", post(records::attempt))
        .route("/settings/records/{id}/retry", post(records::retry))
        .route("/settings/records/{id}/skip", post(records::skip))
}

/// Webhooks.
fn telling() -> Router<App> {
    Router::new()
        .route("/settings/webhooks", get(webhooks::list).post(webhooks::create))
        .route("/settings/webhooks/{id}", get(webhook::show).post(webhook::save))
        .route("/settings/webhooks/{id}/rotate", post(webhook::rotate))
        .route("/settings/webhooks/{id}/test", post(webhook::test))
        .route("/settings/webhooks/{id}/replay", post(webhook::replay))
        .route("/settings/webhooks/{id}/resume", post(webhook::resume))
        .route("/settings/webhooks/{id}/delete", post(webhook::delete))
}

/// Coming in and going out.
fn doors() -> Router<App> {
    Router::new()
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-in/code", post(sign_in::code))
        .route("/sign-out", post(sign_in::leave))
        .route("/confirm", get(confirm::show).post(confirm::prove))
        .route("/invitation", get(invitation::show).post(invitation::take))
        .route("/forgot", get(reset::ask).post(reset::send))
        .route("/reset", get(reset::show).post(reset::complete))
}

/// What people of partners see, and nothing else.
fn own() -> Router<App> {
    Router::new()
        .route("/own", get(self_service::show))
        .route("/own/keys", get(self_service::front))
        .route("/own/keys/{id}", get(self_key::show))
        .route("/own/keys/{id}/rotate", get(key_acts::ask_rotate).post(key_acts::rotate))
        .route("/own/keys/{id}/finish", get(key_acts::ask_finish).post(key_acts::finish))
}
