//! Stages 2 to 4 of a request: finds the command, binds its parameters, checks the connection.
//!
//! Reports all faults of connection, inputs, mapping and state at once. Sends nothing, and starts
//! neither a runtime nor a client.

use serde_json::{Map, Value};

use crate::host::catalog::{Catalog, Target};
use crate::host::limits::StageLimits;
use crate::host::result::ResultHead;
use crate::host::{
    Checked, Opened, ResolvedRequest, add_new, connect, internal, policy, requested_mapping,
    requested_rules, secrets, session, state_store,
};
use crate::manifest::bind::Request;
use crate::manifest::{Bound, CommandSpec};
use crate::mapping::{Definition, Mapping};
use crate::microsoft::Connection;
use crate::net::{Cancel, Deadline, Meter};
use crate::protocol::{Envelope, Failure, Redactor, State, Warning, Watch};
use crate::rules::RuleSet;

/// The largest number of members of `connection` and of `inputs`.
const MAX_MEMBERS: usize = 1000;

/// The preparation of one request.
pub(super) struct Preparation<'h, 'r> {
    pub(super) opened: &'h Opened,
    pub(super) redactor: &'r Redactor,
    pub(super) cancel: &'r Cancel,
    /// The faults of the envelope.
    pub(super) faults: Vec<Failure>,
}

/// The checked parts of a request.
struct CheckedParts {
    bound: Bound,
    connection: Connection,
    warnings: Vec<Warning>,
    definition: Option<Definition>,
    rules: Option<Box<RuleSet>>,
    state: Option<State>,
}

impl<'h> Preparation<'h, '_> {
    /// Prepares the request. Errors: every fault.
    pub(super) fn run(
        mut self,
        envelope: Envelope,
        head: &mut ResultHead,
    ) -> Result<Checked<'h>, Failure> {
        let (opened, redactor) = (self.opened, self.redactor.clone());
        let resolved = match opened.resolve(&envelope) {
            Ok(resolved) => resolved,
            Err(failure) => {
                self.faults.push(failure);
                return Err(Failure::join(self.faults).unwrap_or_else(internal));
            }
        };
        let ResolvedRequest { connection, target } = &resolved;
        // Before all checks, because their messages can quote the request.
        secrets::register(target.manifest, connection.parameters, self.redactor);
        secrets::register(target.manifest, &envelope.inputs, self.redactor);
        head.set_command(target, connection.parameters);
        let time_limit = session::time_limit(&envelope.options, target.command);
        let deadline = Deadline::since(head.started(), time_limit, self.cancel);
        let limits = StageLimits::of_compiling(&deadline);
        let check = |made| limits.check(made);
        let watch = Watch::new(&check);
        let now = opened.settings.clock.now();
        let parts = self.parts(&envelope, &resolved, watch)?;
        let mapping = compiled(&opened.catalog, parts.definition, target.command, watch)?;
        let context = requested_mapping::context(&opened.catalog, target.command)?;
        // The last check, because it creates a folder and takes a lock.
        let command = format!("{}.{}", target.manifest.id, target.command.id);
        let store = state_store::open(&opened.settings, &envelope.options, command)?;
        let state = parts.state.or_else(|| store.as_ref()?.state().cloned());
        head.set_state(state.as_ref());
        Ok(Checked {
            head: head.clone(),
            deadline,
            redactor,
            warnings: parts.warnings,
            bound: parts.bound,
            connection: Box::new(parts.connection),
            envelope,
            target: *target,
            mapping,
            context,
            rules: parts.rules,
            state,
            store,
            now,
            meter: Meter::default(),
        })
    }

    /// Checks connection, inputs, mapping and state together.
    fn parts(
        self,
        envelope: &Envelope,
        resolved: &ResolvedRequest<'_, '_>,
        watch: Watch<'_>,
    ) -> Result<CheckedParts, Failure> {
        let ResolvedRequest {
            connection: raw,
            target,
        } = resolved;
        let opened = self.opened;
        let (settings, catalog) = (&opened.settings, &opened.catalog);
        let mut too_many = check_count(raw.parameters, &raw.at);
        too_many.extend(check_count(&envelope.inputs, "/inputs"));
        if let Some(failure) = Failure::join(too_many) {
            return Err(failure);
        }
        let mut faults = self.faults;
        let request = Request {
            connection: raw.parameters,
            connection_at: &raw.at,
            inputs: &envelope.inputs,
            now: settings.clock.now(),
        };
        let resumes = envelope.state.is_some() || envelope.options.state_key.is_some();
        let (bound, found) = bind(target, request, resumes);
        faults.extend(found);
        let needs = target.operation.needs;
        let connection = connect::connection(needs, &bound, settings, self.redactor);
        let connection = connection.map_err(|found| add_new(&mut faults, found));
        let requested = requested_mapping::requested(catalog, envelope, target.command, watch);
        let definition = collect(requested, &mut faults).flatten();
        let rules = requested_rules::compiled(catalog, target.command, &bound);
        let rules = collect(rules, &mut faults).flatten();
        let state = collect(envelope.read_state(), &mut faults).flatten();
        collect(state_store::check(settings, envelope), &mut faults);
        faults.extend(policy::check(settings, envelope, target, &bound));
        match (Failure::join(faults), connection) {
            (None, Ok((connection, warnings))) => Ok(CheckedParts {
                bound,
                connection,
                warnings,
                definition,
                rules,
                state,
            }),
            (failure, _) => Err(failure.unwrap_or_else(internal)),
        }
    }
}

/// Compiles the requested mapping, or the command's default mapping.
fn compiled(
    catalog: &Catalog,
    requested: Option<Definition>,
    command: &CommandSpec,
    watch: Watch<'_>,
) -> Result<Option<Mapping>, Failure> {
    let definition = match requested {
        Some(requested) => Some(requested),
        None => requested_mapping::default(catalog, command)?,
    };
    definition
        .map(|definition| Mapping::compile_within(definition, "/mapping", watch))
        .transpose()
}

/// Binds the parameters and runs the operation's checks. If an input is invalid, faults of rules
/// about several inputs are dropped, because these rules need all inputs.
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
        let are_bound = !faults.iter().any(of_input);
        let is_reported = |fault: &Failure| {
            are_bound || fault.broken_rule().is_none() && fault.place() != Some("/inputs")
        };
        let found = found.filter(is_reported).collect();
        add_new(&mut faults, found);
    }
    (bound, faults)
}

/// Rejects an object with too many members: each member is compared with the names of all
/// parameters.
fn check_count(object: &Map<String, Value>, at: &str) -> Vec<Failure> {
    if object.len() <= MAX_MEMBERS {
        return Vec::new();
    }
    let count = object.len();
    let message = format!("There are {count} parameters; at most {MAX_MEMBERS} are allowed.");
    vec![Failure::invalid_input(at, message)]
}

fn collect<T>(outcome: Result<T, Failure>, faults: &mut Vec<Failure>) -> Option<T> {
    outcome.map_err(|failure| faults.push(failure)).ok()
}
