//! Sign-in and the own account in the OpenAPI document. They are no endpoints of the table, for who signs in
//! has no permission yet and the own account asks for none; what serves them is in `sign_in` and `identity`.

use serde_json::{Map, Value, json};

use super::{BASE, endpoint::Method, openapi::reference};

/// A call about signing in or the own account.
struct Door {
    method: Method,
    /// Below [`BASE`].
    path: &'static str,
    summary: &'static str,
    about: &'static str,
    /// The schema of the body; empty for none.
    takes: &'static str,
    /// Status and schema of the answer; the schema is empty for none.
    gives: (u16, &'static str),
    who: Who,
}

/// Who may call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Anybody.
    All,
    /// Who has a sign-in of either kind.
    SignedIn,
    /// Whose cookie it is: an ID token has no session.
    Session,
}

const fn door(
    (method, path): (Method, &'static str),
    (summary, about): (&'static str, &'static str),
    (takes, gives): (&'static str, (u16, &'static str)),
    who: Who,
) -> Door {
    Door { method, path, summary, about, takes, gives, who }
}

use Method::{Delete, Get, Post};

const DOORS: &[Door] = &[
    door(
        (Post, "/session"),
        ("Sign in", "With a local account. The session is in the cookie of the answer."),
        ("SignIn", (200, "Session")),
        Who::All,
    ),
    door((Get, "/session"), ("Who is signed in", ""), ("", (200, "Session")), Who::SignedIn),
    door((Delete, "/session"), ("Sign out", ""), ("", (204, "")), Who::SignedIn),
    door(
        (Post, "/session/ldap"),
        ("Sign in in the directory", "404 where none is configured."),
        ("DirectorySignIn", (200, "Session")),
        Who::All,
    ),
    door(
        (Post, "/session/token"),
        (
            "Sign in with an ID token",
            "Of the OpenID provider or of Firebase; the sign-in there must be fresh.",
        ),
        ("TokenSignIn", (200, "Session")),
        Who::All,
    ),
    door(
        (Post, "/session/fresh"),
        ("Prove once more that it is you", "For what needs a fresh sign-in. The session gets a new token."),
        ("FreshSignIn", (200, "Session")),
        Who::Session,
    ),
    door(
        (Post, "/session/tenant"),
        ("Act in another tenant", "The session gets a new token."),
        ("TenantSwitch", (200, "Session")),
        Who::Session,
    ),
    door(
        (Post, "/session/password"),
        ("Change the own password", "The other sessions end."),
        ("PasswordChange", (204, "")),
        Who::SignedIn,
    ),
    door(
        (Post, "/session/second-factor"),
        ("Begin a second factor", "It counts once a code of it was shown."),
        ("", (200, "SecondFactorBegun")),
        Who::SignedIn,
    ),
    door(
        (Delete, "/session/second-factor"),
        ("Take the second factor away", ""),
        ("", (204, "")),
        Who::SignedIn,
    ),
    door(
        (Post, "/session/second-factor/confirm"),
        ("Confirm the second factor", "Gives the recovery codes, which are shown this once."),
        ("SecondFactorCode", (200, "RecoveryCodes")),
        Who::SignedIn,
    ),
    door(
        (Post, "/session/invitation/view"),
        ("Look at an invitation", ""),
        ("LinkToken", (200, "InvitationSeen")),
        Who::All,
    ),
    door(
        (Post, "/session/invitation"),
        ("Take an invitation with a new account", "And sign in."),
        ("InvitationAccepted", (200, "Session")),
        Who::All,
    ),
    door(
        (Post, "/session/invitation/join"),
        ("Take an invitation as who is signed in", "The session acts in its tenant from then on."),
        ("LinkToken", (200, "Session")),
        Who::Session,
    ),
    door(
        (Post, "/session/reset"),
        (
            "Ask for a link to set a new password",
            "The answer is the same whether the account is there or not.",
        ),
        ("ResetRequest", (202, "")),
        Who::All,
    ),
    door(
        (Post, "/session/reset/complete"),
        ("Set a new password by a link", "All sessions of the person end."),
        ("ResetCompleted", (204, "")),
        Who::All,
    ),
    door((Get, "/sessions"), ("List the own sessions", ""), ("", (200, "OwnSessions")), Who::SignedIn),
    door(
        (Delete, "/sessions"),
        ("End all own sessions but this one", ""),
        ("", (200, "SessionsEnded")),
        Who::SignedIn,
    ),
    door((Delete, "/sessions/{id}"), ("End an own session", ""), ("", (204, "")), Who::SignedIn),
];

/// Adds the paths to the document's.
pub(super) fn add(paths: &mut Map<String, Value>) {
    for door in DOORS {
        let item = paths.entry(format!("{BASE}{}", door.path)).or_insert_with(|| json!({}));
        if let Some(item) = item.as_object_mut() {
            item.insert(door.method.name().to_owned(), operation(door));
        }
    }
}

fn operation(door: &Door) -> Value {
    let mut answers = Map::new();
    let (status, schema) = door.gives;
    let mut good = json!({ "description": if schema.is_empty() { "It is done." } else { schema } });
    if let (false, Some(good)) = (schema.is_empty(), good.as_object_mut()) {
        good.insert("content".to_owned(), json!({ "application/json": { "schema": reference(schema) } }));
        if schema == "Session" && door.method == Method::Post {
            let cookie = json!({ "description": "The session's cookie, `__Host-tollgate`.", "schema": { "type": "string" } });
            good.insert("headers".to_owned(), json!({ "Set-Cookie": cookie }));
        }
    }
    answers.insert(status.to_string(), good);
    for (status, name) in refusals(door) {
        answers.insert(status.to_owned(), json!({ "$ref": format!("#/components/responses/{name}") }));
    }
    let words: Vec<&str> = door.path.split(['/', '-', '{', '}']).filter(|word| !word.is_empty()).collect();
    let mut operation = json!({
        "operationId": format!("{}_{}", door.method.name(), words.join("_")),
        "tags": ["session"],
        "summary": door.summary,
        "description": door.about,
        "responses": answers,
    });
    let Some(members) = operation.as_object_mut() else { return operation };
    match door.who {
        Who::All => _ = members.insert("security".to_owned(), json!([])),
        Who::SignedIn => {}
        Who::Session => _ = members.insert("security".to_owned(), json!([{ "session": [], "csrf": [] }])),
    }
    if door.path.contains("{id}") {
        let schema =
            json!({ "type": "string", "minLength": 1, "maxLength": 64, "pattern": "^ses_[0-9A-Za-z]+$" });
        let id = json!([{ "name": "id", "in": "path", "required": true, "schema": schema }]);
        members.insert("parameters".to_owned(), id);
    }
    if !door.takes.is_empty() {
        let content = json!({ "application/json": { "schema": reference(door.takes) } });
        members.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    operation
}

/// The refusals that a call may answer with: status and name.
fn refusals(door: &Door) -> Vec<(&'static str, &'static str)> {
    let mut all = vec![("400", "Malformed"), ("401", "SignIn"), ("403", "Forbidden")];
    if door.path.contains("{id}") || !door.takes.is_empty() {
        all.push(("404", "NotFound"));
    }
    if door.method != Method::Get {
        all.extend([("409", "Conflict"), ("413", "TooLarge"), ("422", "Invalid"), ("429", "TooMany")]);
    }
    if !door.takes.is_empty() {
        all.extend([("410", "LinkUnusable"), ("415", "UnsupportedContent")]);
    }
    all.push(("503", "Unavailable"));
    all.sort_unstable();
    all
}
