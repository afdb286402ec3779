//! Stages 2 to 4 of a request: find the command, bind its parameters, open the connection.
//!
//! All faults of connection, inputs, mapping and state are found before the request is refused.
//! Sends nothing, and starts neither a runtime nor a client.

use serde_json::{Map, Value};

use crate::host::catalog::{Catalog, Target};
use crate::host::close::Head;
use crate::host::limits::Limits;
use crate::host::{
    Checked, Given, Opened, choice, connect, internal, permitted, secrets, session, state_dir,
};
use crate::manifest::bind::Request;
use crate::manifest::{Bound, CommandSpec};
use crate::mapping::{Definition, Mapping};
use crate::microsoft::Connection;
use crate::net::{Cancel, Deadline};
use crate::protocol::{Envelope, Failure, Redactor, State, Warning, Watch};

/// The most members of `connection` and of `inputs`.
const MAX_MEMBERS: usize = 1000;

/// What a request is prepared with.
pub(super) struct Preparation<'h, 'r> {
    pub(super) opened: &'h Opened,
    pub(super) redactor: &'r Redactor,
    pub(super) cancel: &'r Cancel,
    /// The faults of the request's shape.
    pub(super) faults: Vec<Failure>,
}

/// The parts of a request that was not refused.
struct Parts {
    bound: Bound,
    connection: Connection,
    warnings: Vec<Warning>,
    definition: Option<Definition>,
    state: Option<State>,
}

impl<'h> Preparation<'h, '_> {
    /// Prepares the request. Errors: every fault that was found.
    pub(super) fn run(
        mut self,
        envelope: Envelope,
        head: &mut Head,
    ) -> Result<Checked<'h>, Failure> {
        let (opened, redactor) = (self.opened, self.redactor.clone());
        let (given, target) = match opened.addressed(&envelope) {
            Ok(addressed) => addressed,
            Err(failure) => {
                self.faults.push(failure);
                return Err(Failure::join(self.faults).unwrap_or_else(internal));
            }
        };
        // Before anything else can be said about the request.
        secrets::register(target.manifest, given.parameters, self.redactor);
        secrets::register(target.manifest, &envelope.inputs, self.redactor);
        head.address(&target, given.parameters);
        let allowed = session::allowed(&envelope.options, target.command);
        let deadline = Deadline::since(head.started(), allowed, self.cancel);
        let limits = Limits::of_compiling(&deadline);
        let check = |made| limits.check(made);
        let watch = Watch::new(&check);
        let now = opened.settings.clock.now();
        let parts = self.parts(&envelope, &target, (&given, watch))?;
        let mapping = compiled(&opened.catalog, parts.definition, (target.command, watch))?;
        let context = choice::context(&opened.catalog, target.command)?;
        // The last check, because it makes a folder and takes a lock.
        let asker = format!("{}.{}", target.manifest.id, target.command.id);
        let position = state_dir::open(&opened.settings, &envelope.options, asker)?;
        let state = parts.state.or_else(|| position.as_ref()?.state().cloned());
        head.resume(state.as_ref());
        Ok(Checked {
            head: head.clone(),
            deadline,
            redactor,
            warnings: parts.warnings,
            bound: parts.bound,
            connection: Box::new(parts.connection),
            envelope,
            target,
            mapping,
            context,
            state,
            position,
            now,
        })
    }

    /// Connection, inputs, mapping and state together.
    fn parts(
        self,
        envelope: &Envelope,
        target: &Target<'_>,
        (given, watch): (&Given<'_>, Watch<'_>),
    ) -> Result<Parts, Failure> {
        let Preparation {
            opened, redactor, ..
        } = self;
        let mut excess = counted(given.parameters, &given.at);
        excess.extend(counted(&envelope.inputs, "/inputs"));
        if let Some(failure) = Failure::join(excess) {
            return Err(failure);
        }
        let mut faults = self.faults;
        let request = Request {
            connection: given.parameters,
            connection_at: &given.at,
            inputs: &envelope.inputs,
            now: opened.settings.clock.now(),
        };
        let resumes = envelope.state.is_some() || envelope.options.state_key.is_some();
        let (bound, found) = bind(target, request, resumes);
        faults.extend(found);
        let needs = target.operation.needs;
        let connection = connect::connection(needs, &bound, &opened.settings, redactor);
        let connection = connection.map_err(|found| {
            let is_new =
                |fault: &Failure| faults.iter().all(|known| known.place() != fault.place());
            let found: Vec<Failure> = found.into_iter().filter(is_new).collect();
            faults.extend(found);
        });
        let requested = choice::requested(&opened.catalog, envelope, (target.command, watch));
        let definition = collect(requested, &mut faults).flatten();
        let state = collect(envelope.read_state(), &mut faults).flatten();
        collect(state_dir::check(&opened.settings, envelope), &mut faults);
        let settings = &opened.settings;
        faults.extend(permitted::check(settings, envelope, target, &bound));
        match (Failure::join(faults), connection) {
            (None, Ok((connection, warnings))) => Ok(Parts {
                bound,
                connection,
                warnings,
                definition,
                state,
            }),
            (failure, _) => Err(failure.unwrap_or_else(internal)),
        }
    }
}

/// The mapping that was requested, or else the command's own.
fn compiled(
    catalog: &Catalog,
    requested: Option<Definition>,
    (command, watch): (&CommandSpec, Watch<'_>),
) -> Result<Option<Mapping>, Failure> {
    let definition = match requested {
        Some(requested) => Some(requested),
        None => choice::own(catalog, command)?,
    };
    definition
        .map(|definition| Mapping::compile_within(definition, "/mapping", watch))
        .transpose()
}

/// Binds the parameters and runs the operation's own checks. If inputs have faults already, only
/// the checks of single inputs count: a check of several needs all of them.
fn bind(target: &Target<'_>, request: Request<'_>, resumes: bool) -> (Bound, Vec<Failure>) {
    let accepts = |input: &str| target.operation.has_input(input);
    let parameters = &target.manifest.connection;
    let (bound, mut faults) = target.command.bind(parameters, request, accepts);
    let input = Value::Object(bound.input.clone());
    let checked = if resumes {
        target.operation.check_resumed(&input, request.now)
    } else {
        target.operation.check(&input, request.now)
    };
    if let Err(failure) = checked {
        let found = bound.located(failure).split().into_iter();
        let of_input = |fault: &Failure| fault.place().is_some_and(|at| at.starts_with("/inputs"));
        let whole = !faults.iter().any(of_input);
        let counts = |fault: &Failure| {
            whole || fault.broken_rule().is_none() && fault.place() != Some("/inputs")
        };
        let known: Vec<String> = faults
            .iter()
            .filter_map(Failure::place)
            .map(String::from)
            .collect();
        let is_new = |fault: &Failure| !known.iter().any(|at| Some(at.as_str()) == fault.place());
        faults.extend(found.filter(counts).filter(is_new));
    }
    (bound, faults)
}

/// Refuses an object with far more members than any command has: each is compared with all names.
fn counted(object: &Map<String, Value>, at: &str) -> Vec<Failure> {
    if object.len() <= MAX_MEMBERS {
        return Vec::new();
    }
    let given = object.len();
    let message = format!("There are {given} parameters; at most {MAX_MEMBERS} are allowed.");
    vec![Failure::invalid_input(at, message)]
}

fn collect<T>(outcome: Result<T, Failure>, faults: &mut Vec<Failure>) -> Option<T> {
    outcome.map_err(|failure| faults.push(failure)).ok()
}
