//! Resources as people write them (CONTRACT §6): the shape of `apply` files, of exports, of the
//! rows in the database and of the admin API's bodies.
//!
//! What it means is compiled by [`crate::policy`] and [`crate::tables`]. A field that is not there restricts
//! nothing, an empty list allows nothing; only `services` must be said, for a grant is never implied.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    budget::spec::BudgetSpec,
    ingest_spec::{EventTypeSpec, IngestSpec},
    key::Environment,
    llm_spec::{CredentialSpec, FallbackSpec},
    metrics_spec::MetricsSpec,
    money::price::{PriceSpec, Provider},
    predict_spec::ModelSpec,
    rule::spec::RuleSpec,
    signature::spec::SignatureSpec,
    time::Span,
    upstream_spec::{HealthSpec, TimeoutsSpec, UpstreamTlsSpec},
    webhook::WebhookSpec,
};

/// An organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    /// Unique in the installation.
    pub name: String,
}

/// A group of services, policies, consumers and keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectSpec {
    /// The tenant's name.
    pub tenant: String,
    /// Unique in its tenant.
    pub name: String,
    /// What its keys begin with; 2–12 of `a-z0-9`.
    #[serde(default = "default_prefix")]
    pub key_prefix: String,
}

fn default_prefix() -> String {
    "tg".to_owned()
}

/// Who holds keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsumerSpec {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// Unique in its project.
    pub name: String,
    /// What kind of holder it is.
    #[serde(default)]
    pub kind: ConsumerKind,
    /// The holder's id in the user's own systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Free text by name, at most 64 entries.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// The kind of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConsumerKind {
    /// Another organisation.
    #[default]
    Partner,
    /// A person.
    User,
    /// A program.
    Service,
    /// A machine.
    Host,
}

/// A named protected API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceSpec {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// Unique in its project.
    pub name: String,
    /// How it is served.
    pub kind: ServiceKind,
    /// Kind `llm`: whose API it is, in requests and answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Provider>,
    /// Kind `llm`: where the provider's credential is, which takes the place of the client's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSpec>,
    /// Kind `llm`: what is tried, in this order, when the upstreams cannot answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "fallback")]
    pub fallbacks: Vec<FallbackSpec>,
    /// Kind `ingest`: what it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingest: Option<IngestSpec>,
    /// Kind `metrics`: what it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSpec>,
    /// Which requests it takes.
    #[serde(default, rename = "match")]
    pub matches: MatchSpec,
    /// Where requests go: `http://`, `https://` or `h2c://` origins, at most 32.
    #[serde(default)]
    pub upstreams: Vec<String>,
    /// Whether its upstreams have to be on the public internet, or in networks that the operator allows
    /// (`upstreams.allow_private`). Set where one tenant of several writes them; the operator on the host takes
    /// it away ([`crate::reach`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub internet_only: bool,
    /// Whether a tenant wrote where it goes, and not the operator: it is held to the public internet while there are
    /// several tenants ([`crate::reach`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_tenant: bool,
    /// Whether the matched `path_prefix` is cut off before forwarding.
    #[serde(default)]
    pub strip_prefix: bool,
    /// Another path upstream, after `strip_prefix`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<RewriteSpec>,
    /// Changes to the headers on the way up.
    #[serde(default, skip_serializing_if = "HeadersSpec::is_empty")]
    pub request_headers: HeadersSpec,
    /// Changes to the headers on the way down.
    #[serde(default, skip_serializing_if = "HeadersSpec::is_empty")]
    pub response_headers: HeadersSpec,
    /// Further places for a key: `x-goog-api-key`, `api-key`, `apikey`, `query:api_key`, `query:key`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<String>,
    /// Keys of which environment it takes; both when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Scopes that endpoints ask for beside the method's: `"POST /refunds/**" = ["refund"]`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub endpoint_scopes: BTreeMap<String, Vec<String>>,
    /// Serves without a key. Off unless said; announced at start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub public: bool,
    /// Kind `proxy`: how requests are signed, beside a key or instead of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureSpec>,
    /// Whether a client may upgrade to WebSocket.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub websocket: bool,
    /// Whether upstreams get a signed JWT that says who calls.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assertion: bool,
    /// The largest request body in bytes; 100 MiB when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes_max: Option<u64>,
    /// How long to wait for an upstream.
    #[serde(default)]
    pub timeouts: TimeoutsSpec,
    /// How often a request that was not sent, or is idempotent, is tried again: 0–5.
    #[serde(default = "default_retries")]
    pub retries: u8,
    /// How upstreams are asked whether they are well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSpec>,
    /// TLS towards the upstreams.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTlsSpec>,
    /// Cross-origin access for browsers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsSpec>,
    /// Which rate headers answers carry.
    #[serde(default)]
    pub headers: RateHeaders,
}

const fn default_retries() -> u8 {
    1
}

/// How a service is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKind {
    /// Forwarded as it is.
    Proxy,
    /// Calls of a model: priced, bound by budgets, forwarded with the provider's credential.
    Llm,
    /// Batches of records: kept, and handed on to Kafka.
    Ingest,
    /// Questions to models, answered with numbers.
    Predict,
    /// Points of time series: kept, and handed on to InfluxDB.
    Metrics,
}

/// Which requests a service takes; at least one of host and path prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MatchSpec {
    /// `maps.example.com`, or `*.example.com` for every name below it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// `/tiles` takes `/tiles` and all below `/tiles/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_prefix: Option<String>,
    /// Upper-case method names; all when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
}

/// A path rewritten by pattern: `/v1/*/items/**` to `/items/{1}/{2}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RewriteSpec {
    /// The pattern (see [`crate::pattern::PathPattern`]).
    pub from: String,
    /// The new path; `{n}` is what the n-th wildcard matched. Where a `**` matched nothing, or its match
    /// ends with a slash, one slash is left.
    pub to: String,
}

