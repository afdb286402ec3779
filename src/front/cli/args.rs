//! The flags of all subcommands, with their help.
//!
//! Does not run them.
#![allow(
    clippy::doc_markdown,
    reason = "these comments are the help texts, where backticks are noise"
)]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::front::cli::completions::{COMPLETIONS_HINT, CompletionsArgs, MAN_HINT, ManArgs};
use crate::front::cli::describe::{DescribeArgs, ListArgs, SampleArgs};
use crate::front::cli::doctor::{DOCTOR_HINT, DoctorArgs};
use crate::front::cli::fmt::FmtArgs;
use crate::front::cli::guide::GuideArgs;
use crate::front::cli::init::InitArgs;
use crate::front::cli::map::{self, MapArgs};
use crate::front::cli::mapping::MappingCommand;
use crate::front::cli::reference::ReferenceArgs;
use crate::front::cli::schema::SchemaArgs;
use crate::front::cli::settings::SettingsArgs;
#[cfg(feature = "sim")]
use crate::front::cli::simulate::SimulateArgs;
use crate::front::cli::validate::ValidateArgs;
use crate::front::poll::Emit;

/// Runs SOAR integration commands against Microsoft 365 security and audit APIs.
///
/// Without a subcommand, reads a request from stdin as `run` does.
#[derive(Debug, Parser)]
#[command(
    name = "soarhost",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = false,
    after_help = SETTINGS_HINT,
)]
pub(super) struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Operator settings.
    #[command(flatten)]
    pub(super) settings: SettingsArgs,
    /// The flags of `run`, for a call without a subcommand.
    #[command(flatten)]
    pub(super) run: RunFlags,
}

/// The command line of `run`. It is parsed without building the other subcommands, because a
/// platform starts the process once per command.
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
poll uses the same state or file, 74 if writing to the sink fails. A sink
that cannot be opened is an invalid setting: 2.

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
    /// Test a connection in stages; show the stage that fails, and the remedy
    #[command(after_help = DOCTOR_HINT)]
    Doctor(DoctorArgs),
    /// Print a valid sample request of a command
    Sample(SampleArgs),
    /// List the operations that a manifest can call, with inputs, result, state and permissions
    Operations(OperationsArgs),
    /// Print a JSON Schema (2020-12), or write the schemas of a catalog's files
    Schema(SchemaArgs),
    /// Create a catalog folder to begin with: manifest, mapping, rule, samples, schemas for editors
    Init(InitArgs),
    /// Check a catalog's files, requests, profiles, worlds and endpoints; show each fault and its remedy
    Validate(ValidateArgs),
    /// Write manifests and mappings in one layout, so that changes are easy to review
    Fmt(FmtArgs),
    /// Map saved raw data, saved results or records to events, offline, and explain them
    #[command(after_help = map::HINT)]
    Map(MapArgs),
    /// Test mappings with samples, compare two versions of a mapping, or suggest fields
    #[command(subcommand)]
    Mapping(MappingCommand),
    /// Test detection rules with their samples, or explain why a rule matches a record
    #[cfg(feature = "rules")]
    #[command(subcommand, after_help = RULES_HINT)]
    Rules(RulesCommand),
    /// Print the reference page of an integration in Markdown
    Reference(ReferenceArgs),
    /// Run the simulator as a server on 127.0.0.1; print an endpoints file for it
    #[cfg(feature = "sim")]
    #[command(after_help = SIMULATE_HINT)]
    Simulate(SimulateArgs),
    /// List the guides, or print one in Markdown
    Guide(GuideArgs),
    /// Print a script for your shell that completes subcommands, flags, commands and mappings
    #[command(after_help = COMPLETIONS_HINT)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write the pages of all subcommands
    #[command(after_help = MAN_HINT)]
    Man(ManArgs),
    /// Show the operator settings, which apply to every subcommand
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

impl RunArgs {
    /// Adds the flags before the word `run`.
    pub(super) fn after(self, before: RunFlags) -> Self {
        let after = self.flags;
        let flags = RunFlags {
            batch: after.batch || before.batch,
            jobs: after.jobs.max(before.jobs).max(1),
            pretty: after.pretty || before.pretty,
            #[cfg(feature = "sim")]
            sandbox: after.sandbox || before.sandbox,
        };
        RunArgs { flags, ..self }
    }
}

