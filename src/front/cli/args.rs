//! The flags. Help, and what is written about the flags elsewhere, comes from here.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are the help texts, where backticks are noise"
)]

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Arg, Args, Parser, Subcommand, ValueEnum};

/// Carries out one command of a SOAR integration: a JSON envelope in on stdin, a JSON result out on
/// stdout.
///
/// Without a sub-command and with stdin not a terminal it does what `run` does.
#[derive(Debug, Parser)]
#[command(
    name = "soarhost",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = false
)]
pub(super) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Operator settings.
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    /// What `run` takes, for a call without a sub-command.
    #[command(flatten)]
    pub(super) run: RunFlags,
}

/// What `run` takes, alone: it is parsed without building the other sub-commands, because a
/// platform starts the process once per command.
#[derive(Debug, Parser)]
#[command(name = "soarhost run", bin_name = "soarhost run", max_term_width = 100)]
#[command(
    about = "Carry out a request: from FILE or stdin, result on stdout",
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

impl Cli {
    /// Reads the command line.
    pub(super) fn read() -> Self {
        let mut words = std::env::args_os();
        let first = words.by_ref().nth(1);
        if first.as_deref().is_some_and(|word| word != "run") {
            return parse(std::env::args_os());
        }
        let RunAlone { run, settings } = parse(std::iter::once("soarhost run".into()).chain(words));
        Cli {
            command: Some(Command::Run(run)),
            settings,
            run: RunFlags::default(),
        }
    }
}

/// Parses the words, or prints help or an error and exits.
fn parse<T: Parser>(words: impl Iterator<Item = OsString>) -> T {
    let mut command = T::command().mut_args(ignore_unusable_variable);
    let parsed = command
        .try_get_matches_from_mut(words)
        .and_then(|matches| T::from_arg_matches(&matches));
    parsed.unwrap_or_else(|error| error.format(&mut command).exit())
}

/// Ignores the flag's environment variable if it is empty or none of the possible values: unlike a
/// flag, a variable can be set for other programs, so it must not stop a run.
fn ignore_unusable_variable(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().and_then(variable) else {
        return arg;
    };
    let possible = arg.get_possible_values();
    let unknown = value
        .to_str()
        .is_none_or(|value| !possible.iter().any(|known| known.matches(value, true)));
    if value.is_empty() || !possible.is_empty() && unknown {
        return arg.env(None::<&'static str>);
    }
    arg
}

/// Operator settings: never settable by a request.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Operator settings")]
pub(super) struct SettingsArgs {
    /// An operator's own cloud instead of the built-in one that the request names (`soarhost schema endpoints`)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SOARHOST_ENDPOINTS",
        hide_env_values = true
    )]
    pub(super) endpoints: Option<PathBuf>,
    /// Additional trust roots, PEM
    #[arg(
        long,
        global = true,
        value_name = "PEM",
        env = "SSL_CERT_FILE",
        hide_env_values = true
    )]
    pub(super) ca_file: Option<PathBuf>,
    /// Trust the machine's roots too
    #[arg(long, global = true)]
    pub(super) system_roots: bool,
    /// Folder with manifests/ and mappings/ instead of the compiled-in ones
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOARHOST_CATALOG",
        hide_env_values = true
    )]
    pub(super) catalog: Option<PathBuf>,
    /// Stored connections, by name (`soarhost schema profiles`)
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "SOARHOST_PROFILES",
        hide_env_values = true
    )]
    pub(super) profiles: Option<PathBuf>,
    /// Folder for what is kept between runs: tokens, encrypted, and the states that requests name
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOARHOST_STATE_DIR",
        hide_env_values = true
    )]
    pub(super) state: Option<PathBuf>,
    /// A further environment variable that a secret reference may name (besides SOAR_*)
    #[arg(long, global = true, value_name = "NAME")]
    pub(super) allow_env: Vec<String>,
    /// The folder below which a secret reference may name files
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "SOARHOST_SECRETS_DIR",
        hide_env_values = true
    )]
    pub(super) secrets_dir: Option<PathBuf>,
    /// Memory for what the service sends in one run: a number and KiB, MiB or GiB; a run that needs more ends early and can be resumed [default: 512MiB]
    #[arg(
        long,
        global = true,
        value_name = "SIZE",
        env = "SOARHOST_MAX_MEMORY",
        hide_env_values = true
    )]
    pub(super) max_memory: Option<String>,
    /// A still clock
    #[arg(long, global = true, value_name = "RFC3339")]
    pub(super) now: Option<String>,
    /// What to tell on stderr
    #[arg(
        long,
        global = true,
        value_name = "LEVEL",
        ignore_case = true,
        env = "SOARHOST_LOG",
        hide_env_values = true
    )]
    pub(super) log_level: Option<LogLevel>,
    /// How to tell it
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text")]
    pub(super) log_format: LogFormat,
}

