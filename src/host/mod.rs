//! The host: turns the bytes of one request into one result. It always returns a result.
//!
//! [`Host::check`] does everything that needs no runtime, no client and no network. An invalid request
//! ends there. [`Host::run`] does everything else. Both return a [`ResultEnvelope`] for every failure,
//! and for a panic. The state to store is returned with the result: the caller commits it after the
//! result was written.

pub mod catalog;
mod check;
mod choice;
mod close;
mod connect;
mod face;
mod limits;
mod operator_file;
mod permitted;
mod prepare;
mod private_file;
pub mod profiles;
mod redact;
mod report;
pub mod secrets;
mod session;
mod state_dir;
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
use crate::net::transcript::is_rehearsal;
use crate::protocol::envelope;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Envelope, Redactor, ResultEnvelope, Secret, State, Warning};
use catalog::{Catalog, Target};
use close::Head;
use limits::Limits;
use prepare::Preparation;
use profiles::Profiles;
use secrets::AllowList;
use state_dir::Position;
use vault::Vault;

use crate::net::Deadline;
pub use crate::net::{Cancel, MemoryBudget, Pace};
pub use operator_file::OperatorFile;
pub use permitted::Forbidden;
pub use state_dir::{Held, Keep};

/// How long a command may take where neither request nor manifest says.
const TIMEOUT: Duration = Duration::from_mins(1);

/// What the operator decides; no request can.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The service addresses to use instead of Microsoft's.
    pub endpoints: Option<OperatorFile>,
    /// Additional trust roots: a PEM file, read when a client is first needed.
    pub roots: Option<PathBuf>,
    /// Trust the machine's roots too.
    pub system_roots: bool,
    /// A catalog folder instead of what is compiled in.
    pub catalog: Option<PathBuf>,
    /// Stored connections.
    pub profiles: Option<OperatorFile>,
    /// The folder for what is kept between runs; none: nothing is. Made when it is first needed.
    pub state: Option<PathBuf>,
    /// Keep tokens there too, not only the states that requests name.
    pub keeps_tokens: bool,
    /// What tokens without a credential of their own are sealed with; none: a key is made in the
    /// state folder.
    pub vault_key: Option<Secret>,
    /// Where an application platform answers for the identity of this machine.
    pub identity_endpoint: Option<IdentityEndpoint>,
    /// What secret references may reach.
    pub allowed: AllowList,
    /// What requests must not use.
    pub forbidden: Forbidden,
    /// Where the time of day comes from.
    pub clock: Clock,
    /// Never through a proxy, whatever the environment says.
    pub direct: bool,
    /// How patiently requests are repeated.
    pub pace: Pace,
    /// The memory that each run may use for what services send.
    pub memory: MemoryBudget,
    /// The settings as flags for a shell, each after a blank, to reproduce a run.
    pub flags: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            endpoints: None,
            roots: None,
            system_roots: false,
            catalog: None,
            profiles: None,
            state: None,
            keeps_tokens: true,
            vault_key: None,
            identity_endpoint: None,
            allowed: AllowList::default(),
            forbidden: Forbidden::default(),
            clock: Clock::System,
            direct: false,
            pace: Pace::default(),
            memory: MemoryBudget::default(),
            flags: String::new(),
        }
    }
}

impl Settings {
    /// Is there a place for tokens beyond the run?
    fn keeps_tokens(&self) -> bool {
        self.keeps_tokens && self.state.is_some()
    }
}

/// Carries out commands.
#[derive(Debug)]
pub struct Host {
    opened: Result<Opened, Failure>,
    redactor: Redactor,
}

/// The connection parameters of a request, and the integration that they are for.
struct Given<'a> {
    integration: Option<String>,
    parameters: &'a Map<String, Value>,
    at: String,
}

#[derive(Debug)]
struct Opened {
    settings: Settings,
    catalog: Catalog,
    profiles: Profiles,
    operator_ca: Option<String>,
    net: session::Net,
}

/// A request that passed every check: nothing was sent yet.
#[derive(Debug)]
pub struct Checked<'a> {
    head: Head,
    deadline: Deadline,
    redactor: Redactor,
    warnings: Vec<Warning>,
    envelope: Envelope,
    target: Target<'a>,
    bound: Bound,
    mapping: Option<Mapping>,
    context: Option<Mapping>,
    connection: Box<Connection>,
    state: Option<State>,
    position: Option<Position>,
    now: DateTime<Utc>,
}

