//! Operator settings: the flags and environment variables, and a host with these settings.
//!
//! A file that cannot be read is a failure of the settings. A run returns it in its result.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::clock::Clock;
use crate::front::cli::out::Out;
use crate::host::secrets::AllowList;
use crate::host::{Forbidden, Host, MemoryBudget, OperatorFile, Settings};
use crate::identity::IdentityEndpoint;
use crate::protocol::{Failure, Redactor, Secret};
use crate::when;

/// The heading of operator settings in help.
pub(super) const SETTINGS: &str = "Operator settings";

/// Operator settings. A request cannot change them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = SETTINGS)]
#[allow(
    clippy::doc_markdown,
    reason = "these comments are the help texts, where backticks are noise"
)]
pub(super) struct SettingsArgs {
    /// The settings that were set, as flags for a shell, to reproduce a run.
    #[arg(skip)]
    pub(super) flags: Option<String>,
    /// Use the service addresses in this file instead of Microsoft's (`soarhost schema endpoints`)
    #[arg(long, value_name = "FILE", env = "SOARHOST_ENDPOINTS")]
    pub(super) endpoints: Option<PathBuf>,
    /// Also trust the certificates in this PEM file
    #[arg(long, value_name = "PEM", env = "SSL_CERT_FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Also trust the machine's certificates
    #[arg(long)]
    pub(super) system_roots: bool,
    /// Use the manifests/ and mappings/ in this folder instead of the built-in ones
    #[arg(long, value_name = "DIR", env = "SOARHOST_CATALOG")]
    pub(super) catalog: Option<PathBuf>,
    /// Read stored connections, which requests select by name, from this file (`soarhost schema profiles`)
    #[arg(long, value_name = "FILE", env = "SOARHOST_PROFILES")]
    pub(super) profiles: Option<PathBuf>,
    /// Store encrypted tokens and the states of requests with a `state_key` in this folder
    #[arg(long, value_name = "DIR", env = "SOARHOST_STATE_DIR")]
    pub(super) state: Option<PathBuf>,
    /// Allow `env:` references to this environment variable (SOAR_* are always allowed)
    #[arg(long, value_name = "NAME")]
    pub(super) allow_env: Vec<String>,
    /// Allow `file:` references to files in this folder
    #[arg(long, value_name = "DIR", env = "SOARHOST_SECRETS_DIR")]
    pub(super) secrets_dir: Option<PathBuf>,
    /// Limit the service data that one run holds: a number and KiB, MiB or GiB. A larger run ends early and can be resumed [default: 512MiB]
    #[arg(long, value_name = "SIZE", env = "SOARHOST_MAX_MEMORY")]
    pub(super) max_memory: Option<String>,
    /// Allow "Trust any certificate" in requests with secret references or a managed identity
    #[arg(long)]
    pub(super) allow_insecure_tls: bool,
    /// Reject requests that use one of: insecure-tls, managed-identity, inline-mapping, inline-rules, inline-connection, write
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        env = "SOARHOST_FORBID"
    )]
    pub(super) forbid: Vec<String>,
    /// Use this fixed time instead of the system clock (for tests)
    #[arg(long, value_name = "RFC3339")]
    pub(super) now: Option<String>,
    /// The log level on stderr [default: warn; `poll` also prints one line for each run]
    #[arg(long, value_name = "LEVEL", ignore_case = true, env = "SOARHOST_LOG")]
    pub(super) log_level: Option<LogLevel>,
    /// The format of log lines
    #[arg(long, value_name = "FORMAT", default_value = "text")]
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

/// A host with these settings.
pub(super) fn host(args: &SettingsArgs, redactor: &Redactor) -> Host {
    match settings(args) {
        Ok(settings) => Host::open(settings, redactor.clone()),
        Err(failure) => Host::unusable(failure, redactor.clone()),
    }
}

/// The host's settings, with the content of the files.
pub(super) fn settings(args: &SettingsArgs) -> Result<Settings, Failure> {
    Ok(Settings {
        endpoints: args
            .endpoints
            .as_deref()
            .map(|file| OperatorFile::read("--endpoints", file))
            .transpose()?,
        roots: args.ca_file.clone(),
        system_roots: args.system_roots,
        catalog: args.catalog.clone(),
        profiles: args
            .profiles
            .as_deref()
            .map(|file| OperatorFile::read("--profiles", file))
            .transpose()?,
        state: args.state.clone(),
        vault_key: text_variable("SOARHOST_VAULT_KEY").map(Secret::new),
        identity_endpoint: identity_endpoint(),
        allowed: AllowList {
            env: args.allow_env.clone(),
            folder: args.secrets_dir.clone(),
            placeholder: None,
            insecure_tls: args.allow_insecure_tls,
        },
        forbidden: Forbidden::parse(&args.forbid)?,
        clock: clock(args.now.as_deref())?,
        memory: memory(args.max_memory.as_deref())?,
        flags: args.flags.clone(),
        ..Settings::default()
    })
}

/// The managed identity endpoint of an application platform. An invalid address is ignored: the
/// variables belong to the platform, and most runs need no managed identity.
fn identity_endpoint() -> Option<IdentityEndpoint> {
    let address = text_variable("IDENTITY_ENDPOINT")?;
    let header = text_variable("IDENTITY_HEADER")?;
    Some(IdentityEndpoint {
        address: address.parse().ok()?,
        header: Secret::new(header),
    })
}

/// The memory limit of one run for data of services.
fn memory(size: Option<&str>) -> Result<MemoryBudget, Failure> {
    let Some(text) = size else {
        return Ok(MemoryBudget::default());
    };
    MemoryBudget::parse(text).ok_or_else(|| {
        let message = format!("`--max-memory` must be a size of at least 1MiB; got \"{text}\".");
        Failure::invalid_input("--max-memory", message)
            .advice("Use a whole number and KiB, MiB or GiB, such as 512MiB.")
    })
}

/// The system clock, or a fixed time.
pub(super) fn clock(now: Option<&str>) -> Result<Clock, Failure> {
    let Some(text) = now else {
        return Ok(Clock::System);
    };
    when::instant(text, &[]).map(Clock::Fixed).ok_or_else(|| {
        Failure::invalid_input("--now", format!("`--now` must be a time; got \"{text}\"."))
            .advice("Use RFC 3339, such as 2026-09-20T01:00:00Z.")
    })
}

/// An environment variable without a flag. An empty one counts as not set.
pub(super) fn text_variable(name: &str) -> Option<String> {
    let value = variable(OsStr::new(name))?.into_string().ok()?;
    (!value.is_empty()).then_some(value)
}

/// Whether output has colours: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub(super) fn has_colours(out: &Out) -> bool {
    let is_dumb = text_variable("TERM").is_none_or(|term| term == "dumb");
    out.is_terminal() && !is_dumb && text_variable("NO_COLOR").is_none()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command line reads its own variables"
)]
pub(super) fn variable(name: &OsStr) -> Option<OsString> {
    std::env::var_os(name)
}
