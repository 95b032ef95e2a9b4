//! Refusals of the control listener (RFC 9457). They are not decisions about keys, so they have
//! names of their own beside the catalogue of `wire`.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tollgate_core::{authz::NotAuthorised, field_error::FieldError};
use tollgate_store::StoreError;

/// Whether a browser asks for something to show, and gets a refusal as a page.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|kinds| kinds.contains("text/html"))
}

/// Why a call was turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It carried an API key or a service token.
    KeysCannotManageKeys,
    /// It carried no sign-in, or one that was never good or has been ended.
    SignInMissing,
    /// Its sign-in was unused for too long, or has lasted too long.
    SignInExpired,
    /// What it asks for needs a sign-in a short while ago.
    SignInNotFresh,
    /// E-mail address, password or code are wrong; which of them is not said.
    SignInFailed,
    /// The password is right, and a second factor is asked for.
    SecondFactorNeeded,
    /// Too many attempts.
    TooManyAttempts {
        /// When to come back.
        retry_after_s: u64,
    },
    /// The person may not do it.
    RoleInsufficient(String),
    /// It comes from a page of somebody else.
    CrossSite,
    /// It carries no token against forged requests, or a wrong one.
    CsrfTokenWrong,
    /// The link was used, has expired, or never was.
    LinkUnusable,
    /// There is nothing at this path, or nothing that this person may see.
    NotFound(String),
    /// The path does not answer this method.
    MethodNotAllowed,
    /// The body cannot be read.
    Malformed(String),
    /// The body is of another type.
    UnsupportedContent(&'static str),
    /// The body is too large.
    TooLarge,
    /// What it says makes no sense; everything at once.
    Invalid(Vec<FieldError>),
    /// It contradicts what is there.
    Conflict(String),
    /// It was changed since the caller read it.
    Outdated(String),
    /// It does not say which version it is for.
    PreconditionMissing,
    /// The request of this name is under way, or nobody knows what became of it.
    RepetitionUnderWay,
    /// Another request had this name.
    RepetitionDiffers,
    /// The node or its database cannot take it now; trying again may help.
    Busy(String),
    /// The database is away or damaged.
    Unavailable(String),
}

/// What is constant about a refusal.
struct Entry {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
}

impl Refused {
    /// There is nothing here.
    pub(crate) fn not_found() -> Self {
        Self::NotFound("there is nothing here; correct the path".to_owned())
    }

    /// One field is wrong.
    pub(crate) fn invalid(field: &str, problem: impl std::fmt::Display) -> Self {
        Self::Invalid(vec![FieldError::new(field, problem)])
    }

