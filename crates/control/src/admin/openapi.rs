//! The OpenAPI 3.1 document, and the page that says which role may call what; both from the table.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use tollgate_core::authz::{Right, Role};

use super::{
    BASE, answer, doors,
    endpoint::{Endpoint, Gives, Kind, Method, Param, Precondition},
    table::ENDPOINTS,
};

/// A length of time, a day, or RFC 3339 in UTC.
const MOMENT: &str = "^([0-9]{1,9}(ms|s|m|h|d|w)|20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])\
                      (T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z)?)$";

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for endpoint in ENDPOINTS {
        let path = format!("{BASE}{}", endpoint.path);
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(endpoint.method.name().to_owned(), operation(endpoint));
        }
    }
    doors::add(&mut paths);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollgate admin API",
            "version": "1",
            "description": "Projects, services, policies, consumers, keys, events, usage and audit of one \
                tenant. For people and their scripts: requests that carry an API key or a service token are \
                refused with `keys_cannot_manage_keys`. Errors are `application/problem+json` with a `code`.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "session": [], "csrf": [] }, { "id_token": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "schemas": tollgate_wire::admin::schemas(),
            "responses": responses(),
            "securitySchemes": {
                "session": {
                    "type": "apiKey", "in": "cookie", "name": "__Host-tollgate",
                    "description": "The session of a person who signed in.",
                },
                "csrf": {
                    "type": "apiKey", "in": "header", "name": "X-CSRF-Token",
                    "description": "The session's `csrf_token`; needed with `session` for everything but GET.",
                },
                "id_token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An ID token of a provider that the tenant signs in with.",
                },
            },
        },
    })
}

fn tags() -> Vec<Value> {
    let mut tags: Vec<&str> = ENDPOINTS.iter().map(tag).collect();
    tags.push("session");
    tags.dedup();
    tags.into_iter().map(|name| json!({ "name": name })).collect()
}

/// The first part of the path.
fn tag(endpoint: &Endpoint) -> &'static str {
    endpoint.path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

fn operation(endpoint: &Endpoint) -> Value {
    let row = endpoint.action.row();
    let fresh = if row.fresh_sign_in { " It needs a sign-in that is at most ten minutes old." } else { "" };
    let about = format!("{} Needs `{}`.{fresh}", endpoint.about, row.name);
    let mut operation = json!({
        "operationId": endpoint.operation(),
        "tags": [tag(endpoint)],
        "summary": endpoint.summary,
        "description": about.trim(),
        "parameters": parameters(endpoint),
        "responses": answers(endpoint),
        "x-tollgate-action": row.name,
    });
    if let (Some(schema), Some(members)) = (endpoint.body, operation.as_object_mut()) {
        let body = json!({
            "required": schema != "Rotate",
            "content": { "application/json": { "schema": reference(schema) } },
        });
        members.insert("requestBody".to_owned(), body);
    }
    operation
}

/// Points to a schema.
pub(super) fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let mut all = Vec::new();
    if endpoint.path.contains("{id}") {
        let id = json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z]{3}_[0-9A-Za-z]+(-[0-9]+)?$" });
        all.push(json!({ "name": "id", "in": "path", "required": true, "schema": id }));
    }
    all.extend(endpoint.params().map(parameter));
    if endpoint.precondition == Precondition::Required {
        all.push(json!({
            "name": "If-Match", "in": "header", "required": true,
            "description": "The `ETag` that the thing was read with, or `*` for any version.",
            "schema": { "type": "string", "pattern": "^(\\*|\"[0-9]{1,15}\")$" }, "example": "\"1\"",
        }));
    }
    if endpoint.method == Method::Post {
        all.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false,
            "description": "Sent twice with the same key and body within a day, the call is done once.",
            "schema": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$" },
        }));
    }
    all
}

