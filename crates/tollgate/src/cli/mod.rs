//! The command line as it is written: commands, flags, help with examples. What a command does is
//! in `commands`.

mod events;
mod keys;
mod ledger;
mod meters;
mod models;
mod outbox;
mod rules;
pub(crate) mod time;
mod webhooks;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use events::{
    AuditCommand, AuditExportArgs, AuditListArgs, AuditVerifyArgs, EventFilter, EventType, EventsCommand,
    QueryArgs, UsageArgs, UsageColumn,
};
pub(crate) use keys::{
    CreateArgs, EncodingName, ImportArgs, KeysCommand, ListArgs, RevokeArgs, RotateArgs, SchemeName,
    StateName,
};
pub(crate) use ledger::{AdjustArgs, BudgetsCommand, InvoiceArgs, LedgerCommand, UsageCommand};
pub(crate) use meters::{MeterQueryArgs, MetersCommand, WindowName};
pub(crate) use models::{CheckArgs, ModelsCommand};
pub(crate) use outbox::OutboxCommand;
pub(crate) use rules::{
    BlockListArgs, BlocksCommand, PoliciesCommand, PolicyBacktestArgs, RuleBacktestArgs, RulesCommand,
};
pub(crate) use webhooks::WebhooksCommand;

const EXAMPLES: &str = "\
Examples:
  tollgate demo                                    a running gateway to try
  echo 'a long password' | tollgate init --owner you@example.com --password-stdin
  tollgate apply -f resources.toml                 create services, policies and consumers
  tollgate keys create --project maps --consumer android-team --policy standard
  tollgate serve                                   start the gateway
  tollgate usage --by key,code                     what was used

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// Issues, checks and meters API keys in front of your services.
#[derive(Debug, Parser)]
#[command(
    name = "tollgate",
    version,
    about = "Issues, checks and meters API keys in front of your services",
    after_help = EXAMPLES, max_term_width = 110,
    args_override_self = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// Configuration file [default: tollgate.toml if present]
    #[arg(long, global = true, value_name = "FILE", env = "TOLLGATE_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Folder of the database, the usage journal and the node's id
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "./tollgate-data",
        env = "TOLLGATE_DATA_DIR",
        hide_env = true
    )]
    pub(crate) data_dir: PathBuf,
    /// A setting that wins over file and environment, e.g. gateway.threads=2
    #[arg(long = "set", global = true, value_name = "SECTION.NAME=VALUE", value_parser = assignment)]
    pub(crate) settings: Vec<(String, String)>,
    /// How results are printed [default: table on a terminal, json otherwise]
    #[arg(long, global = true, value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    Table,
    Json,
    // A doc comment would stretch the help of every command. Only `usage` and `usage invoice` have it.
    Csv,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if name.contains('.') => Ok((name.trim().to_owned(), value.to_owned())),
        _ => Err("write it as SECTION.NAME=VALUE, e.g. gateway.threads=2".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A self-contained installation to try: sample services, keys, traffic
    #[command(after_help = "\
Examples:
  tollgate demo                     start everything on loopback and print curl lines
  tollgate demo --once              send the sample requests, show what happened, end
  tollgate demo --data-dir /tmp/d   keep its data somewhere else [default: ./tollgate-data/demo]")]
    Demo(DemoArgs),
    /// Starts the gateway, the service API, the control listener and the workers
    #[command(after_help = "\
Examples:
  tollgate serve
  tollgate serve --roles gateway,workers
  TOLLGATE_GATEWAY__LISTEN=0.0.0.0:8080 tollgate serve --data-dir /var/lib/tollgate

Ready when GET /readyz on the control listener answers 200. SIGTERM and SIGINT drain: no new
connections, requests in flight finish, usage is shipped; a second signal ends at once.")]
    Serve(ServeArgs),
    /// Creates the database, the first tenant and its owner
    #[command(after_help = "\
Examples:
  echo 'a long password' | tollgate init --owner you@example.com --password-stdin
  tollgate init --owner you@example.com --tenant acme --password-stdin < password.txt")]
    Init(InitArgs),
    /// Brings tenants, projects, services, policies and consumers to what a file says
    #[command(after_help = "\
Examples:
  tollgate apply -f resources.toml --dry-run     show the plan, change nothing
  tollgate apply -f resources.toml               one transaction; applying it again changes nothing
  tollgate apply -f resources.toml --prune       also delete what the file does not name
  tollgate export | tollgate apply -f -")]
    Apply(ApplyArgs),
    /// Prints all resources as TOML, without secrets
    #[command(after_help = "\
Examples:
  tollgate export > resources.toml")]
    Export,
    /// Creates, lists, switches, rotates, revokes and imports keys
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Explains a decision: which checks were asked and which one decided
    #[command(after_help = "\
Examples:
  tollgate explain dec_0001mJbfIcgOCC4hBmAhNO
  tollgate explain --key tg_live_… --method GET --path /tiles/7 --ip 203.0.113.9
  tollgate explain --key key_4fQn2SVkIqT --path /tiles/7 --header 'Origin: https://example.com'

Nothing is counted. `--key -` reads the whole key from standard input, which keeps it out of the
shell's history.")]
    Explain(ExplainArgs),
    /// Shows decisions: as they happen, or from the past
    #[command(subcommand)]
    Events(EventsCommand),
    /// Lists models, and says whether an ONNX file can be used
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Lists meters, and shows what they counted
    #[command(subcommand)]
    Meters(MetersCommand),
    /// Shows how far records are on their way to Kafka, and releases those that it did not take
    #[command(subcommand)]
    Outbox(OutboxCommand),
    /// Shows who is told what happens, and what became of it; makes secrets, tests, sends again
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Shows what rules did, and what one would have done
    #[command(subcommand)]
    Rules(RulesCommand),
    /// Lists whom rules keep out, and lifts it
    #[command(subcommand)]
    Blocks(BlocksCommand),
    /// Says what a draft policy would have done
    #[command(subcommand)]
    Policies(PoliciesCommand),
    /// Shows what was changed by whom, and proves that nobody altered it
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Sums usage; includes everything answered before the call
    #[command(after_help = "\
Examples:
  tollgate usage
  tollgate usage --by key,code --from 24h
  tollgate usage --by service,day --from 2026-01-01T00:00:00Z --output json
  tollgate usage --by consumer,model --output csv
  tollgate usage invoice --month 2026-11")]
    Usage(UsageArgs),
    /// Shows what budgets have and why, and proves that it adds up
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Tops budgets up, corrects them, forgives what was used beyond them
    #[command(subcommand)]
    Budgets(BudgetsCommand),
    /// Creates, lists and revokes tokens of the service API
    #[command(subcommand)]
    ServiceTokens(ServiceTokensCommand),
    /// Sets, lists and removes secrets that Tollgate keeps encrypted, such as credentials of providers
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Helps members who lost their second factor
    #[command(subcommand)]
    Members(MembersCommand),
    /// Checks configuration, database, disk, mail server, clock and listeners; says how to mend what is wrong
    #[command(after_help = "\
Examples:
  tollgate doctor
  tollgate doctor --config /etc/tollgate.toml --output json")]
    Doctor,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Send the sample requests, print what happened, and end
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// What this process does
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "ROLE",
        default_value = "gateway,service-api,control,workers"
    )]
    pub(crate) roles: Vec<Role>,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Gateway,
    ServiceApi,
    Control,
    Workers,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// E-mail address of the owner
    #[arg(long, value_name = "EMAIL")]
    pub(crate) owner: String,
    /// Read the owner's password from the first line of standard input
    #[arg(long, required = true)]
    pub(crate) password_stdin: bool,
    /// Name of the first tenant
    #[arg(long, default_value = "default", value_name = "NAME")]
    pub(crate) tenant: String,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// File of resources; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Show the plan, change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Delete services, policies and consumers that the file does not name, in projects that it names
    #[arg(long)]
    pub(crate) prune: bool,
}

