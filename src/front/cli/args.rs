//! The flags of all sub-commands, with their help.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are the help texts, where backticks are noise"
)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::front::cli::poll::PollArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Runs SOAR integration commands against Microsoft 365 security and audit APIs.
///
/// Without a sub-command, reads a request from stdin as `run` does.
#[derive(Debug, Parser)]
#[command(
    name = "soarhost",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = false,
    after_help = SETTINGS_HINT,
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Operator settings.
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    /// The flags of `run`, for a call without a sub-command.
    #[command(flatten)]
    pub(super) run: RunFlags,
}

/// The command line of `run`. It is parsed without building the other sub-commands, because a platform
/// starts the process once per command.
#[derive(Debug, Parser)]
#[command(name = "soarhost run", bin_name = "soarhost run", max_term_width = 100)]
#[command(
    after_help = SETTINGS_HINT,
    about = "Run one request from FILE or stdin; print the result on stdout",
    version
)]
pub(super) struct RunAlone {
    /// The request and how to run it.
    #[command(flatten)]
    pub(super) run: RunArgs,
    /// Operator settings.
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
}

const POLL_HINT: &str = "\
The state is stored in --state, else in $STATE_DIRECTORY, else in $XDG_STATE_HOME/soarhost, else in
~/.local/state/soarhost. Temporary failures are retried. Exit codes: those of `run`; 75 also if another
poll uses the same state or file, 74 if the sink cannot be written.

Operator settings, such as --profiles: `soarhost help settings`.";

const SETTINGS_HINT: &str =
    "Operator settings, such as --profiles and --state: `soarhost help settings`.";

#[cfg(feature = "sim")]
const SIMULATE_HINT: &str = "\
Other client libraries: use the address of `login` in the endpoints file without a path as the authority,
trust the certificate `ca`, and turn off instance discovery, which calls Microsoft
(`disable_instance_discovery=True` in azure-identity).

Managed identity of an app service: request {metadata}/msi/token with the header value
`simulated-identity-header` (`identity_header` of a world). `--log-level info` prints both as environment
variables.";

const VARIABLES_HINT: &str = "\
Other environment variables:
  HTTPS_PROXY, NO_PROXY               The proxy for requests, and hosts to request without it
  SOARHOST_VAULT_KEY                  The key for stored tokens of a managed identity
  IDENTITY_ENDPOINT, IDENTITY_HEADER  The managed identity of an application platform

Host names are resolved with /etc/hosts and the servers of /etc/resolv.conf, not with the C library.";

/// The heading of operator settings in help.
pub(super) const SETTINGS: &str = "Operator settings";

