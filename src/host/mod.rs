//! The host: turns the bytes of one request into one result. It always returns a result.
//!
//! [`Host::check`] runs the stages that need no runtime, no client and no network, and rejects
//! invalid requests. [`Host::run`] runs the later stages. Both return a [`ResultEnvelope`] for
//! every failure, and for a panic. The state to store is returned with the result: the caller
//! commits it after it has written the result.

pub mod catalog;
mod connect;
mod diagnose;
mod limits;
mod operator_file;
mod policy;
mod prepare;
mod private_file;
pub mod profiles;
mod redact;
mod report;
mod requested_mapping;
mod requested_rules;
mod result;
pub mod secrets;
mod session;
mod state_store;
mod vault;

use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use serde_json::{Map, Value};

use crate::clock::Clock;
use crate::identity::IdentityEndpoint;
use crate::manifest::Bound;
use crate::mapping::Mapping;
use crate::microsoft::{Cloud, Connection};
use crate::net::transcript::is_dry_run;
use crate::protocol::envelope;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::result::Metrics;
use crate::protocol::{Envelope, Redactor, ResultEnvelope, Secret, State, Warning};
use crate::rules::RuleSet;
use catalog::{Catalog, Target};
use limits::StageLimits;
use prepare::Preparation;
use profiles::Profiles;
use report::Reproduction;
use result::ResultHead;
use secrets::AllowList;
use state_store::StateStore;
use vault::Vault;

use crate::net::Deadline;
pub use crate::net::{Cancel, MemoryBudget, Meter, RetryPolicy};
pub use operator_file::OperatorFile;
pub use policy::Forbidden;
pub use state_store::{PendingState, StateLock};

/// The time limit of a command without one in the request or the manifest.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The operator's settings. A request cannot change them.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The service addresses to use instead of Microsoft's.
    pub endpoints: Option<OperatorFile>,
    /// Additional root certificates: a PEM file, read when a client is first needed.
    pub roots: Option<PathBuf>,
    /// Also trust the machine's root certificates.
    pub system_roots: bool,
    /// A catalog folder instead of the built-in catalog.
    pub catalog: Option<PathBuf>,
    /// Stored connections.
    pub profiles: Option<OperatorFile>,
    /// The folder of stored tokens and states, created when first needed. Without it, nothing is
    /// stored.
    pub state: Option<PathBuf>,
    /// What is stored in that folder.
    pub storage: Storage,
    /// The key for stored tokens of managed identities. Without it, a key is created in the state
    /// folder.
    pub vault_key: Option<Secret>,
    /// The managed identity endpoint of an application platform.
    pub identity_endpoint: Option<IdentityEndpoint>,
    /// The variables and files that secret references can name.
    pub allowed: AllowList,
    /// The features that requests must not use.
    pub forbidden: Forbidden,
    /// The source of the time of day.
    pub clock: Clock,
    /// Ignore the proxy settings of the environment.
    pub direct: bool,
    /// How often and when requests are retried.
    pub retry_policy: RetryPolicy,
    /// The memory limit of each run for data of services.
    pub memory: MemoryBudget,
    /// The settings as flags for a shell, each after a space, to reproduce a run. None: a failure is
    /// logged without the command that reproduces it.
    pub flags: Option<String>,
}

/// What the host stores in its state folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Tokens and states.
    #[default]
    Full,
    /// States only.
    StatesOnly,
    /// Nothing, because requests are only checked. No state folder is required.
    Unneeded,
}

impl Settings {
    /// True if tokens are stored, or would be in a run.
    fn stores_tokens(&self) -> bool {
        match self.storage {
            Storage::Full => self.state.is_some(),
            Storage::StatesOnly => false,
            Storage::Unneeded => true,
        }
    }

    /// The advice if tokens are not stored.
    fn how_to_store_tokens(&self) -> &'static str {
        match self.storage {
            Storage::StatesOnly => {
                "The sandbox does not store tokens. Use `soarhost try`, or `soarhost simulate` and run the request with --endpoints and --state."
            }
            _ => {
                "Start the host with --state DIR (or SOARHOST_STATE_DIR), which stores encrypted tokens."
            }
        }
    }
}