/// Arguments of `poll`.
#[derive(Args, Debug)]
pub(super) struct PollArgs {
    /// The request
    pub(super) file: PathBuf,
    /// Where to write one JSON object per line: `-` (stdout) or `file:PATH` (append)
    #[arg(long, value_name = "SINK", value_parser = target)]
    pub(super) to: Target,
    /// What to write [default: alerts if the command evaluates rules, else events if it makes events, else records]
    #[arg(long)]
    pub(super) emit: Option<Emit>,
    /// Stop after this many runs, even if there is more to fetch
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) max_runs: Option<u64>,
    /// Use the built-in simulator: no account and no network needed
    #[cfg(feature = "sim")]
    #[arg(long)]
    pub(super) sandbox: bool,
}

/// The sink that `--to` names.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Stdout,
    File(PathBuf),
}

fn target(text: &str) -> Result<Target, String> {
    match text.split_once(':') {
        None if text == "-" => Ok(Target::Stdout),
        Some(("file", path)) if !path.is_empty() => Ok(Target::File(path.into())),
        _ => Err("a sink is `-` or `file:PATH`".to_owned()),
    }
}

#[cfg(feature = "rules")]
const RULES_HINT: &str = "\
To write a rule: copy the folders manifests and mappings of the catalog, and add your rule as
mappings/NAME/rules/RULE.yml. Check it with `soarhost validate DIR`, and write samples for `rules test`.
Use it with --catalog DIR, or send its text in the input Rules of a command.";

#[cfg(feature = "rules")]
const SAMPLES_HINT: &str = "\
DIR holds samples in samples/NAME/rules/*.json (or tests/samples/…) and, optionally, a catalog with
mappings/NAME/rules/*.yml; without it, the rules of the catalog in use are tested. A file of samples:

  { \"rule\": \"mass_download\",
    \"positive\": [{ \"name\": \"120 downloads\", \"alerts\": 1, \"records\": [
      { \"repeat\": 120, \"every\": 20, \"record\": { \"Operation\": \"FileDownloaded\", … } }] }],
    \"negative\": [{ \"name\": \"one download\", \"records\": [{ \"Operation\": \"FileDownloaded\", … }] }] }

`rule` is the name of a file of rules without `.yml`. `repeat` makes copies of a record, `every` seconds
apart; `{number}` in its texts becomes the number of the copy. Exit codes: 0 all passed, 1 some failed,
2 a file cannot be read.";

/// Subcommands of `rules`.
#[cfg(feature = "rules")]
#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    /// Evaluate each rule on its positive and negative samples; print the samples that fail
    #[command(after_help = SAMPLES_HINT)]
    Test(RulesTestArgs),
    /// Show which parts of a rule's condition a record meets, with the values
    Explain(RulesExplainArgs),
}

/// Arguments of `rules test`.
#[cfg(feature = "rules")]
#[derive(Args, Debug)]
pub(super) struct RulesTestArgs {
    /// The folder with the samples
    #[arg(value_name = "DIR", default_value = ".")]
    pub(super) folder: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `rules explain`.
#[cfg(feature = "rules")]
#[derive(Args, Debug)]
pub(super) struct RulesExplainArgs {
    /// A rule file, or the file name, id or title of a rule of the catalog
    pub(super) rule: String,
    /// A file with one audit record
    pub(super) record: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `try`.
#[cfg(feature = "sim")]
#[derive(Args, Debug)]
pub(super) struct TryArgs {
    /// The command; INTEGRATION.COMMAND if the name is not unique
    pub(super) command: String,
    /// Use the built-in world `attack_story`, `quiet_day` or `default` instead of the demonstration
    #[arg(long, value_name = "NAME")]
    pub(super) world: Option<String>,
    /// Print the request and the result as JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Arguments of `operations`.
#[derive(Args, Debug)]
pub(super) struct OperationsArgs {
    /// One operation [default: all operations and the connection slots]
    pub(super) name: Option<String>,
    /// Include `chaos`, which returns faults on request
    #[arg(long)]
    pub(super) all: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