/// Operator settings: never settable by a request.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = SETTINGS)]
pub(super) struct SettingsArgs {
    /// The settings that were set, as flags for a shell, to reproduce a run.
    #[arg(skip)]
    pub(super) given: String,
    /// Use the service addresses in this file instead of Microsoft's (`soarhost schema endpoints`)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SOARHOST_ENDPOINTS",
        hide_env_values = true
    )]
    pub(super) endpoints: Option<PathBuf>,
    /// Also trust the certificates in this PEM file
    #[arg(
        long,
        global = true,
        value_name = "PEM",
        env = "SSL_CERT_FILE",
        hide_env_values = true
    )]
    pub(super) ca_file: Option<PathBuf>,
    /// Also trust the machine's certificates
    #[arg(long, global = true)]
    pub(super) system_roots: bool,
    /// Use the manifests/ and mappings/ in this folder instead of the built-in ones
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOARHOST_CATALOG",
        hide_env_values = true
    )]
    pub(super) catalog: Option<PathBuf>,
    /// Read stored connections, which requests select by name, from this file (`soarhost schema profiles`)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SOARHOST_PROFILES",
        hide_env_values = true
    )]
    pub(super) profiles: Option<PathBuf>,
    /// Store encrypted tokens and the states of requests with a `state_key` in this folder
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOARHOST_STATE_DIR",
        hide_env_values = true
    )]
    pub(super) state: Option<PathBuf>,
    /// Allow `env:` references to this environment variable (SOAR_* are always allowed)
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) allow_env: Vec<String>,
    /// Allow `file:` references to files in this folder
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOARHOST_SECRETS_DIR",
        hide_env_values = true
    )]
    pub(super) secrets_dir: Option<PathBuf>,
    /// Limit the service data that one run holds: a number and KiB, MiB or GiB. A larger run ends early and can be resumed [default: 512MiB]
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        env = "SOARHOST_MAX_MEMORY",
        hide_env_values = true
    )]
    pub(super) max_memory: Option<String>,
    /// Allow "Trust any certificate" in requests with secret references or a managed identity
    #[arg(long, global = true)]
    pub(super) allow_insecure_tls: bool,
    /// Reject requests that use one of: insecure-tls, managed-identity, inline-mapping, inline-rules, inline-connection, write
    #[arg(
        long,
        global = true,
        value_name = "LIST",
        value_delimiter = ',',
        env = "SOARHOST_FORBID",
        hide_env_values = true
    )]
    pub(super) forbid: Vec<String>,
    /// Use this fixed time instead of the system clock (for tests)
    #[arg(long, global = true, value_name = "RFC3339")]
    pub(super) now: Option<String>,
    /// The log level on stderr [default: warn]
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        ignore_case = true,
        env = "SOARHOST_LOG",
        hide_env_values = true
    )]
    pub(super) log_level: Option<LogLevel>,
    /// The format of log lines
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

/// The log level on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    /// Nothing
    Off,
    /// Errors
    Error,
    /// Errors and warnings
    #[default]
    Warn,
    /// Errors, warnings, the outcome of each run, and each retry
    Info,
    /// As `info`, and each request to a service
    Debug,
    /// Everything, with secrets redacted
    Trace,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Plain lines
    #[default]
    Text,
    /// One JSON object per line
    Json,
}

/// Sub-commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run one request from FILE or stdin; print the result on stdout
    #[command(after_help = SETTINGS_HINT)]
    Run(RunArgs),
    /// Run a request until nothing is left to fetch; append the events or records to a file or stdout
    #[command(after_help = POLL_HINT)]
    Poll(PollArgs),
    /// Run a sample request of a command in the built-in simulator
    #[cfg(feature = "sim")]
    Try(TryArgs),
    /// List integrations and commands
    List(ListArgs),
    /// Show an integration's or a command's parameters, permissions and outputs
    Describe(DescribeArgs),
    /// Print a valid sample request of a command
    Sample(SampleArgs),
    /// List the operations that a manifest can call, with inputs, result, state and permissions
    Operations(OperationsArgs),
    /// Print a JSON Schema (2020-12), or write the schemas of a catalog's files
    Schema(SchemaArgs),
    /// Check a catalog's files, requests, profiles, worlds and endpoints; print each fault with its place
    Validate(ValidateArgs),
    /// Map saved raw data to events, offline
    Map(MapArgs),
    /// Print the reference page of an integration in Markdown
    Reference(ReferenceArgs),
    /// Run the simulator as a server on 127.0.0.1; print an endpoints file for it
    #[cfg(feature = "sim")]
    #[command(after_help = SIMULATE_HINT)]
    Simulate(SimulateArgs),
    /// Show the operator settings, which apply to every sub-command
    #[command(after_help = VARIABLES_HINT)]
    Settings,
}

/// Flags of a run.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Running a request")]
pub(super) struct RunFlags {
    /// Read one request per line; print one result per line, in the same order
    #[arg(long)]
    pub(super) batch: bool,
    /// Run this many requests of a batch at the same time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: u16,
    /// Indent the result
    #[arg(long, conflicts_with = "batch")]
    pub(super) pretty: bool,
    /// Use the built-in simulator: no account and no network needed
    #[cfg(feature = "sim")]
    #[arg(long)]
    pub(super) sandbox: bool,
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The request [default: stdin]
    pub(super) file: Option<PathBuf>,
    /// How to run it.
    #[command(flatten)]
    pub(super) flags: RunFlags,
}

