//! Cross-origin access for browsers (the Fetch standard, "CORS protocol"), answered by the gate
//! from the service's settings; what an upstream says about it is replaced.

use tollgate_core::{
    resource::{ServiceKind, ServiceSpec},
    url_pattern::UrlPattern,
};
use tollgate_wire::headers;

use crate::{
    http::{
        answer::{Answer, AnswerHead},
        field::FieldValue,
        head::RequestHead,
    },
    names,
    request::{credential::Places, only},
};

/// Methods where neither `cors.methods` nor the service's match names any.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
/// Fields of the gate that a page may read beside those that the service names.
const EXPOSED: [&str; 4] = ["X-Request-Id", "RateLimit", "RateLimit-Policy", "Retry-After"];
/// The same, of services of kind `llm`: what a call cost, and what is left.
const EXPOSED_LLM: [&str; 4] =
    [headers::COST, headers::CURRENCY, headers::BUDGET_REMAINING, headers::OUTPUT_LIMIT];

/// The settings of a service, ready to be written.
pub(crate) struct Cors {
    origins: Vec<UrlPattern>,
    any_origin: bool,
    methods: FieldValue,
    headers: FieldValue,
    any_header: bool,
    expose: FieldValue,
    credentials: bool,
    max_age: FieldValue,
}

impl Cors {
    /// Compiles the settings of a service; `None` when it has none.
    pub(crate) fn of(spec: &ServiceSpec, places: &Places) -> Option<Self> {
        let cors = spec.cors.as_ref()?;
        let methods = if cors.methods.is_empty() {
            spec.matches.methods.as_deref().map_or_else(|| METHODS.to_owned(), |own| own.join(", "))
        } else {
            cors.methods.join(", ")
        };
        let named = cors.headers.iter().map(String::as_str).filter(|name| *name != "*");
        let mut headers: Vec<&str> = vec!["Authorization", "X-API-Key"];
        headers.extend(places.field_names());
        headers.extend(named);
        let mut expose: Vec<&str> = EXPOSED.to_vec();
        if spec.kind == ServiceKind::Llm {
            expose.extend(EXPOSED_LLM);
        }
        expose.extend(cors.expose.iter().map(String::as_str));
        Some(Self {
            // What is no pattern matches nothing.
            origins: cors.origins.iter().filter_map(|text| UrlPattern::parse(text).ok()).collect(),
            any_origin: cors.origins.iter().any(|origin| origin == "*"),
            methods: FieldValue::parse(methods).ok()?,
            headers: FieldValue::parse(headers.join(", ")).ok()?,
            any_header: cors.headers.iter().any(|name| name == "*"),
            expose: FieldValue::parse(expose.join(", ")).ok()?,
            credentials: cors.credentials,
            max_age: FieldValue::number(cors.max_age.as_micros() / 1_000_000),
        })
    }

    /// What to say to the request's origin: nothing to one that is not named.
    fn allow(&self, head: &RequestHead) -> Option<FieldValue> {
        let origin = only(head, "origin")?;
        if self.any_origin {
            return Some(names::STAR.clone());
        }
        let allowed = self.origins.iter().any(|pattern| pattern.matches(origin));
        allowed.then(|| FieldValue::parse(origin).ok()).flatten()
    }

    /// The answer to a preflight: always 204; without permission when the origin is not named, which
    /// makes the browser refuse.
    pub(crate) fn preflight(&self, head: &RequestHead) -> Answer {
        let mut answer = Answer::new(204);
        answer.head.set(&names::VARY, &names::VARY_PREFLIGHT);
        let Some(origin) = self.allow(head) else { return answer };
        let fields = &mut answer.head;
        fields.set(&names::ACCESS_CONTROL_ALLOW_ORIGIN, &origin);
        fields.set(&names::ACCESS_CONTROL_ALLOW_METHODS, &self.methods);
        let asked = head.header("access-control-request-headers").filter(|_| self.any_header);
        let headers = asked.and_then(|asked| FieldValue::parse(asked).ok());
        fields.set(&names::ACCESS_CONTROL_ALLOW_HEADERS, headers.as_ref().unwrap_or(&self.headers));
        fields.set(&names::ACCESS_CONTROL_MAX_AGE, &self.max_age);
        if self.credentials {
            fields.set(&names::ACCESS_CONTROL_ALLOW_CREDENTIALS, &names::TRUE);
        }
        answer
    }

    /// What an answer to this request has to carry; to be read before the head goes upstream.
    pub(crate) fn grant(&self, head: &RequestHead) -> Grant {
        Grant {
            origin: self.allow(head),
            expose: self.expose.clone(),
            credentials: self.credentials,
            varies: !self.any_origin,
        }
    }
}

/// Whether this is a preflight, and for which method.
pub(crate) fn preflight_method(head: &RequestHead) -> Option<&str> {
    if head.method() != "OPTIONS" || head.header("origin").is_none() {
        return None;
    }
    only(head, "access-control-request-method")
}

/// What one answer says to the page that asked.
pub(crate) struct Grant {
    origin: Option<FieldValue>,
    expose: FieldValue,
    credentials: bool,
    varies: bool,
}

impl Grant {
    /// Writes the fields into an answer, a refusal as well as one from upstream.
    pub(crate) fn write(self, head: &mut AnswerHead) {
        for name in [
            &names::ACCESS_CONTROL_ALLOW_ORIGIN,
            &names::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            &names::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            head.strip(name.as_str());
        }
        if self.varies {
            head.add(&names::VARY, &names::VARY_ORIGIN);
        }
        let Some(origin) = self.origin else { return };
        head.set(&names::ACCESS_CONTROL_ALLOW_ORIGIN, &origin);
        head.set(&names::ACCESS_CONTROL_EXPOSE_HEADERS, &self.expose);
        if self.credentials {
            head.set(&names::ACCESS_CONTROL_ALLOW_CREDENTIALS, &names::TRUE);
        }
    }
}