    /// The name that clients see.
    pub(crate) const fn code(&self) -> &'static str {
        self.entry().code
    }

    const fn entry(&self) -> Entry {
        let (status, code, title) = match self {
            Self::KeysCannotManageKeys => {
                (StatusCode::FORBIDDEN, "keys_cannot_manage_keys", "Keys cannot manage keys")
            }
            Self::SignInMissing => (StatusCode::UNAUTHORIZED, "sign_in_missing", "Sign-in is missing"),
            Self::SignInExpired => (StatusCode::UNAUTHORIZED, "sign_in_expired", "Sign-in has expired"),
            Self::SignInNotFresh => (StatusCode::FORBIDDEN, "sign_in_not_fresh", "A fresh sign-in is needed"),
            Self::SignInFailed => (StatusCode::UNAUTHORIZED, "sign_in_failed", "Sign-in failed"),
            Self::SecondFactorNeeded => {
                (StatusCode::UNAUTHORIZED, "second_factor_needed", "A second factor is needed")
            }
            Self::TooManyAttempts { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", "Too many attempts")
            }
            Self::RoleInsufficient(_) => {
                (StatusCode::FORBIDDEN, "role_insufficient", "Role does not suffice")
            }
            Self::CrossSite => (StatusCode::FORBIDDEN, "cross_site_refused", "Request from another site"),
            Self::CsrfTokenWrong => (StatusCode::FORBIDDEN, "csrf_token_wrong", "Token of the page is wrong"),
            Self::LinkUnusable => (StatusCode::GONE, "link_unusable", "The link cannot be used"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not_found", "Nothing here"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method not allowed")
            }
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed_request", "Malformed request"),
            Self::UnsupportedContent(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_content", "Content not supported")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "Body too large"),
            Self::Invalid(_) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Something is wrong with the values")
            }
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "It contradicts what is there"),
            Self::Outdated(_) => (StatusCode::PRECONDITION_FAILED, "outdated", "It was changed meanwhile"),
            Self::PreconditionMissing => {
                (StatusCode::PRECONDITION_REQUIRED, "precondition_missing", "`If-Match` is missing")
            }
            Self::RepetitionUnderWay => {
                (StatusCode::CONFLICT, "idempotency_under_way", "The request is under way")
            }
            Self::RepetitionDiffers => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_conflict",
                "The `Idempotency-Key` belongs to another request",
            ),
            Self::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "busy", "Busy"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not available"),
        };
        Entry { status, code, title }
    }

    /// What is constant about it, in a few words.
    pub(crate) const fn title(&self) -> &'static str {
        self.entry().title
    }

    /// What happened and what to do about it; nothing internal.
    pub(crate) fn detail(&self) -> String {
        let words = match self {
            Self::KeysCannotManageKeys => {
                "the request carries an API key or a service token; management needs a person, leave the key away"
            }
            Self::SignInMissing => {
                "nobody is signed in with this request; sign in first, or send an ID token as `Authorization: Bearer`"
            }
            Self::SignInExpired => "the session has ended by itself; sign in again",
            Self::SignInNotFresh => {
                "this needs a sign-in that is at most ten minutes old; sign in again and repeat it"
            }
            Self::SignInFailed => {
                "e-mail address, password or code are wrong; correct them, or reset the password"
            }
            Self::SecondFactorNeeded => "send the code of the second factor, or a recovery code, as `code`",
            Self::TooManyAttempts { .. } => {
                "there were too many attempts; wait as long as `Retry-After` says"
            }
            Self::CrossSite => "the request comes from a page of another site; use the console's own pages",
            Self::CsrfTokenWrong => {
                "send the `csrf_token` of the session as the header `X-CSRF-Token`; reload the page if this is one"
            }
            Self::LinkUnusable => "the link was used already, has expired, or is cut off; ask for a new one",
            Self::PreconditionMissing => {
                "send `If-Match` with the `ETag` that the thing was read with, or `*` for any version"
            }
            Self::RepetitionUnderWay => {
                "a request with this `Idempotency-Key` is under way, or was cut off before its answer; look at what is there before you send it under another key"
            }
            Self::RepetitionDiffers => {
                "another request was sent with this `Idempotency-Key` within a day; give each request its own"
            }
            Self::MethodNotAllowed => "use a method that the path answers, such as GET",
            Self::UnsupportedContent(wanted) => return format!("send the body as `{wanted}`"),
            Self::TooLarge => "send a smaller body, or several requests",
            Self::Invalid(errors) => {
                return errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            }
            Self::RoleInsufficient(detail)
            | Self::NotFound(detail)
            | Self::Malformed(detail)
            | Self::Conflict(detail)
            | Self::Outdated(detail)
            | Self::Busy(detail)
            | Self::Unavailable(detail) => detail,
        };
        words.to_owned()
    }

    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::SignInMissing | Self::SignInExpired | Self::SignInFailed | Self::SecondFactorNeeded => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")))
            }
            Self::MethodNotAllowed => Some((header::ALLOW, HeaderValue::from_static("GET, HEAD"))),
            Self::TooManyAttempts { retry_after_s } => {
                Some((header::RETRY_AFTER, HeaderValue::from(*retry_after_s)))
            }
            Self::Busy(_) | Self::Unavailable(_) => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Entry { status, code, title } = self.entry();
        let mut body = json!({
            "type": format!("urn:tollgate:code:{code}"),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail(),
            "code": code,
        });
        if let (Self::Invalid(errors), Some(members)) = (&self, body.as_object_mut()) {
            let errors: Vec<_> = errors
                .iter()
                .map(|error| json!({ "field": error.field, "problem": error.problem }))
                .collect();
            members.insert("errors".to_owned(), errors.into());
        }
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, kind, body.to_string()).into_response();
        if let Some((name, value)) = self.header() {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

impl From<NotAuthorised> for Refused {
    fn from(error: NotAuthorised) -> Self {
        Self::RoleInsufficient(error.to_string())
    }
}

impl From<StoreError> for Refused {
    /// What is another tenant's looks absent. Causes go to the log and not to the client.
    fn from(error: StoreError) -> Self {
        if let Some(cause) = error.cause() {
            tracing::warn!(%error, cause, "the database did not do what was asked");
        }
        match error {
            StoreError::NotCovered { kind } => {
                Self::NotFound(format!("there is no such {kind}; list them, or correct the name"))
            }
            StoreError::NotAuthorised(error) => error.into(),
            StoreError::SignInNotFresh => Self::SignInNotFresh,
            StoreError::Invalid(errors) => Self::Invalid(errors),
            error @ StoreError::NotFound { .. } => Self::NotFound(error.to_string()),
            error @ (StoreError::Conflict(_) | StoreError::Ambiguous { .. }) => {
                Self::Conflict(error.to_string())
            }
            error @ StoreError::Outdated { .. } => Self::Outdated(error.to_string()),
            error @ StoreError::Busy { .. } => Self::Busy(error.to_string()),
            error @ (StoreError::Unavailable { .. } | StoreError::Corrupt(_)) => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}
