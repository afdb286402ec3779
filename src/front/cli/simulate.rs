//! `simulate`: the simulator as a server on loopback; prints an endpoints file for it.

use std::io::Write;
use std::time::Instant;

use chrono::TimeDelta;
use schemars::Schema;
use schemars::generate::SchemaSettings;

use crate::front::cli::args::{ClockMode, SettingsArgs, SimulateArgs};
use crate::front::cli::out::Out;
use crate::front::cli::{Ended, run, settings};
use crate::json::document::indented;
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{member_faults, strict_object};
use crate::sim::{Clock, Listen, Sim, World};

/// The schema of a world file.
pub(super) fn world_schema() -> Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<World>()
}

/// Every fault of a world file, each at its pointer.
pub(super) fn world_faults(text: &str) -> Vec<Failure> {
    let object = match strict_object(text) {
        Ok(object) => object,
        Err(failure) => return vec![failure],
    };
    let faults = member_faults::<World>(&object, ErrorKind::InvalidInput);
    if !faults.is_empty() {
        return faults;
    }
    let told = |error: anyhow::Error| Failure::invalid_input("", format!("{error:#}."));
    World::from_json(text).err().map(told).into_iter().collect()
}

/// Serves until SIGINT or SIGTERM.
pub(super) fn simulate(args: &SimulateArgs, operator: &SettingsArgs, out: &mut Out) -> Ended {
    let now = settings::clock(operator.now.as_deref())?.now();
    let world = match &args.world {
        None => World::preset("default"),
        Some(file) => std::fs::read_to_string(file)
            .map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", file.display()))
            .and_then(|text| match Failure::join(world_faults(&text)) {
                Some(failure) => Err(anyhow::anyhow!("{}: {failure}", file.display())),
                None => World::from_json(&text),
            }),
    };
    let mut world = world.map_err(|error| failed("--world", &error))?;
    world.now = world.now.or(Some(now));
    run::runtime()?.block_on(async {
        let listen = Listen {
            tls: !args.plain,
            port: args.port,
        };
        let sim = Sim::start_with_clock(world, listen, clock(args.clock))
            .await
            .map_err(|error| failed("--port", &error))?;
        writeln!(out, "{}", indented(&sim.endpoints().to_string()))?;
        out.finish()?;
        let cancel = run::listen();
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
            // More than a duration can hold does not pass.
            Clock::running(move || TimeDelta::from_std(start.elapsed()).unwrap_or(TimeDelta::MAX))
        }
    }
}

fn failed(at: &str, error: &anyhow::Error) -> Failure {
    let message = format!("The simulator could not be started: {error:#}.");
    Failure::new(ErrorKind::InvalidInput, message).at(at)
}