fn parameter(param: &Param) -> Value {
    let (schema, example) = match param.kind {
        Kind::Text(bytes_max) => (json!({ "type": "string", "minLength": 1, "maxLength": bytes_max }), None),
        Kind::Pattern(bytes_max, pattern) => {
            (json!({ "type": "string", "minLength": 1, "maxLength": bytes_max, "pattern": pattern }), None)
        }
        Kind::Flag => (json!({ "type": "boolean" }), None),
        Kind::Number(least, most) => (json!({ "type": "integer", "minimum": least, "maximum": most }), None),
        Kind::Word(words) => (json!({ "type": "string", "enum": words }), None),
        Kind::Words(words) => {
            let items = json!({ "type": "string", "enum": words });
            (json!({ "type": "array", "items": items, "uniqueItems": true, "minItems": 1 }), None)
        }
        Kind::Moment => (json!({ "type": "string", "maxLength": 64, "pattern": MOMENT }), Some("24h")),
    };
    let mut value = json!({
        "name": param.name, "in": "query", "required": false, "description": param.doc, "schema": schema,
    });
    if let Some(members) = value.as_object_mut() {
        if matches!(param.kind, Kind::Words(_)) {
            members.insert("style".to_owned(), json!("form"));
            members.insert("explode".to_owned(), json!(false));
        }
        if let Some(example) = example {
            members.insert("example".to_owned(), json!(example));
        }
    }
    value
}

fn answers(endpoint: &Endpoint) -> Value {
    let mut answers = Map::new();
    let json_content = |schema: Value| json!({ "application/json": { "schema": schema } });
    let (status, mut good) = match endpoint.gives {
        Gives::One(status, schema) => {
            (status, json!({ "description": schema, "content": json_content(reference(schema)) }))
        }
        Gives::List(schema) => (
            200,
            json!({ "description": format!("A page of {schema}"), "content": json_content(page_of(schema)) }),
        ),
        Gives::Nothing => (204, json!({ "description": "It is done." })),
        Gives::Or(schema, other) => {
            let content = json!({
                "application/json": { "schema": reference(schema) },
                other: { "schema": { "type": "string" } },
            });
            (200, json!({ "description": schema, "content": content }))
        }
        Gives::Lines(schema) => {
            let content = json!({ "application/x-ndjson": { "schema": { "type": "string" } } });
            (200, json!({ "description": format!("A {schema} in each line"), "content": content }))
        }
    };
    if let Some(members) = good.as_object_mut() {
        if let Some(headers) = headers(endpoint, status) {
            members.insert("headers".to_owned(), headers);
        }
        if let Some(links) = links(endpoint, status) {
            members.insert("links".to_owned(), links);
        }
    }
    answers.insert(status.to_string(), good);
    for (status, name) in refusals(endpoint) {
        answers.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    Value::Object(answers)
}

fn page_of(schema: &str) -> Value {
    json!({
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": { "type": "array", "items": reference(schema) },
            "next": {
                "type": ["string", "null"],
                "description": "The `cursor` of the next page; `null` at the end.",
            },
        },
    })
}

fn headers(endpoint: &Endpoint, status: u16) -> Option<Value> {
    let mut headers = Map::new();
    let text = |about: &str| json!({ "description": about, "schema": { "type": "string" } });
    if endpoint.tagged {
        headers.insert("ETag".to_owned(), text("The version, for `If-Match`."));
    }
    if matches!(status, 201 | 202) {
        headers.insert("Location".to_owned(), text("Where it is."));
    }
    if endpoint.method == Method::Post {
        headers.insert(answer::REPLAYED.to_owned(), text("`true` when the answer was given before."));
    }
    (!headers.is_empty()).then_some(Value::Object(headers))
}

/// What can be done with something that was just made.
fn links(endpoint: &Endpoint, status: u16) -> Option<Value> {
    if !matches!(status, 201 | 202) {
        return None;
    }
    let one = format!("{}/{{id}}", endpoint.path);
    let about = ENDPOINTS.iter().filter(|other| other.path.starts_with(&one));
    let links: Map<String, Value> = about
        .map(|other| {
            let link =
                json!({ "operationId": other.operation(), "parameters": { "id": "$response.body#/id" } });
            (other.operation(), link)
        })
        .collect();
    (!links.is_empty()).then_some(Value::Object(links))
}

/// The refusals that an endpoint may answer with: status and name.
fn refusals(endpoint: &Endpoint) -> Vec<(&'static str, &'static str)> {
    let changes = endpoint.method != Method::Get;
    let has_subject = endpoint.path.contains("{id}") || endpoint.params().next().is_some();
    let mut all = vec![("400", "Malformed"), ("401", "SignIn"), ("403", "Forbidden")];
    if has_subject || endpoint.body.is_some() {
        all.push(("404", "NotFound"));
    }
    if changes || has_subject {
        all.push(("409", "Conflict"));
    }
    if endpoint.precondition == Precondition::Required {
        all.extend([("412", "Outdated"), ("428", "PreconditionMissing")]);
    }
    if changes {
        all.push(("413", "TooLarge"));
    }
    if endpoint.body.is_some() {
        all.push(("415", "UnsupportedContent"));
    }
    all.push(("422", "Invalid"));
    if endpoint.method == Method::Post {
        all.push(("429", "TooMany"));
    }
    all.push(("503", "Unavailable"));
    all
}

