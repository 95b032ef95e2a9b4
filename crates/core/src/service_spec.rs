//! Checking what a service says of itself, everything at once, before it is compiled.

use crate::{
    field_error::FieldError,
    ingest_service::check_ingest,
    llm_service::check_llm,
    metrics_service::check_metrics,
    pattern::PathPattern,
    predict_service::check_predict,
    resource::{HeadersSpec, MatchSpec, ServiceKind, ServiceSpec},
    signature_service::check_signature,
    time::Span,
};

/// Upstreams a service may have.
pub const UPSTREAMS_MAX: usize = 32;
/// How often a request may be tried again.
pub const RETRIES_MAX: u8 = 5;
/// The longest timeout of a service.
pub const TIMEOUT_MAX: Span = Span::from_secs(86_400);
/// The shortest time between two health checks of an upstream.
pub const HEALTH_INTERVAL_MIN: Span = Span::from_millis(100);

/// Checks what a service says of itself, everything at once.
#[must_use]
pub fn check_service(spec: &ServiceSpec) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Err(problem) = crate::name::check_name(&spec.name) {
        errors.push(FieldError::new("name", problem));
    }
    check_match(&spec.matches, &mut errors);
    let needs_upstreams =
        !matches!(spec.kind, ServiceKind::Ingest | ServiceKind::Metrics | ServiceKind::Predict);
    if (spec.upstreams.is_empty() && needs_upstreams) || spec.upstreams.len() > UPSTREAMS_MAX {
        let problem = "a service needs 1 to 32 upstreams such as `http://127.0.0.1:9000`";
        errors.push(FieldError::new("upstreams", problem));
    }
    check_upstreams("upstreams", &spec.upstreams, &mut errors);
    for (index, fallback) in spec.fallbacks.iter().enumerate() {
        let field = format!("fallback[{index}].upstreams");
        if fallback.upstreams.len() > UPSTREAMS_MAX {
            let problem = format!("at most {UPSTREAMS_MAX} upstreams are allowed");
            errors.push(FieldError::new(&*field, problem));
        }
        check_upstreams(&field, &fallback.upstreams, &mut errors);
    }
    check_llm(spec, &mut errors);
    check_ingest(spec, &mut errors);
    check_metrics(spec, &mut errors);
    check_signature(spec, &mut errors);
    check_predict(spec, &mut errors);
    if spec.retries > RETRIES_MAX {
        errors.push(FieldError::new("retries", format!("{} is over the bound of 5", spec.retries)));
    }
    for (index, place) in spec.credentials.iter().enumerate() {
        const PLACES: [&str; 5] = ["x-goog-api-key", "api-key", "apikey", "query:api_key", "query:key"];
        if !PLACES.contains(&place.as_str()) {
            errors.push(FieldError::new(
                format!("credentials[{index}]"),
                format!("`{place}` is not a place for keys; use one of {}", PLACES.join(", ")),
            ));
        }
    }
    check_rewrite(spec, &mut errors);
    check_times(spec, &mut errors);
    check_headers("request_headers", &spec.request_headers, &mut errors);
    check_headers("response_headers", &spec.response_headers, &mut errors);
    check_cors(spec, &mut errors);
    errors
}

/// Checks the origins of a list.
fn check_upstreams(field: &str, upstreams: &[String], errors: &mut Vec<FieldError>) {
    for (index, upstream) in upstreams.iter().enumerate() {
        if let Err(problem) = Upstream::parse(upstream) {
            errors.push(FieldError::new(format!("{field}[{index}]"), problem));
        }
    }
}

fn check_rewrite(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    let Some(rewrite) = &spec.rewrite else { return };
    if !rewrite.to.starts_with('/') {
        errors.push(FieldError::new("rewrite.to", "it must begin with `/`"));
    }
    let wildcards = match PathPattern::parse(&rewrite.from) {
        Ok(pattern) => pattern.as_str().split('/').filter(|part| part.contains('*')).count(),
        Err(error) => {
            errors.push(FieldError::new("rewrite.from", error));
            return;
        }
    };
    for hole in rewrite.to.split('{').skip(1) {
        let number = hole.split_once('}').and_then(|(number, _)| number.parse::<usize>().ok());
        if !number.is_some_and(|number| (1..=wildcards).contains(&number)) {
            errors.push(FieldError::new(
                "rewrite.to",
                format!("`{{{hole}` names no wildcard; `{}` has {wildcards}", rewrite.from),
            ));
        }
    }
}

fn check_times(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    const LEAST: Span = Span::from_millis(1);
    let mut spans = vec![
        ("timeouts.connect", spec.timeouts.connect, LEAST),
        ("timeouts.response", spec.timeouts.response, LEAST),
        ("timeouts.idle", spec.timeouts.idle, LEAST),
    ];
    if let Some(health) = &spec.health {
        spans.push(("health.interval", health.interval, HEALTH_INTERVAL_MIN));
        spans.push(("health.timeout", health.timeout, LEAST));
        if !health.path.starts_with('/') {
            errors.push(FieldError::new("health.path", "it must begin with `/`"));
        }
        for (field, times) in [
            ("health.unhealthy_after", health.unhealthy_after),
            ("health.healthy_after", health.healthy_after),
        ] {
            if times == 0 {
                errors.push(FieldError::new(field, "0 times cannot be counted; use 1 or more"));
            }
        }
    }
    for (field, span, least) in spans {
        if !(least..=TIMEOUT_MAX).contains(&span) {
            errors.push(FieldError::new(field, format!("{span} is outside {least} to {TIMEOUT_MAX}")));
        }
    }
}

