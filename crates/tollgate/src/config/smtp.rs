//! The settings of mail: where it is handed in.

use std::{net::IpAddr, path::PathBuf};

use tollgate_control::{Sender, SmtpOptions, SmtpSecurity};
use tollgate_core::secret::Secret;

use super::{
    people::setting,
    settings::{Setting, put},
    value::{choice, number, path, text},
};

/// Where mail is handed in.
#[derive(Clone, Debug, Default)]
pub struct Smtp {
    /// The server; no mail is sent when it is not set.
    pub host: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// How the connection is secured.
    pub security: SmtpSecurity,
    /// PEM file of the authorities to believe.
    pub ca_file: Option<PathBuf>,
    /// Who hands in.
    pub user: Option<String>,
    /// The password of who hands in.
    pub password: Option<Secret<String>>,
    /// Whom mails are from.
    pub from: Option<Sender>,
}

impl Smtp {
    /// What the courier needs, where mail is to be sent.
    #[must_use]
    pub fn options(&self) -> Option<SmtpOptions> {
        Some(SmtpOptions {
            host: self.host.clone()?,
            port: self.port,
            security: self.security,
            ca_file: self.ca_file.clone(),
            login: self.user.clone().zip(self.password.clone()),
            from: self.from.clone()?,
        })
    }

    /// What is wrong with the settings together.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let host = self.host.as_deref()?.trim_start_matches('[').trim_end_matches(']');
        let is_own = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        (self.security == SmtpSecurity::None && !is_own).then_some(
            "`none` is for a server on this machine; to any other mails would go in the clear: write `starttls` or `tls`",
        )
    }
}

/// What needs what beside it. Mails hold links, so they need to know where the console is.
pub(super) const TOGETHER: &[(&str, &str)] = &[
    ("smtp.host", "smtp.from"),
    ("smtp.host", "control.public_url"),
    ("smtp.from", "smtp.host"),
    ("smtp.user", "smtp.password"),
    ("smtp.password", "smtp.user"),
];

/// The settings, in the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    setting(
        ("smtp.host", "name or IP address", ""),
        "The server that takes mail from Tollgate: invitations, links to set a new password, reminders. Without it no mail is sent, and whoever invites hands the link over.",
        |written, config| put(&mut config.smtp.host, text(written).map(Some)),
    ),
    setting(
        ("smtp.port", "whole number, 1 to 65535", ""),
        "Its port. When not set, 587 for `starttls`, 465 for `tls`, 25 for `none`.",
        |written, config| {
            let port = number(written, 1..=65_535)?;
            put(&mut config.smtp.port, u16::try_from(port).map(Some).map_err(|error| error.to_string()))
        },
    ),
    setting(
        ("smtp.security", "`starttls`, `tls` or `none`", "starttls"),
        "`starttls` turns to TLS before anything else is said, and gives up if the server cannot; `tls` begins with it; `none` is for a server on this machine only. The server's certificate must be for `smtp.host`.",
        |written, config| {
            let security = match choice(written, &["starttls", "tls", "none"])? {
                "tls" => SmtpSecurity::Tls,
                "none" => SmtpSecurity::None,
                _ => SmtpSecurity::StartTls,
            };
            put(&mut config.smtp.security, Ok(security))
        },
    ),
    setting(
        ("smtp.ca_file", "path of a file", ""),
        "PEM file of the authorities to believe; the operating system's when not set.",
        |written, config| put(&mut config.smtp.ca_file, path(written).map(Some)),
    ),
    setting(
        ("smtp.user", "text", ""),
        "Who hands mail in. Not set where the server asks nobody.",
        |written, config| put(&mut config.smtp.user, text(written).map(Some)),
    ),
    setting(
        ("smtp.password", "text", ""),
        "The password of who hands mail in; better given as an environment variable.",
        |written, config| put(&mut config.smtp.password, text(written).map(|text| Some(Secret::new(text)))),
    ),
    setting(("smtp.from", "`ADDRESS` or `NAME <ADDRESS>`", ""), "Whom mails are from.", |written, config| {
        put(&mut config.smtp.from, text(written).and_then(|text| text.parse().map(Some)))
    }),
];