/// Changes to headers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadersSpec {
    /// Set to these values, replacing what was there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Taken away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

impl HeadersSpec {
    /// Whether nothing is changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.add.is_empty() && self.remove.is_empty()
    }
}

/// Cross-origin access for browsers (the Fetch standard, "CORS protocol").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CorsSpec {
    /// Origins that may call: exact, with `*` for one label, or `["*"]`.
    pub origins: Vec<String>,
    /// Methods; the service's own when not said.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Request headers a page may send.
    #[serde(default)]
    pub headers: Vec<String>,
    /// Answer headers a page may read.
    #[serde(default)]
    pub expose: Vec<String>,
    /// Whether cookies go along; not together with `origins = ["*"]`.
    #[serde(default)]
    pub credentials: bool,
    /// How long a browser may remember the answer.
    #[serde(default = "default_cors_age")]
    pub max_age: Span,
}

const fn default_cors_age() -> Span {
    Span::from_secs(600)
}

/// Which rate headers answers carry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RateHeaders {
    /// `RateLimit-Policy` and `RateLimit` of the IETF draft.
    #[default]
    Ietf,
    /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
    Legacy,
    /// Both.
    Both,
    /// None.
    None,
}

/// A reusable usage policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySpec {
    /// The project, `name` or `tenant/name`.
    pub project: String,
    /// Unique in its project.
    pub name: String,
    /// Granted services by name; `["*"]` all of the project, `[]` none.
    #[serde(default)]
    pub services: Vec<String>,
    /// Granted scopes: `read`, `write`, `delete`, `admin`, or any other word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// `GET /tiles/**`, `* /tiles/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<String>>,
    /// Networks in CIDR notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_ips: Option<Vec<String>>,
    /// Patterns of the Referer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_referers: Option<Vec<String>>,
    /// Patterns of the Origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_origins: Option<Vec<String>>,
    /// Patterns of the User-Agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_user_agents: Option<Vec<String>>,
    /// `android:PACKAGE:SHA1` and `ios:BUNDLE`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_apps: Option<Vec<String>>,
    /// Patterns of model names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Requests of one key in flight at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// Limits, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "limit")]
    pub limits: Vec<LimitSpec>,
    /// Quotas, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty", rename = "quota")]
    pub quotas: Vec<QuotaSpec>,
}

/// An amount per short window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSpec {
    /// Unique in its policy.
    pub name: String,
    /// What is counted.
    #[serde(default)]
    pub unit: Unit,
    /// How much of it, at least 1.
    pub amount: u64,
    /// In how long: 1 ms to 31 days.
    pub window: Span,
    /// How much at once; the amount when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
    /// Whose requests are counted together.
    #[serde(default)]
    pub per: Per,
    /// Where it is counted.
    #[serde(default)]
    pub mode: LimitMode,
    /// Of a shared limit: whether nothing passes while Redis does not answer. Otherwise each node enforces the
    /// limit divided by the live nodes then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub security: bool,
}

/// An amount per calendar period, durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotaSpec {
    /// Unique in its policy.
    pub name: String,
    /// What is counted.
    #[serde(default)]
    pub unit: Unit,
    /// How much of it.
    pub amount: u64,
    /// In which period.
    pub period: crate::period::PeriodUnit,
    /// Whose midnight it is: an IANA zone, `UTC` when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Whose requests are counted together.
    #[serde(default)]
    pub per: Per,
}

/// What a limit or quota counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// One a request.
    #[default]
    Requests,
    /// Tokens of a model call.
    Tokens,
    /// The cost a caller of verify names; one a request at the gateway.
    Units,
}

impl Unit {
    /// What several of them are called.
    #[must_use]
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
            Self::Units => "units",
        }
    }
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// Each key's.
    #[default]
    Key,
    /// Each consumer's.
    Consumer,
    /// The whole project's.
    Project,
    /// Each address's (IPv6: each /64's).
    Ip,
}

impl Per {
    /// What each of them is.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Consumer => "consumer",
            Self::Project => "project",
            Self::Ip => "address",
        }
    }
}

/// Where a limit is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LimitMode {
    /// On each node by itself.
    #[default]
    Local,
    /// Over all nodes, through Redis.
    Shared,
}

/// Everything an `apply` file may hold; also what `export` writes. Order means nothing, names tell apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// `[[tenant]]`
    #[serde(rename = "tenant", skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantSpec>,
    /// `[[project]]`
    #[serde(rename = "project", skip_serializing_if = "Vec::is_empty")]
    pub projects: Vec<ProjectSpec>,
    /// `[[service]]`
    #[serde(rename = "service", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceSpec>,
    /// `[[policy]]`
    #[serde(rename = "policy", skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicySpec>,
    /// `[[consumer]]`
    #[serde(rename = "consumer", skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<ConsumerSpec>,
    /// `[[price]]`
    #[serde(rename = "price", skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceSpec>,
    /// `[[budget]]`
    #[serde(rename = "budget", skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetSpec>,
    /// `[[event_type]]`
    #[serde(rename = "event_type", skip_serializing_if = "Vec::is_empty")]
    pub event_types: Vec<EventTypeSpec>,
    /// `[[meter]]`
    #[serde(rename = "meter", skip_serializing_if = "Vec::is_empty")]
    pub meters: Vec<crate::meter::spec::MeterSpec>,
    /// `[[rule]]`
    #[serde(rename = "rule", skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleSpec>,
    /// `[[model]]`
    #[serde(rename = "model", skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<ModelSpec>,
    /// `[[webhook]]`
    #[serde(rename = "webhook", skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<WebhookSpec>,
}
