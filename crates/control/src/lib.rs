//! The control listener: what operators and orchestrators ask of a node.
//!
//! | path | answers |
//! | --- | --- |
//! | `/` and below | the console: pages for people, most of them after sign-in |
//! | `/livez` | 200 while the process runs |
//! | `/readyz` | 200 when every part is well, 503 with the parts that are not |
//! | `/metrics` | the metrics in Prometheus' text form |
//! | `/api/admin/…` | the admin API, to people who are signed in |
//!
//! Keys never manage keys: any request to the admin API that carries an API key or a service token
//! is refused with `keys_cannot_manage_keys`, whatever else it carries. What this crate must never
//! know: the gateway, and the usage journal's files. How the parts of the process are comes in as a
//! [`Health`], metrics as a closure.

mod admin;
mod bounded;
mod console;
mod credentials;
mod csrf;
mod follow;
mod health;
mod hidden;
mod identity;
mod local_path;
mod mail;
mod model_trial;
mod password;
mod problem;
mod providers;
mod routes;
mod session;
mod sign_in;
mod smtp;
mod state;
mod throttle;
mod trial;
mod who;

pub use admin::{METHODS, document as openapi_document, permissions as endpoint_permissions};
pub use follow::Follow;
pub use health::{Health, ModelCondition, Part, Report};
pub use mail::{Courier, Mail};
pub use password::{PASSWORD_CHARS_MIN, hash_password, password_problem};
pub use providers::{
    FirebaseOptions, LdapOptions, OidcOptions, ProviderFinding, ProviderOptions, RoleMap, examine_providers,
};
pub use routes::serve;
pub use smtp::{Sender, SmtpCourier, SmtpOptions, SmtpSecurity, check_smtp};
pub use state::{Control, Kept, SignInOptions};
pub use trial::{ModelTrial, NotTried};
