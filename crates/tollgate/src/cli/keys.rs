//! `tollgate keys …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use tollgate_core::{key::Environment, time::Span};

use super::time::Expiry;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// Creates a key and prints it, once
    #[command(after_help = "\
Examples:
  tollgate keys create --project maps --consumer android-team --policy standard
  tollgate keys create --project maps --consumer ci --environment test --expires 90d
  tollgate keys create --project maps --consumer depot --allow-ip 10.0.0.0/8

The whole key is printed once and stored nowhere; afterwards only its last four characters can be
shown.")]
    Create(CreateArgs),
    /// Lists keys, newest first
    #[command(after_help = "\
Examples:
  tollgate keys list --project maps --state active
  tollgate keys list --output json | jq -r '.keys[].id'")]
    List(ListArgs),
    /// Shows one key with its secrets and when each was last used
    #[command(after_help = "\
Examples:
  tollgate keys show key_4fQn2SVkIqT
  tollgate keys show key_4fQ                      the beginning is enough when it is the only one")]
    Show {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Switches a key off until it is enabled again
    #[command(after_help = "\
Examples:
  tollgate keys disable key_4fQn2SVkIqT")]
    Disable {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Switches a disabled or blocked key on
    #[command(after_help = "\
Examples:
  tollgate keys enable key_4fQn2SVkIqT")]
    Enable {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Sets when a key expires
    #[command(after_help = "\
Examples:
  tollgate keys expire key_4fQn2SVkIqT 30d
  tollgate keys expire key_4fQn2SVkIqT never")]
    Expire {
        /// Its id, or the beginning of it
        id: String,
        /// From now (90d, 12h, 2s), an RFC 3339 time, or `never`
        #[arg(value_name = "WHEN", value_parser = Expiry::parse)]
        when: Expiry,
    },
    /// Ends a key for good
    #[command(after_help = "\
Examples:
  tollgate keys revoke key_4fQn2SVkIqT
  tollgate keys revoke key_4fQn2SVkIqT --wait     return once no running node accepts it any more")]
    Revoke(RevokeArgs),
    /// Gives a key a new secret under the same id and prints it, once
    #[command(after_help = "\
Examples:
  tollgate keys rotate key_4fQn2SVkIqT                 the old secret works for 24 more hours
  tollgate keys rotate key_4fQn2SVkIqT --overlap 0s    the old secret ends now")]
    Rotate(RotateArgs),
    /// Imports keys from elsewhere with the hashes they have
    #[command(after_help = "\
Examples:
  tollgate keys import keys.csv --project maps --scheme sha256 --dry-run
  tollgate keys import keys.csv --project maps --scheme bcrypt --policy standard
  tollgate keys import keys.jsonl --project maps --scheme hmac-sha256 --secret-file hmac.key

CSV needs a header line, JSON lines one object a line (file name ending in .jsonl, .ndjson or
.json). Columns:
  hash          the hash; with --scheme plain it is `key`, the credential itself
  consumer      who holds it; created when there is none [default: --consumer]
  policy        [default: --policy]
  environment   live or test [default: --environment]
  prefix        the beginning of the credential; needed by bcrypt and argon2
  last4, name, expires (RFC 3339)
Every other column becomes metadata. Rows whose secret exists already are reported as collisions,
so that an interrupted import can be run again.")]
    Import(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its project, `name` or `tenant/name`
    #[arg(long)]
    pub(crate) project: String,
    /// Who holds it
    #[arg(long)]
    pub(crate) consumer: String,
    /// Its policy; without one it is granted no service
    #[arg(long, value_name = "NAME")]
    pub(crate) policy: Option<String>,
    /// Where it may be used: live or test
    #[arg(long, default_value = "live", value_parser = environment)]
    pub(crate) environment: Environment,
    /// A name for people
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// From now (90d, 12h, 2s), an RFC 3339 time, or `never`
    #[arg(long, value_name = "WHEN", default_value = "never", value_parser = Expiry::parse)]
    pub(crate) expires: Expiry,
    /// Host whose addresses alone may use it
    #[arg(long, value_name = "HOST")]
    pub(crate) bind_host: Option<String>,
    /// Address or network that may use it; may be given again
    #[arg(long = "allow-ip", value_name = "CIDR")]
    pub(crate) allow_ips: Vec<String>,
    /// Free text by name, NAME=VALUE; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) metadata: Vec<(String, String)>,
}

fn environment(text: &str) -> Result<Environment, String> {
    text.parse()
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Of this project, `name` or `tenant/name`
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Of this consumer
    #[arg(long, requires = "project")]
    pub(crate) consumer: Option<String>,
    /// In this state
    #[arg(long)]
    pub(crate) state: Option<StateName>,
    /// Of this environment: live or test
    #[arg(long, value_parser = environment)]
    pub(crate) environment: Option<Environment>,
    /// How many at most
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub(crate) limit: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateName {
    Active,
    Disabled,
    Blocked,
    Revoked,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Its id, or the beginning of it
    pub(crate) id: String,
    /// Return once every running node has applied it, or has stopped trusting what it knew
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RotateArgs {
    /// Its id, or the beginning of it
    pub(crate) id: String,
    /// How long the present secret stays valid
    #[arg(long, default_value = "24h", value_name = "TIME", value_parser = span)]
    pub(crate) overlap: Span,
}

fn span(text: &str) -> Result<Span, String> {
    // The unit of nothing does not matter.
    if text == "0" { Ok(Span::from_secs(0)) } else { text.parse().map_err(|error| format!("{error}")) }
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// CSV or JSON lines; `-` reads CSV from standard input
    pub(crate) file: PathBuf,
    /// How the secrets are known
    #[arg(long)]
    pub(crate) scheme: SchemeName,
    /// How hashes are written
    #[arg(long, default_value = "hex")]
    pub(crate) encoding: EncodingName,
    /// Their project; may be left away where there is one only
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// File with the key of the HMAC, for hmac-sha256; a line break at its end is not part of it
    #[arg(long, value_name = "FILE", required_if_eq("scheme", "hmac-sha256"))]
    pub(crate) secret_file: Option<PathBuf>,
    /// Environment of rows that name none: live or test
    #[arg(long, default_value = "live", value_parser = environment)]
    pub(crate) environment: Environment,
    /// Consumer of rows that name none
    #[arg(long)]
    pub(crate) consumer: Option<String>,
    /// Policy of rows that name none
    #[arg(long)]
    pub(crate) policy: Option<String>,
    /// Check everything, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemeName {
    Sha256,
    Sha512,
    HmacSha256,
    Bcrypt,
    Argon2,
    Plain,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EncodingName {
    Hex,
    Base64,
}
