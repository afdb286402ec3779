//! The progress line: how far long work is, on stderr, only if stderr is a terminal.
//!
//! With `--log-level off` or `--log-format json` there is no line, and work that ends within half a
//! second has none. A line of the log hides it while it is written. Does not count: the caller
//! does.

use std::cell::Cell;
use std::fmt::Display;
use std::future::Future;
use std::io::{IsTerminal, stderr};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::front::cli::out::Out;
use crate::front::cli::settings::{LogFormat, LogLevel, SettingsArgs};
use crate::front::counted;
use crate::net::Usage;

/// Shorter work has no line.
const DELAY: Duration = Duration::from_millis(500);

/// How often the line is drawn.
const INTERVAL: Duration = Duration::from_millis(100);

/// The line on the terminal, which the log hides while it writes.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// The progress of one piece of work. The line disappears when this is dropped.
pub struct Progress {
    /// None: no line.
    bar: Option<ProgressBar>,
    label: &'static str,
    started: Instant,
    next: Cell<Duration>,
}

impl Progress {
    /// The progress of work that prints its data at the end. `label` begins the line.
    pub(super) fn start(settings: &SettingsArgs, label: &'static str) -> Self {
        let is_wanted = settings.log_level != Some(LogLevel::Off)
            && settings.log_format == LogFormat::Text
            && stderr().is_terminal();
        Progress {
            bar: is_wanted.then(ProgressBar::hidden),
            label,
            started: Instant::now(),
            next: Cell::new(DELAY),
        }
    }

    /// Progress without a line.
    pub(super) fn none() -> Self {
        Progress {
            bar: None,
            label: "",
            started: Instant::now(),
            next: Cell::new(DELAY),
        }
    }

    /// The progress of work that prints data while it runs: there is no line if stdout is a
    /// terminal, because the data would be mixed with it.
    pub(super) fn beside(out: &Out, settings: &SettingsArgs, label: &'static str) -> Self {
        let mut progress = Progress::start(settings, label);
        if out.is_terminal() {
            progress.bar = None;
        }
        progress
    }

    /// Shows how many of these things were processed, and how many per second.
    pub(super) fn set(&self, count: u64, things: &str) {
        self.show(|elapsed| rate(count, things, elapsed));
    }

    /// Shows this text.
    fn show(&self, text: impl FnOnce(Duration) -> String) {
        let Some(bar) = &self.bar else { return };
        let elapsed = self.started.elapsed();
        if elapsed < self.next.get() {
            return;
        }
        self.next.set(elapsed + INTERVAL);
        if bar.is_hidden() {
            // The template is fixed, and a test draws it.
            if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
                bar.set_style(style);
            }
            bar.set_draw_target(ProgressDrawTarget::stderr());
            *shown() = Some(bar.clone());
        }
        bar.set_message(line(self.label, text(elapsed), elapsed));
    }

    /// Waits for the work, and shows this text meanwhile.
    pub(in crate::front) async fn during<T>(
        &self,
        work: impl Future<Output = T>,
        text: impl Fn() -> String,
    ) -> T {
        if self.bar.is_none() {
            return work.await;
        }
        let mut work = pin!(work);
        loop {
            match tokio::time::timeout(INTERVAL, &mut work).await {
                Ok(output) => return output,
                Err(_) => self.show(|_| text()),
            }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            *shown() = None;
            bar.finish_and_clear();
        }
    }
}

/// Writes to the terminal while the line is hidden.
pub(super) fn hidden_while<T>(write: impl FnOnce() -> T) -> T {
    match &*shown() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn line(label: &str, text: impl Display, elapsed: Duration) -> String {
    format!("{label}: {text}, {} s", elapsed.as_secs())
}

fn rate(count: u64, things: &str, elapsed: Duration) -> String {
    let milliseconds = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let rate = count.saturating_mul(1000) / milliseconds.max(1);
    format!("{} {things}, {}/s", HumanCount(count), HumanCount(rate))
}

/// A run's activity, and its requests, retries and bytes so far.
pub(in crate::front) fn usage(usage: Usage) -> String {
    let activity = match usage.activity {
        "" => String::new(),
        activity => format!("{activity}, "),
    };
    let requests = counted(usage.calls, "request");
    let retries = match usage.retries {
        0 => String::new(),
        retries => format!(" ({retries} repeated)"),
    };
    let bytes = BinaryBytes(usage.bytes_received);
    format!("{activity}{requests}{retries}, {bytes}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_has_label_count_rate_and_time() {
        let elapsed = Duration::from_millis(4_100);
        let text = rate(51_250, "records", elapsed);
        assert_eq!(
            line("Mapping", text, elapsed),
            "Mapping: 51,250 records, 12,500/s, 4 s"
        );
        assert_eq!(rate(7, "records", Duration::ZERO), "7 records, 7,000/s");
    }

    #[test]
    fn usage_is_activity_requests_and_bytes() {
        let first = Usage {
            calls: 1,
            ..Usage::default()
        };
        assert_eq!(usage(first), "1 request, 0 B");
        let later = Usage {
            activity: "sign-in",
            calls: 12,
            retries: 3,
            bytes_received: 4_404_019,
            ..first
        };
        assert_eq!(usage(later), "sign-in, 12 requests (3 repeated), 4.20 MiB");
    }

    #[test]
    fn without_a_terminal_there_is_no_line() {
        // The test harness captures stderr only of `print` macros, so it can be a terminal.
        let quiet = SettingsArgs {
            log_level: Some(LogLevel::Off),
            ..SettingsArgs::default()
        };
        let json = SettingsArgs {
            log_format: LogFormat::Json,
            ..SettingsArgs::default()
        };
        for settings in [quiet, json] {
            assert!(Progress::start(&settings, "Work").bar.is_none());
        }
        let is_shown = Progress::start(&SettingsArgs::default(), "Work")
            .bar
            .is_some();
        assert_eq!(is_shown, stderr().is_terminal());
    }
}