/// What came of a request.
#[derive(Debug)]
pub struct Ran {
    /// The answer.
    pub result: ResultEnvelope,
    /// What is to be kept, once the answer was written out.
    pub keep: Keep,
}

impl From<ResultEnvelope> for Ran {
    /// An answer with nothing to keep.
    fn from(result: ResultEnvelope) -> Self {
        let keep = Keep::default();
        Ran { result, keep }
    }
}

impl Host {
    /// Opens a host. Settings that are wrong do not fail here: every request is answered with them.
    pub fn open(settings: Settings, redactor: Redactor) -> Self {
        let platform = settings.identity_endpoint.as_ref();
        let own = platform.map(|platform| &platform.header);
        own.into_iter()
            .chain(&settings.vault_key)
            .for_each(|secret| redactor.register(secret));
        Host {
            opened: Opened::new(settings),
            redactor,
        }
    }

    /// A host whose settings could not even be read.
    pub fn unusable(failure: Failure, redactor: Redactor) -> Self {
        Host {
            opened: Err(failure),
            redactor,
        }
    }

    /// The result of a request that could not be read.
    pub fn refuse(&self, failure: Failure) -> ResultEnvelope {
        Head::unread(Instant::now()).refuse(failure, &self.redactor)
    }

    /// Holds the state of that key for a caller that runs several requests on it.
    ///
    /// Errors: `busy` if another caller holds it; `invalid_input` without a usable state folder.
    pub fn hold(&self, key: &str) -> Result<Held, Failure> {
        state_dir::hold(&self.opened()?.settings, key)
    }

    /// What there is.
    pub fn catalog(&self) -> Result<&Catalog, Failure> {
        self.opened().map(|opened| &opened.catalog)
    }

    /// The failure; a fault of a stored connection names the file and the line.
    fn placed(&self, failure: Failure) -> Failure {
        let opened = self.opened.as_ref().ok();
        match opened.and_then(|opened| opened.settings.profiles.as_ref()) {
            Some(file) => file.fault("--profiles:", failure),
            None => failure,
        }
    }

    fn opened(&self) -> Result<&Opened, Failure> {
        self.opened.as_ref().map_err(Failure::clone)
    }

