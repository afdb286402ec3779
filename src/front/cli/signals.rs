//! SIGTERM and SIGINT: the first stops the run with a result, a second ends the process at once.
//!
//! Signals are handled on their own thread, because a slow reader of stdout can block the main
//! thread.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal as Receiver, SignalKind, signal};

use crate::host::Cancel;
use crate::protocol::Signal;

/// Handles signals from now on.
pub(super) fn handle() -> Cancel {
    let cancel = Cancel::default();
    handle_with(&cancel);
    cancel
}

/// Handles signals from now on: the first one raises `cancel`.
pub(super) fn handle_with(cancel: &Cancel) {
    let raised = cancel.clone();
    let thread = std::thread::Builder::new().name("signals".to_owned());
    let started = receivers().and_then(|(runtime, terminate, interrupt)| {
        thread.spawn(move || runtime.block_on(receive(terminate, interrupt, &raised)))
    });
    if let Err(error) = started {
        tracing::warn!("signals cannot be handled and will end the run without a result: {error}");
    }
}

/// Installs the handlers: when this returns, no signal is lost.
fn receivers() -> io::Result<(Runtime, Receiver, Receiver)> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let context = runtime.enter();
    let terminate = signal(SignalKind::terminate())?;
    let interrupt = signal(SignalKind::interrupt())?;
    drop(context);
    Ok((runtime, terminate, interrupt))
}

async fn receive(mut terminate: Receiver, mut interrupt: Receiver, cancel: &Cancel) {
    loop {
        let signal = tokio::select! {
            Some(()) = terminate.recv() => Signal::Terminate,
            Some(()) = interrupt.recv() => Signal::Interrupt,
            else => return,
        };
        if !cancel.raise(signal) {
            end_process(signal.exit_code());
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the main thread can be blocked")]
fn end_process(code: u8) {
    std::process::exit(code.into());
}