/// Headers that frame a message or belong to one connection (RFC 9110 §7.6.1): Tollgate's own.
const FRAMING: [&str; 12] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "http2-settings",
    "proxy-authenticate",
    "proxy-authorization",
];

fn check_headers(field: &str, headers: &HeadersSpec, errors: &mut Vec<FieldError>) {
    let is_token = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^`|~".contains(&byte))
    };
    for name in headers.add.keys().chain(&headers.remove) {
        let lower = name.to_ascii_lowercase();
        if !is_token(name) {
            errors.push(FieldError::new(field, format!("`{name}` is not the name of a header")));
        } else if FRAMING.contains(&lower.as_str()) || lower.starts_with("x-tollgate-") {
            errors.push(FieldError::new(field, format!("`{name}` is Tollgate's own and cannot be changed")));
        }
    }
    for (name, value) in &headers.add {
        if value.chars().any(|sign| sign.is_control() && sign != '\t') {
            errors.push(FieldError::new(format!("{field}.add"), format!("`{name}` has a control character")));
        }
    }
}

fn check_match(matches: &MatchSpec, errors: &mut Vec<FieldError>) {
    if matches.host.is_none() && matches.path_prefix.is_none() {
        errors.push(FieldError::new("match", "say `host`, `path_prefix` or both"));
    }
    if let Some(prefix) = &matches.path_prefix {
        let normal = crate::path::normalise(prefix);
        if normal.as_deref() != Ok(prefix.as_str()) {
            errors.push(FieldError::new(
                "match.path_prefix",
                format!("`{prefix}` is not a plain path such as `/tiles`"),
            ));
        }
        if prefix_of(matches) == "/v1/me" {
            errors.push(FieldError::new(
                "match.path_prefix",
                "`/v1/me` is the gateway's own; choose another path",
            ));
        }
    }
    if let Some(host) = &matches.host
        && !is_host(host.strip_prefix("*.").unwrap_or(host))
    {
        errors.push(FieldError::new(
            "match.host",
            format!("`{host}` is not a host name without port, or `*.` and a host name"),
        ));
    }
    if matches.methods.as_ref().is_some_and(Vec::is_empty) {
        errors.push(FieldError::new("match.methods", "an empty list takes no request; leave it away"));
    }
    for (index, method) in matches.methods.iter().flatten().enumerate() {
        if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            errors.push(FieldError::new(
                format!("match.methods[{index}]"),
                format!("`{method}` is not a method; write it in capitals: `GET`"),
            ));
        }
    }
}

/// A host as the `Host` header has it: a name in ASCII, an IPv4 address, or `[IPv6]`.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    (1..=253).contains(&host.len())
        && !host.starts_with('.')
        && !host.ends_with('.')
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

fn check_cors(spec: &ServiceSpec, errors: &mut Vec<FieldError>) {
    let Some(cors) = &spec.cors else { return };
    if cors.credentials && cors.origins.iter().any(|origin| origin == "*") {
        errors.push(FieldError::new(
            "cors.origins",
            "`*` cannot go together with `credentials = true`; name the origins",
        ));
    }
    for (index, origin) in cors.origins.iter().enumerate() {
        if origin != "*" && !origin.contains("://") {
            errors.push(FieldError::new(
                format!("cors.origins[{index}]"),
                format!("`{origin}` is not an origin such as `https://app.example.com`"),
            ));
        }
    }
}

/// How an upstream is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP/1.1 in the clear.
    Http,
    /// TLS; HTTP/2 or HTTP/1.1 by ALPN.
    Https,
    /// HTTP/2 in the clear with prior knowledge.
    H2c,
}

/// An upstream's origin, read from `http://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// Its host, an IPv6 address without brackets.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
}

impl Upstream {
    /// Reads an origin.
    ///
    /// # Errors
    /// When it is no `http://`, `https://` or `h2c://` origin, or has a path, query or user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let error = || {
            format!(
                "`{text}` is not an upstream; write `http://host:port`, `https://host` or `h2c://host:port`"
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(error)?;
        let (scheme, own_port) = match scheme {
            "http" => (Scheme::Http, 80),
            "https" => (Scheme::Https, 443),
            "h2c" => (Scheme::H2c, 80),
            _ => return Err(error()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() || rest.contains(['/', '?', '#', '@', ' ']) {
            return Err(error());
        }
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                let digits = port.bytes().all(|byte| byte.is_ascii_digit());
                (host, port.parse().ok().filter(|_| digits).ok_or_else(error)?)
            }
            _ => (rest, own_port),
        };
        if !is_host(host) || port == 0 {
            return Err(error());
        }
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        Ok(Self { scheme, host: host.into(), port })
    }
}

/// The prefix without a trailing slash; empty takes every path.
pub(crate) fn prefix_of(matches: &MatchSpec) -> &str {
    matches.path_prefix.as_deref().unwrap_or("").trim_end_matches('/')
}
