//! `simulate`: runs the simulator as a server on 127.0.0.1, and prints an endpoints file for it.
//!
//! It also checks world files for `validate`. It runs no command.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::TimeDelta;
use clap::Args;
use schemars::{Schema, schema_for};
use serde_json::Value;

use crate::front::cli::out::Out;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::{ExitResult, runtime, settings, signals};
use crate::json::document::position_of;
use crate::json::whitespace::indented;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{field_names, member_faults, name_of, strict_object, unreadable_at};
use crate::sim::{Clock, Listen, Sim, World};

/// Arguments of `simulate`.
#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// Use the tenants, applications, data and faults in this file (`soarhost schema world`), or the
    /// built-in world `attack_story` or `quiet_day`
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
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum ClockMode {
    /// Time passes, starting at `now` of the world, at `--now` or at the current time
    Running,
    /// Time does not pass: every answer can be repeated
    Still,
}

/// The schema of world files.
pub(super) fn world_schema() -> Schema {
    schema_for!(World)
}

/// Is it the name of a member of a world file?
pub(in crate::front) fn is_world_member(name: &str) -> bool {
    field_names::<World>().contains(&name)
}

/// Every fault of a world file, each at its pointer, in the order of the file.
pub(in crate::front) fn world_faults(text: &str) -> Vec<Failure> {
    let object = match strict_object(text) {
        Ok(object) => object,
        Err(failure) => return vec![failure],
    };
    let mut faults = member_faults::<World>(&object, ErrorKind::InvalidInput);
    let invalid = World::invalid_values(&Value::Object(object));
    // The rules of the world are narrower than the types of its schema and have better messages.
    faults.retain(|fault| {
        !invalid
            .iter()
            .any(|one| fault.place() == Some(&one.pointer))
    });
    faults.extend(invalid.into_iter().map(|one| {
        let message = format!("`{}` {}.", name_of(&one.pointer), one.message);
        Failure::invalid_input(one.pointer, message)
    }));
    if faults.is_empty()
        && let Err(error) = World::from_json(text)
    {
        return vec![Failure::invalid_input("", format!("{error:#}."))];
    }
    faults.sort_by_key(|fault| position_of(text, fault.place().unwrap_or_default()));
    faults
}

/// Reads a world file. Errors: all faults, each with file, line and column.
fn world(file: &Path) -> Result<World, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        failed(
            "--world",
            &format!("{} cannot be read: {error}", file.display()),
        )
    })?;
    let placed = |fault: Failure| {
        let pointer = fault.place().unwrap_or_default();
        let place = unreadable_at(&text).or_else(|| position_of(&text, pointer));
        let (line, column) = place.unwrap_or((1, 1));
        let place = format!("{}:{line}:{column}: {pointer}", file.display());
        fault.at(place.trim_end_matches(": "))
    };
    let faults: Vec<Failure> = world_faults(&text).into_iter().map(placed).collect();
    let count = faults.len();
    match Failure::join(faults) {
        Some(one) if count == 1 => Err(one),
        Some(all) => Err(all.reworded(format!("The file of --world has {count} faults."))),
        None => World::from_json(&text).map_err(|error| failed("--world", &format!("{error:#}"))),
    }
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn simulate(args: &SimulateArgs, operator: &SettingsArgs, out: &mut Out) -> ExitResult {
    let now = settings::clock(operator.now.as_deref())?.now();
    let mut world = match &args.world {
        None => {
            World::preset("default").map_err(|error| failed("--world", &format!("{error:#}")))?
        }
        Some(file) => match file.to_str().map(World::preset) {
            Some(Ok(preset)) if !file.exists() => preset,
            _ => world(file)?,
        },
    };
    world.now = world.now.or(Some(now));
    runtime()?.block_on(async {
        let listen = Listen {
            tls: !args.plain,
            port: args.port,
        };
        let sim = Sim::start_with_clock(world, listen, clock(args.clock))
            .await
            .map_err(|error| failed("--port", &format!("{error:#}")))?;
        writeln!(out, "{}", indented(&sim.endpoints().to_string()))?;
        out.finish()?;
        let cancel = signals::handle();
        let (endpoint, header) = sim.app_service();
        tracing::info!("managed identity of an app service: IDENTITY_ENDPOINT={endpoint} IDENTITY_HEADER={header}");
        tracing::info!("the simulator is ready; SIGINT stops it");
        cancel.wait().await;
        sim.stop().await;
        Ok(0)
    })
}

fn clock(mode: ClockMode) -> Clock {
    match mode {
        ClockMode::Still => Clock::Still,
        ClockMode::Running => {
            let start = Instant::now();
            // A longer time than a `TimeDelta` can represent never passes.
            Clock::running(move || TimeDelta::from_std(start.elapsed()).unwrap_or(TimeDelta::MAX))
        }
    }
}

fn failed(at: &str, why: &str) -> Failure {
    let message = format!("The simulator could not be started: {why}.");
    Failure::new(ErrorKind::InvalidInput, message).at(at)
}