/// An environment variable without a flag. An empty one counts as not set.
pub(super) fn text_variable(name: &str) -> Option<String> {
    let value = variable(OsStr::new(name))?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads its own variables"
)]
pub(super) fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}

impl RunArgs {
    /// With the flags before `run`.
    pub(super) fn after(self, before: RunFlags) -> Self {
        let own = self.flags;
        let flags = RunFlags {
            batch: own.batch || before.batch,
            jobs: own.jobs.max(before.jobs).max(1),
            pretty: own.pretty || before.pretty,
            #[cfg(feature = "sim")]
            sandbox: own.sandbox || before.sandbox,
        };
        RunArgs { flags, ..self }
    }
}

/// Arguments of `try`.
#[cfg(feature = "sim")]
#[derive(Args, Debug)]
pub(super) struct TryArgs {
    /// The command; INTEGRATION.COMMAND if the name is not unique
    pub(super) command: String,
    /// Print the request and the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `list`.
#[derive(Args, Debug)]
pub(super) struct ListArgs {
    /// Include `chaos`, which returns faults on request
    #[arg(long)]
    pub(super) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub(super) struct DescribeArgs {
    /// INTEGRATION or INTEGRATION.COMMAND [default: all]
    pub(super) name: Option<String>,
    /// Include `chaos`, which returns faults on request
    #[arg(long)]
    pub(super) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `sample`.
#[derive(Args, Debug)]
pub(super) struct SampleArgs {
    /// The command; INTEGRATION.COMMAND if the name is not unique
    pub(super) command: String,
}

/// Arguments of `operations`.
#[derive(Args, Debug)]
pub(super) struct OperationsArgs {
    /// One operation [default: all operations and the connection slots]
    pub(super) name: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `schema`.
#[derive(Args, Debug)]
pub(super) struct SchemaArgs {
    /// request, result, manifest, mapping, patch, fields, endpoints, profiles, world, or INTEGRATION.COMMAND
    #[arg(required_unless_present = "write")]
    pub(super) name: Option<String>,
    /// Write the schemas of a catalog's files to DIR/snapshots/schema, where their `$schema` points
    #[arg(long, value_name = "DIR", conflicts_with = "name")]
    pub(super) write: Option<PathBuf>,
}

/// Arguments of `validate`.
#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    /// Files or catalog folders [default: the catalog in use]
    pub(super) paths: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `map`.
#[derive(Args, Debug)]
pub(super) struct MapArgs {
    /// The name of a mapping, or a mapping file
    pub(super) mapping: String,
    /// The raw data [default: stdin]
    pub(super) file: Option<PathBuf>,
    /// Print one JSON document with events, warnings and the number of matches per field
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `reference`.
#[derive(Args, Debug)]
pub(super) struct ReferenceArgs {
    /// The integration [default: all]
    pub(super) integration: Option<String>,
}

/// Arguments of `simulate`.
#[cfg(feature = "sim")]
#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// Use the tenants, applications, data and faults in this file (`soarhost schema world`)
    #[arg(long, value_name = "FILE")]
    pub(super) world: Option<PathBuf>,
    /// The port on 127.0.0.1; 0 selects a free port
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// Serve http instead of https
    #[arg(long)]
    pub(super) plain: bool,
    /// Whether time passes: new content arrives, and content and tokens expire
    #[arg(long, value_enum, default_value_t = ClockMode::Running)]
    pub(super) clock: ClockMode,
}

/// Whether the simulator's clock moves.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ClockMode {
    /// Time passes, starting at `now` of the world, at `--now` or at the current time
    Running,
    /// Time does not pass: every answer can be repeated
    Still,
}