fn responses() -> Value {
    let problem = |about: &str, status: u16, code: &str, detail: &str| {
        json!({
            "description": about,
            "content": { "application/problem+json": {
                "schema": reference("Problem"),
                "example": {
                    "type": format!("urn:tollgate:code:{code}"), "title": about, "status": status,
                    "detail": detail, "code": code,
                },
            } },
        })
    };
    json!({
        "Malformed": problem("Malformed request", 400, "malformed_request",
            "the body is no JSON: expected value at line 1 column 1; correct it"),
        "LinkUnusable": problem("The link was used, has expired, or never was", 410, "link_unusable",
            "this link was used, has expired, or never was; ask for a new one"),
        "SignIn": problem("Sign-in is missing, has expired or failed: `sign_in_missing`, `sign_in_expired`, \
            `sign_in_failed`, `second_factor_needed`", 401, "sign_in_missing",
            "nobody is signed in with this request; sign in first, or send an ID token as `Authorization: Bearer`"),
        "Forbidden": problem("Not allowed: `role_insufficient`, `sign_in_not_fresh`, `csrf_token_wrong`, \
            `cross_site_refused`, `keys_cannot_manage_keys`", 403, "role_insufficient",
            "usr_2wErT3yUi4o may not do this (resources.change); ask an owner of the tenant"),
        "NotFound": problem("Nothing here, or nothing that this person may see", 404, "not_found",
            "there is no key `key_00000000001`; list them, or correct the name"),
        "Conflict": problem("It contradicts what is there: `conflict`, `idempotency_under_way`", 409, "conflict",
            "a policy named `standard` exists already; change that one, or choose another name"),
        "Outdated": problem("It was changed meanwhile", 412, "outdated",
            "this policy was changed since (it has version 4 now); read it again, then change it"),
        "TooLarge": problem("Body too large", 413, "body_too_large", "send a smaller body, or several requests"),
        "UnsupportedContent": problem("Content not supported", 415, "unsupported_content",
            "send the body as `application/json`"),
        "Invalid": problem("Something is wrong with the values: `invalid`, `idempotency_conflict`", 422, "invalid",
            "match.path_prefix: it must begin with `/`"),
        "PreconditionMissing": problem("`If-Match` is missing", 428, "precondition_missing",
            "send `If-Match` with the `ETag` that the thing was read with"),
        "TooMany": problem("Too many requests", 429, "too_many_attempts", "there were too many attempts; wait as long as `Retry-After` says"),
        "Unavailable": problem("Not available now: `busy`, `unavailable`", 503, "busy",
            "the database is busy; nothing was changed, try again"),
    })
}

/// Which role may call what, as a page.
#[must_use]
pub fn permissions() -> String {
    let mut page = String::from(
        "<!-- Written by `UPDATE_DOCS=1 cargo test -p tollgate-control admin`; do not edit. -->\n\n\
         # Who may call what\n\n\
         Every endpoint of the admin API with the action it asks for (see [permissions](permissions.md)) and what\n\
         that means for each role. `own`: with what belongs to the consumers that the person is mapped to.\n\n\
         | call | action | owner | admin | developer | auditor | member |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for endpoint in ENDPOINTS {
        let row = endpoint.action.row();
        let word = |role| match row.right(role) {
            Right::No => "–",
            Right::Own => "own",
            Right::All => "yes",
        };
        let fresh = if row.fresh_sign_in { " (fresh)" } else { "" };
        let method = endpoint.method.name().to_uppercase();
        // Writing to a string cannot fail.
        let _written = writeln!(
            page,
            "| `{method} {}` | `{}`{fresh} | {} | {} | {} | {} | {} |",
            endpoint.path,
            row.name,
            word(Role::Owner),
            word(Role::Admin),
            word(Role::Developer),
            word(Role::Auditor),
            word(Role::Member),
        );
    }
    page
}