/// Runs commands.
#[derive(Debug)]
pub struct Host {
    opened: Result<Opened, Failure>,
    redactor: Redactor,
}

/// The connection parameters of a request, before binding.
struct RawParameters<'a> {
    integration: Option<String>,
    parameters: &'a Map<String, Value>,
    /// The place of the parameters in failures.
    at: String,
}

/// The connection parameters of a request, and its command.
struct ResolvedRequest<'e, 'a> {
    connection: RawParameters<'e>,
    target: Target<'a>,
}

/// A host with valid settings.
#[derive(Debug)]
struct Opened {
    settings: Settings,
    catalog: Catalog,
    profiles: Profiles,
    operator_ca: Option<String>,
    net: session::Net,
}

/// A request that passed all checks. Nothing was sent yet.
#[derive(Debug)]
pub struct Checked<'a> {
    head: ResultHead,
    deadline: Deadline,
    redactor: Redactor,
    warnings: Vec<Warning>,
    envelope: Envelope,
    target: Target<'a>,
    bound: Bound,
    mapping: Option<Mapping>,
    context: Option<Mapping>,
    rules: Option<Box<RuleSet>>,
    connection: Box<Connection>,
    state: Option<State>,
    store: Option<StateStore>,
    now: DateTime<Utc>,
    meter: Meter,
}

/// The outcome of a request.
#[derive(Debug)]
pub struct RunOutcome {
    /// The result.
    pub result: ResultEnvelope,
    /// The state to commit after the result was written.
    pub state: PendingState,
}

impl From<ResultEnvelope> for RunOutcome {
    /// A result without a state to store.
    fn from(result: ResultEnvelope) -> Self {
        let state = PendingState::default();
        RunOutcome { result, state }
    }
}

impl Host {
    /// Opens a host. If the settings are invalid, each request returns the failure.
    pub fn open(settings: Settings, redactor: Redactor) -> Self {
        let platform = settings.identity_endpoint.as_ref();
        let header = platform.map(|platform| &platform.header);
        header
            .into_iter()
            .chain(&settings.vault_key)
            .for_each(|secret| redactor.register(secret));
        Host {
            opened: Opened::new(settings),
            redactor,
        }
    }

    /// A host whose settings could not be read.
    pub fn unusable(failure: Failure, redactor: Redactor) -> Self {
        Host {
            opened: Err(failure),
            redactor,
        }
    }

    /// The result of a request that could not be read.
    pub fn refuse(&self, failure: Failure) -> ResultEnvelope {
        ResultHead::of_unparsed(Instant::now()).rejected(failure, &self.redactor)
    }

    /// Locks the state of this key for several requests.
    ///
    /// Errors: `busy` if it is already locked; `invalid_input` without a usable state folder.
    pub fn lock_state(&self, key: &str) -> Result<StateLock, Failure> {
        state_store::lock(&self.opened()?.settings, key)
    }

    /// The catalog in use.
    pub fn catalog(&self) -> Result<&Catalog, Failure> {
        self.opened().map(|opened| &opened.catalog)
    }

    /// Adds file and line to a fault of a stored connection.
    fn located(&self, failure: Failure) -> Failure {
        let opened = self.opened.as_ref().ok();
        match opened.and_then(|opened| opened.settings.profiles.as_ref()) {
            Some(file) => file.fault("--profiles:", failure),
            None => failure,
        }
    }

    fn opened(&self) -> Result<&Opened, Failure> {
        self.opened.as_ref().map_err(Failure::clone)
    }