#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("which").required(true).args(["decision", "key"])))]
pub(crate) struct ExplainArgs {
    /// A decision, as in the answer's `decision_id` and `X-Request-Id`
    #[arg(value_name = "DECISION_ID")]
    pub(crate) decision: Option<String>,
    /// A key, whole or by its id; `-` reads it from standard input
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// Method of the request
    #[arg(long, default_value = "GET", requires = "key")]
    pub(crate) method: String,
    /// Path of the request, as the client writes it
    #[arg(long, requires = "key")]
    pub(crate) path: Option<String>,
    /// Service, instead of the one that host and path lead to
    #[arg(long, requires = "key", value_name = "NAME")]
    pub(crate) service: Option<String>,
    /// Address of the client
    #[arg(long, requires = "key", value_name = "ADDRESS")]
    pub(crate) ip: Option<std::net::IpAddr>,
    /// A header of the request, `Name: value`; may be given again
    #[arg(long = "header", requires = "key", value_name = "NAME:VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// A scope that is asked for beside the method's; may be given again
    #[arg(long = "scope", requires = "key", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// The model of a model call
    #[arg(long, requires = "key")]
    pub(crate) model: Option<String>,
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        _ => Err("write it as NAME:VALUE, e.g. 'Referer: https://app.example.com/'".to_owned()),
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServiceTokensCommand {
    /// Creates a token and prints it, once
    #[command(after_help = "\
Examples:
  tollgate service-tokens create --name orders-backend --service orders
  tollgate service-tokens create --name edge-proxy")]
    Create(CreateTokenArgs),
    /// Lists tokens, without their text
    #[command(after_help = "\
Examples:
  tollgate service-tokens list")]
    List,
    /// Revokes a token
    #[command(after_help = "\
Examples:
  tollgate service-tokens revoke stk_4fQn2SVkIqT")]
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: tollgate_core::id::ServiceTokenId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretsCommand {
    /// Sets a secret of a project, new or in place of the one before; nothing shows it again
    #[command(after_help = "\
Examples:
  tollgate secrets set maps openai --value-stdin < key.txt
  printf %s \"$OPENAI_API_KEY\" | tollgate secrets set acme/maps openai --value-stdin

A service sends it with `credential = { secret = \"openai\" }`.")]
    Set {
        /// The project, `name` or `tenant/name`
        #[arg(value_name = "PROJECT")]
        project: String,
        /// The name of the secret
        #[arg(value_name = "NAME")]
        name: String,
        /// Reads the value from standard input
        #[arg(long, required = true)]
        value_stdin: bool,
    },
    /// Lists secrets, never what they are
    #[command(after_help = "\
Examples:
  tollgate secrets list")]
    List,
    /// Removes a secret that no service sends
    #[command(after_help = "\
Examples:
  tollgate secrets remove maps openai")]
    Remove {
        /// The project, `name` or `tenant/name`
        #[arg(value_name = "PROJECT")]
        project: String,
        /// The name of the secret
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Makes the file of keys if there is none, and encrypts what former versions kept in the clear
    #[command(after_help = "\
Examples:
  tollgate secrets seal

Where several nodes share a database: copy the file to every node before anything else is kept.")]
    Seal,
    /// Encrypts all secrets under a new key
    #[command(after_help = "\
Examples:
  tollgate secrets rewrap
  tollgate secrets rewrap --prepare

Where several nodes each have their own copy of the file of keys: `--prepare` adds the new key to the
file here; copy the file to every node, then run `tollgate secrets rewrap`.")]
    Rewrap {
        /// Only adds the new key to the file
        #[arg(long)]
        prepare: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum MembersCommand {
    /// Takes the second factor of an account away and ends its sessions
    #[command(after_help = "\
Examples:
  tollgate members remove-second-factor you@example.com
  tollgate members remove-second-factor usr_4fQn2SVkIqT

Make sure first that it is the person who asks. The password stays; where it may be somebody
else's, the person sets a new one by a link that is mailed (`/forgot`).")]
    RemoveSecondFactor {
        /// Its e-mail address, or its id
        #[arg(value_name = "ACCOUNT")]
        account: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateTokenArgs {
    /// Its name
    #[arg(long)]
    pub(crate) name: String,
    /// A service it may ask about, `service` or `project/service`; may be given again [default: all of the tenant]
    #[arg(long = "service", value_name = "SERVICE")]
    pub(crate) services: Vec<String>,
    /// Its tenant, where there is more than one
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}
