//! Operator settings: creates a host from flags, variables and files.
//!
//! A file that cannot be read is a failure of the settings. A run returns it in its result.

use crate::clock::Clock;
use crate::front::cli::args::{SettingsArgs, text_variable};
use crate::host::secrets::AllowList;
use crate::host::{Forbidden, Host, MemoryBudget, OperatorFile, RetryPolicy, Settings};
use crate::identity::IdentityEndpoint;
use crate::protocol::{Failure, Redactor, Secret};
use crate::when;

/// A host with these settings.
pub(super) fn host(args: &SettingsArgs, redactor: Redactor) -> Host {
    match settings(args) {
        Ok(settings) => Host::open(settings, redactor),
        Err(failure) => Host::unusable(failure, redactor),
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
        stores_tokens: true,
        vault_key: text_variable("SOARHOST_VAULT_KEY").map(Secret::new),
        identity_endpoint: identity_endpoint(),
        allowed: AllowList {
            env: args.allow_env.clone(),
            folder: args.secrets_dir.clone(),
            stand_in: None,
            insecure_tls: args.allow_insecure_tls,
        },
        forbidden: Forbidden::parse(&args.forbid)?,
        clock: clock(args.now.as_deref())?,
        direct: false,
        retry_policy: RetryPolicy::default(),
        memory: memory(args.max_memory.as_deref())?,
        flags: args.given.clone(),
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