    /// Stages 1 to 4: reads the request, finds the command, binds and checks the parameters. Needs
    /// no runtime and no client, and sends nothing. A signal ends this check, and the later run.
    pub fn check(
        &self,
        request: &[u8],
        cancel: &Cancel,
    ) -> Result<Checked<'_>, Box<ResultEnvelope>> {
        self.check_changed(request, cancel, |_| {})
    }

    /// The same for a request that is changed after it was read.
    fn check_changed(
        &self,
        request: &[u8],
        cancel: &Cancel,
        change: impl FnOnce(&mut Envelope),
    ) -> Result<Checked<'_>, Box<ResultEnvelope>> {
        let redactor = self.redactor.for_request();
        let mut head = ResultHead::of_unparsed(Instant::now());
        let checked = self.try_check((request, cancel), change, (&mut head, &redactor));
        checked.map_err(|failure| Box::new(head.rejected(failure, &redactor)))
    }

    /// Every fault of a request, each at its place, without secrets. For authors' tools.
    pub fn faults(&self, request: &[u8]) -> Vec<Failure> {
        let redactor = self.redactor.for_request();
        let mut head = ResultHead::of_unparsed(Instant::now());
        let cancel = Cancel::default();
        let checked = self.try_check((request, &cancel), |_| {}, (&mut head, &redactor));
        let faults = checked.err().into_iter().flat_map(Failure::split);
        let redacted = |fault: Failure| fault.reworded_each(|_, words| redactor.redact_text(words));
        faults.map(redacted).collect()
    }

    fn try_check(
        &self,
        (request, cancel): (&[u8], &Cancel),
        change: impl FnOnce(&mut Envelope),
        (head, redactor): (&mut ResultHead, &Redactor),
    ) -> Result<Checked<'_>, Failure> {
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let (mut envelope, faults) = read(request, head)?;
            change(&mut envelope);
            let opened = self.opened()?;
            let flags = &opened.settings.flags;
            head.reproduction.flags.clone_from(flags);
            let preparation = Preparation {
                opened,
                redactor,
                cancel,
                faults,
            };
            preparation.run(envelope, head)
        }));
        match checked {
            Ok(checked) => checked.map_err(|failure| self.located(failure)),
            Err(_) => Err(internal()),
        }
    }

    /// Stages 5 to 8: run the operation, map, present, build the result and redact.
    pub async fn run(&self, mut checked: Checked<'_>) -> RunOutcome {
        let head = checked.head.clone();
        let store = checked.store.take();
        let opened = self.opened().ok();
        let vault = opened.and_then(|opened| opened.vault(&checked));
        let mut warnings = std::mem::take(&mut checked.warnings);
        warnings.extend(session::insecure_tls(&checked));
        let redactor = checked.redactor.clone();
        let deadline = checked.deadline.clone();
        let ran = AssertUnwindSafe(Box::pin(self.try_run(checked, vault.as_ref())))
            .catch_unwind()
            .await;
        let mut result = match ran {
            Ok(Ok(result)) => result,
            Ok(Err(failed)) => {
                let (failure, metrics) = *failed;
                head.failed(state_store::located(store.as_ref(), failure), metrics)
            }
            Err(_) => head.failed(internal(), Metrics::default()),
        };
        if let Some(vault) = vault {
            result.warnings.extend(vault.warnings());
        }
        result.warnings.extend(warnings);
        let search = deadline.stage("before the result was searched for secrets", redact::GRACE);
        if redact::redact(&mut result, &redactor, &|| search.check().is_err()).is_err() {
            let failure = search.check().err().unwrap_or_else(internal);
            result = head.failed(failure, Metrics::default());
            // Without the caller's `meta`, the result is short.
            result.meta = envelope::Meta::default();
            let _ = redact::redact(&mut result, &redactor, &|| false);
        }
        head.report(&result);
        let state = PendingState::after(store, &result);
        // What exceeds the size of a state is only stored beside it.
        let _ = result.state.as_mut().map(State::take_excess);
        RunOutcome { result, state }
    }

    async fn try_run(
        &self,
        checked: Checked<'_>,
        vault: Option<&Vault>,
    ) -> Result<ResultEnvelope, Box<(Failure, Metrics)>> {
        let uncounted = |failure| Box::new((failure, Metrics::default()));
        let opened = self.opened().map_err(uncounted)?;
        let session = opened.session(&checked).map_err(uncounted)?;
        let reply = session.run(&checked, vault).await;
        let metrics = session.metrics();
        if checked.envelope.options.dry_run {
            if let Err(failure) = reply
                && !is_dry_run(&failure)
            {
                return Err(Box::new((failure, metrics)));
            }
            return Ok(checked.head.dry_run(&session.requests(), metrics));
        }
        let reply = reply.map_err(|failure| Box::new((failure, metrics)))?;
        let limits = StageLimits::of_mapping(&checked.deadline, &opened.settings.memory);
        Ok(checked.into_result(reply, metrics, &limits))
    }
}