/// How much is told on stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogLevel {
    /// Nothing.
    Off,
    /// What failed.
    Error,
    /// And what a person should know.
    #[default]
    Warn,
    /// And what was done.
    Info,
    /// And how.
    Debug,
    /// And every call, redacted.
    Trace,
}

/// How it is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for a person.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Sub-commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Carry out a request: from FILE or stdin, result on stdout
    Run(RunArgs),
    /// Show a sample request of a command and its result, carried out in the built-in simulator
    #[cfg(feature = "sim")]
    Try(TryArgs),
    /// List integrations and commands
    List(ReadArgs),
    /// Tell everything that a caller may ask of an integration or of one command
    Describe(DescribeArgs),
    /// Print a request that validates, with references for secrets
    Sample(SampleArgs),
    /// Print a JSON Schema (2020-12)
    Schema(SchemaArgs),
    /// Check manifests and mappings: every fault with file, line, pointer and fix
    Validate(ValidateArgs),
    /// Apply a mapping to saved raw data, offline: one event a line
    Map(MapArgs),
    /// Print the reference page of an integration, in Markdown
    Reference(ReferenceArgs),
    /// Run the simulator as a server on loopback and print an endpoints file for it
    #[cfg(feature = "sim")]
    Simulate(SimulateArgs),
}

/// Flags of a run.
#[derive(Args, Clone, Copy, Debug, Default)]
#[command(next_help_heading = "Running a request")]
pub(super) struct RunFlags {
    /// One request a line in, one result a line out, in input order
    #[arg(long)]
    pub(super) batch: bool,
    /// How many requests of a batch run at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) jobs: u16,
    /// The result indented, for a person
    #[arg(long, conflicts_with = "batch")]
    pub(super) pretty: bool,
    /// Against the built-in simulator instead of any --endpoints: no account, no network
    #[cfg(feature = "sim")]
    #[arg(long)]
    pub(super) sandbox: bool,
}

/// Arguments of `run`.
#[derive(Args, Debug)]
pub(super) struct RunArgs {
    /// The request; without it, stdin
    pub(super) file: Option<PathBuf>,
    /// How to run it.
    #[command(flatten)]
    pub(super) flags: RunFlags,
}

/// An environment variable that no flag has. An empty one counts as not set.
pub(super) fn text_variable(name: &str) -> Option<String> {
    let value = variable(OsStr::new(name))?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads its own variables"
)]
fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}

impl RunArgs {
    /// With the flags that stood before `run`.
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
    /// The command, in any spelling; INTEGRATION.COMMAND where it is not unique
    pub(super) command: String,
}

/// Arguments of commands that read.
#[derive(Args, Debug)]
pub(super) struct ReadArgs {
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `describe`.
#[derive(Args, Debug)]
pub(super) struct DescribeArgs {
    /// INTEGRATION or INTEGRATION.COMMAND; without it, all
    pub(super) name: Option<String>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `sample`.
#[derive(Args, Debug)]
pub(super) struct SampleArgs {
    /// The command, in any spelling; INTEGRATION.COMMAND where it is not unique
    pub(super) command: String,
}

/// Arguments of `schema`.
#[derive(Args, Debug)]
pub(super) struct SchemaArgs {
    /// request, result, manifest, mapping, patch, endpoints, profiles, world, or INTEGRATION.COMMAND
    pub(super) name: String,
}

/// Arguments of `validate`.
#[derive(Args, Debug)]
pub(super) struct ValidateArgs {
    /// Manifest and mapping files, or catalog folders; without any, the catalog in use
    pub(super) paths: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `map`.
#[derive(Args, Debug)]
pub(super) struct MapArgs {
    /// A mapping of the catalog by name, or a mapping file
    pub(super) mapping: String,
    /// The raw data; without it, stdin
    pub(super) file: Option<PathBuf>,
    /// One document with events, warnings and how many events each field matched in
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `reference`.
#[derive(Args, Debug)]
pub(super) struct ReferenceArgs {
    /// The integration; without it, all
    pub(super) integration: Option<String>,
}

/// Arguments of `simulate`.
#[cfg(feature = "sim")]
#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// A world file: tenants, apps, alerts, faults (`soarhost schema world`)
    #[arg(long, value_name = "FILE")]
    pub(super) world: Option<PathBuf>,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(super) port: u16,
    /// http instead of https
    #[arg(long)]
    pub(super) plain: bool,
    /// Let time pass, so that new content arrives and tokens expire, or not
    #[arg(long, value_enum, default_value_t = ClockMode::Running)]
    pub(super) clock: ClockMode,
}

/// Whether the simulator's time of day moves.
#[cfg(feature = "sim")]
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum ClockMode {
    /// It runs from `now` of the world, from `--now` or from the current time.
    Running,
    /// It stands still, so that every answer can be repeated.
    Still,
}
