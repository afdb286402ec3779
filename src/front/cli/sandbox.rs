//! The simulator inside this process, for `run --sandbox`, `poll --sandbox` and `try`.
//!
//! The host receives an endpoints file, as from an operator.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use crate::clock::Clock;
use crate::front::cli::settings::SettingsArgs;
use crate::front::cli::{runtime, settings};
use crate::host::{Host, Settings, Storage};
use crate::protocol::failure::{ErrorKind, Failure};
use crate::protocol::{Redactor, Secret};
use crate::sim::{Alerts, Listen, Sim, World};

/// The value of references to variables that are not set. The simulator accepts any value.
const ANY_SECRET: &str = "any-secret-will-do-in-the-sandbox";

/// The number of alerts: enough for results in any window of the week.
const MANY_ALERTS: usize = 200;

/// Creates the simulated world for this time.
type MakeWorld = Box<dyn FnOnce(DateTime<Utc>) -> anyhow::Result<World> + Send>;

/// The default world, with more alerts.
fn many_alerts(now: DateTime<Utc>) -> anyhow::Result<World> {
    let alerts = Alerts {
        count: Some(MANY_ALERTS),
        ..Alerts::default()
    };
    Ok(World {
        now: Some(now),
        alerts,
        ..World::preset("default")?
    })
}

/// A simulator on its own thread, stopped when this is dropped.
pub(super) struct Sandbox {
    endpoints: String,
    /// A state folder that is deleted with the sandbox.
    folder: Option<PathBuf>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Sandbox {
    fn start(clock: Clock, world: MakeWorld) -> Result<Self, Failure> {
        let (started, starting) = std::sync::mpsc::channel();
        let (stop, stopping) = tokio::sync::oneshot::channel();
        let now = clock.now();
        let thread = std::thread::spawn(move || serve(world(now), &started, stopping));
        let endpoints = starting
            .recv()
            .map_err(|_| failed("it ended before it listened"))
            .and_then(|started| started.map_err(|error| failed(&format!("{error:#}"))))?;
        Ok(Sandbox {
            endpoints,
            folder: None,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is dropped only if the simulator has ended.
            let _ = stop.send(());
        }
        if let Some(folder) = self.folder.take() {
            // A folder without a stored token was never created.
            let _ = std::fs::remove_dir_all(folder);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn failed(why: &str) -> Failure {
    Failure::new(
        ErrorKind::Internal,
        format!("The simulator could not be started: {why}."),
    )
}

type Started = std::sync::mpsc::Sender<anyhow::Result<String>>;

fn serve(
    world: anyhow::Result<World>,
    started: &Started,
    stopping: tokio::sync::oneshot::Receiver<()>,
) {
    let Ok(runtime) = runtime() else { return };
    runtime.block_on(async {
        let sim = match world {
            Ok(world) => Sim::start(world, Listen::default()).await,
            Err(error) => Err(error),
        };
        match sim {
            Err(error) => drop(started.send(Err(error))),
            Ok(sim) => {
                if started.send(Ok(sim.endpoints().to_string())).is_ok() {
                    // An error means that the sender was dropped, which also means to stop.
                    let _ = stopping.await;
                }
                sim.stop().await;
            }
        }
    });
}

/// A simulator, and a host that uses it.
pub(super) fn host(args: &SettingsArgs, redactor: &Redactor) -> Result<(Sandbox, Host), Failure> {
    let (sandbox, settings) = open(args, Box::new(many_alerts))?;
    Ok((sandbox, Host::open(settings, redactor.clone())))
}

/// The same with the data of `try` or of a built-in world, and a state folder of its own for
/// sign-ins in two runs.
pub(super) fn demo(
    world: Option<&str>,
    args: &SettingsArgs,
    redactor: &Redactor,
) -> Result<(Sandbox, Host), Failure> {
    let make: MakeWorld = match world.map(World::preset) {
        None => Box::new(World::demo),
        Some(Err(error)) => {
            let message = format!("`--world` is not valid: {error:#}.");
            return Err(Failure::invalid_input("--world", message));
        }
        Some(Ok(world)) => Box::new(move |now| {
            Ok(World {
                now: Some(now),
                ..world
            })
        }),
    };
    let (mut sandbox, mut settings) = open(args, make)?;
    let folder = std::env::temp_dir().join(format!("soarhost-try-{}", std::process::id()));
    sandbox.folder = Some(folder.clone());
    settings.state = Some(folder);
    settings.storage = Storage::Full;
    Ok((sandbox, Host::open(settings, redactor.clone())))
}

fn open(args: &SettingsArgs, world: MakeWorld) -> Result<(Sandbox, Settings), Failure> {
    let mut settings: Settings = settings::settings(args)?;
    let sandbox = Sandbox::start(settings.clock, world)?;
    settings.endpoints = Some(sandbox.endpoints.clone().into());
    settings.direct = true;
    // The next sandbox is another simulator and does not accept these tokens.
    settings.storage = Storage::StatesOnly;
    settings.allowed.placeholder = Some(Secret::new(ANY_SECRET));
    Ok((sandbox, settings))
}