impl Opened {
    fn new(settings: Settings) -> Result<Self, Failure> {
        let operator_ca = match &settings.endpoints {
            None => None,
            // The request's cloud only changes audiences, so the file can be checked with any
            // cloud.
            Some(file) => {
                let cloud = Cloud::from_operator(&file.text, &Cloud::named(Cloud::DEFAULT)?);
                cloud
                    .map_err(|failure| file.fault("--endpoints", failure))?
                    .ca
            }
        };
        let profiles = settings.profiles.as_ref().map(|file| {
            Profiles::parse(&file.text).map_err(|failure| file.fault("--profiles", failure))
        });
        let profiles = profiles.transpose()?;
        let catalog = match &settings.catalog {
            None => Catalog::builtin()?,
            // Checks of requests do not depend on the faults of other files.
            Some(folder) if settings.storage == Storage::Unneeded => Catalog::read(folder)?.0,
            Some(folder) => Catalog::load(folder)?,
        };
        let profiles = profiles.unwrap_or_default();
        Ok(Opened {
            settings,
            catalog,
            profiles,
            operator_ca,
            net: session::Net::default(),
        })
    }

    /// The connection parameters and the command of the request.
    fn resolve<'a: 'e, 'e>(
        &'a self,
        envelope: &'e Envelope,
    ) -> Result<ResolvedRequest<'e, 'a>, Failure> {
        let connection = self.connection(envelope)?;
        let integration = connection.integration.as_deref();
        let target = self.catalog.find(integration, &envelope.command)?;
        Ok(ResolvedRequest { connection, target })
    }

    /// The integration, the connection parameters and their place.
    fn connection<'a>(&'a self, envelope: &'a Envelope) -> Result<RawParameters<'a>, Failure> {
        match &envelope.connection {
            envelope::Connection::Parameters(parameters) => Ok(RawParameters {
                integration: envelope.integration.clone(),
                parameters,
                at: "/connection".to_owned(),
            }),
            envelope::Connection::Profile(name) => {
                let profile = self.profiles.find(name)?;
                let named = envelope.integration.clone();
                let integration = named.unwrap_or_else(|| profile.integration.clone());
                Ok(RawParameters {
                    integration: Some(integration),
                    parameters: &profile.params,
                    at: format!("--profiles:/connections/{name}/params"),
                })
            }
        }
    }
}

/// Parses the envelope and updates `head` from it. Also returns the faults of its shape.
///
/// Errors: the request is so damaged that nothing else can be checked.
fn read(request: &[u8], head: &mut ResultHead) -> Result<(Envelope, Vec<Failure>), Failure> {
    let mut refused = match Envelope::parse(request) {
        Ok(envelope) => {
            *head = ResultHead::of(&envelope, head.started());
            return Ok((envelope, Vec::new()));
        }
        Err(refused) => refused,
    };
    let readable = refused.rest.take();
    if let Some(envelope) = &readable {
        *head = ResultHead::of(envelope, head.started());
        // Without its faulty members, the request would not fail in the same way.
        head.reproduction = Reproduction::default();
    }
    (head.id, head.meta) = (refused.id, refused.meta);
    match readable {
        Some(envelope) => Ok((*envelope, vec![refused.failure])),
        None => Err(refused.failure),
    }
}

/// Adds the faults at places that have none yet.
fn add_new(faults: &mut Vec<Failure>, found: Vec<Failure>) {
    let known: Vec<Option<String>> = faults
        .iter()
        .map(|fault| fault.place().map(str::to_owned))
        .collect();
    let is_new = |fault: &Failure| known.iter().all(|at| at.as_deref() != fault.place());
    faults.extend(found.into_iter().filter(is_new));
}

fn internal() -> Failure {
    Failure::new(ErrorKind::Internal, "Internal error (bug). See the log.")
}