    /// Stages 1 to 4: reads the request, finds the command, binds and checks the parameters. Needs no
    /// runtime and no client, and sends nothing. A signal ends the check, and later the run.
    pub fn check(
        &self,
        request: &[u8],
        cancel: &Cancel,
    ) -> Result<Checked<'_>, Box<ResultEnvelope>> {
        let started = Instant::now();
        let redactor = self.redactor.for_request();
        let mut head = Head::unread(started);
        let checked = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let (envelope, faults) = read(request, &mut head)?;
            let opened = self.opened()?;
            let flags = &opened.settings.flags;
            head.reproduction.flags.clone_from(flags);
            let preparation = Preparation {
                opened,
                redactor: &redactor,
                cancel,
                faults,
            };
            preparation.run(envelope, &mut head)
        }));
        let failure = match checked {
            Ok(Ok(checked)) => return Ok(checked),
            Ok(Err(failure)) => self.placed(failure),
            Err(_) => internal(),
        };
        Err(Box::new(head.refuse(failure, &redactor)))
    }

    /// Stages 5 to 8: run the operation, map, present, close and redact.
    pub async fn run(&self, mut checked: Checked<'_>) -> Ran {
        let head = checked.head.clone();
        let position = checked.position.take();
        let vault = self.opened().ok().and_then(|own| own.vault(&checked));
        let mut warnings = std::mem::take(&mut checked.warnings);
        warnings.extend(session::insecure_tls(&checked));
        let redactor = checked.redactor.clone();
        let deadline = checked.deadline.clone();
        let ran = AssertUnwindSafe(self.try_run(checked, vault.as_ref()))
            .catch_unwind()
            .await;
        let mut result = match ran {
            Ok(Ok(result)) => result,
            Ok(Err(failed)) => {
                let (failure, counts) = *failed;
                head.fail(state_dir::blame(position.as_ref(), failure), counts)
            }
            Err(_) => head.fail(internal(), close::Counts::default()),
        };
        if let Some(vault) = vault {
            result.warnings.extend(vault.warnings());
        }
        result.warnings.extend(warnings);
        let search = deadline.stage("before the result was searched for secrets", redact::GRACE);
        if redact::redact(&mut result, &redactor, &|| search.check().is_err()).is_err() {
            let failure = search.check().err().unwrap_or_else(internal);
            result = head.fail(failure, close::Counts::default());
            // Without the caller's `meta`, the result is short.
            result.meta = envelope::Meta::default();
            let _ = redact::redact(&mut result, &redactor, &|| false);
        }
        head.report(&result);
        let keep = Keep::after(position, &result);
        Ran { result, keep }
    }

    async fn try_run(
        &self,
        checked: Checked<'_>,
        vault: Option<&Vault>,
    ) -> Result<ResultEnvelope, Box<(Failure, close::Counts)>> {
        let bare = |failure| Box::new((failure, close::Counts::default()));
        let opened = self.opened().map_err(bare)?;
        let session = opened.session(&checked).map_err(bare)?;
        let reply = session.carry_out(&checked, vault).await;
        let counts = session.counts();
        if checked.envelope.options.dry_run {
            if let Err(failure) = reply
                && !is_rehearsal(&failure)
            {
                return Err(Box::new((failure, counts)));
            }
            return Ok(checked.head.dry_run(&session.requests(), counts));
        }
        let reply = reply.map_err(|failure| Box::new((failure, counts)))?;
        let limits = Limits::of_mapping(&checked.deadline, &opened.settings.memory);
        Ok(checked.close(reply, counts, &limits))
    }
}

impl Opened {
    fn new(settings: Settings) -> Result<Self, Failure> {
        let operator_ca = match &settings.endpoints {
            None => None,
            // Which cloud a request names matters only for audiences; any shows whether it reads.
            Some(file) => {
                let cloud = Cloud::from_operator(&file.text, &Cloud::named("commercial")?);
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

    /// The connection that was given, and the command that it is for.
    fn addressed<'a: 'e, 'e>(
        &'a self,
        envelope: &'e Envelope,
    ) -> Result<(Given<'e>, Target<'a>), Failure> {
        let given = self.connection(envelope)?;
        let integration = given.integration.as_deref();
        let target = self.catalog.find(integration, &envelope.command)?;
        Ok((given, target))
    }

    /// The integration that was named, the parameters, and where they stand.
    fn connection<'a>(&'a self, envelope: &'a Envelope) -> Result<Given<'a>, Failure> {
        match &envelope.connection {
            envelope::Connection::Parameters(parameters) => Ok(Given {
                integration: envelope.integration.clone(),
                parameters,
                at: "/connection".to_owned(),
            }),
            envelope::Connection::Profile(name) => {
                let profile = self.profiles.find(name)?;
                let named = envelope.integration.clone();
                let integration = named.unwrap_or_else(|| profile.integration.clone());
                Ok(Given {
                    integration: Some(integration),
                    parameters: &profile.params,
                    at: format!("--profiles:/connections/{name}/params"),
                })
            }
        }
    }
}

/// The envelope, with the facts about it in `head`, and the faults of its shape. Errors: the failure
/// of a request from which nothing can be checked.
fn read(request: &[u8], head: &mut Head) -> Result<(Envelope, Vec<Failure>), Failure> {
    let mut refused = match Envelope::parse(request) {
        Ok(envelope) => {
            *head = Head::new(&envelope, head.started());
            return Ok((envelope, Vec::new()));
        }
        Err(refused) => refused,
    };
    let readable = refused.rest.take();
    if let Some(envelope) = &readable {
        *head = Head::new(envelope, head.started());
    }
    (head.id, head.meta) = (refused.id, refused.meta);
    match readable {
        Some(envelope) => Ok((*envelope, vec![refused.failure])),
        None => Err(refused.failure),
    }
}

fn internal() -> Failure {
    Failure::new(ErrorKind::Internal, "Internal error (bug). See the log.")
}
