//! Stored states, by `state_key`, for callers that cannot store them.
//!
//! One run at a time uses a key. It is locked after all checks, before anything is sent, until the
//! new state is stored. The state is stored after the result was written, so that it never covers
//! records that were not delivered. A damaged file, or the file of another command, is a failure:
//! without the state, all records would be delivered again. If a complete run has no state, the
//! stored state is deleted. Does not interpret states.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::host::private_file::{self, Lock};
use crate::host::{Checked, Settings, Storage};
use crate::identity::sha256;
use crate::protocol::envelope::Options;
use crate::protocol::result::ReturnData;
use crate::protocol::{Envelope, ErrorKind, Failure, ResultEnvelope, State, state};

/// The place of the key in a request.
const AT: &str = "/options/state_key";

/// A file of the state folder.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StateFile {
    state_key: String,
    /// The command that stored it: `integration.command`.
    command: String,
    state: State,
    /// What detection rules remember, if the state would be too large with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules: Option<Value>,
}

/// The stored state of one key, locked for one run.
#[derive(Debug)]
pub(super) struct StateStore {
    name: String,
    command: String,
    file: PathBuf,
    /// `None` in a dry run, which stores nothing.
    lock: Option<Lock>,
    stored: Option<State>,
}

/// The state to store after the result of a run was written, or `None` to delete the stored one. If
/// it is dropped, the stored state does not change.
#[derive(Debug, Default)]
#[must_use = "commit it when the result was written out"]
pub struct PendingState(Option<(StateStore, Option<State>)>);

/// The lock on a state for several runs.
#[derive(Debug)]
#[must_use = "dropping it unlocks the state"]
pub struct StateLock(#[expect(dead_code, reason = "the open file is the lock")] Lock);

/// Locks a state for several runs. Each run locks another file in addition.
pub(super) fn lock(settings: &Settings, key: &str) -> Result<StateLock, Failure> {
    let Some(folder) = &settings.state else {
        return Err(Failure::invalid_input(
            "--state",
            "This host has no state folder.",
        ));
    };
    let unusable = |error| unusable(folder, &error);
    let folder = folder.join("state");
    private_file::folder(&folder).map_err(unusable)?;
    let file = folder.join(format!("{}-held", sha256(key.as_bytes())));
    let lock = Lock::try_lock(&file).map_err(unusable)?;
    lock.map(StateLock).ok_or_else(|| {
        Failure::new(ErrorKind::Busy, "Another poll uses the same state.")
            .cause("Polls of one command with the same connection and content types share a state.")
            .advice("Wait until that poll has ended, or set another `options.state_key` in this request.")
    })
}

impl Checked<'_> {
    /// True if the command maps records to events.
    pub fn makes_events(&self) -> bool {
        self.mapping.is_some()
    }

    /// True if the command evaluates detection rules.
    pub fn makes_alerts(&self) -> bool {
        self.rules.is_some()
    }

    /// The request's `state_key`, or one made of integration, command, the connection's identity
    /// and the content types. Filters and credentials can change without changing the key.
    pub fn state_key(&self) -> String {
        if let Some(key) = &self.envelope.options.state_key {
            return key.clone();
        }
        let (connection, input) = (&self.connection, &self.bound.input);
        let identity = serde_json::json!([
            self.target.manifest.id,
            self.target.command.id,
            connection.cloud.id,
            connection.tenant.to_ascii_lowercase(),
            connection.client_id.to_ascii_lowercase(),
            input.get("content_type"),
            input.get("content_types"),
        ]);
        let hash = sha256(identity.to_string().as_bytes());
        format!("poll-{}", hash.get(..32).unwrap_or(&hash))
    }
}

/// The checks that need no access to the folder.
pub(super) fn check(settings: &Settings, envelope: &Envelope) -> Result<(), Failure> {
    if envelope.options.state_key.is_none() {
        return Ok(());
    }
    if settings.state.is_none() && settings.storage != Storage::Unneeded {
        return Err(Failure::invalid_input(
            AT,
            "This host has no state folder, so it cannot store a state under a name.",
        )
        .advice("Start the host with --state DIR (or SOARHOST_STATE_DIR), or omit `state_key` and send the last result's `state`."));
    }
    if envelope.state.is_some() {
        let message = "A request has a `state` or a `state_key`, not both.";
        return Err(Failure::invalid_input(AT, message)
            .advice("Omit `state` to resume from the stored state, or omit `state_key`."));
    }
    Ok(())
}

/// Creates the state folder if this request needs it, and locks and reads the state of its key.
///
/// Errors: `invalid_input` at `--state` for an unusable folder, and at `/options/state_key` for a
/// file that is damaged or of another command; `busy`.
pub(super) fn open(
    settings: &Settings,
    options: &Options,
    command: String,
) -> Result<Option<StateStore>, Failure> {
    let Some(folder) = &settings.state else {
        return Ok(None);
    };
    if settings.storage == Storage::Unneeded {
        return Ok(None);
    }
    let unusable = |error| unusable(folder, &error);
    let needed = settings.stores_tokens() || options.state_key.is_some();
    if needed && !options.dry_run {
        private_file::folder(folder).map_err(unusable)?;
    }
    let Some(name) = &options.state_key else {
        return Ok(None);
    };
    let folder = folder.join("state");
    let file = folder.join(sha256(name.as_bytes())).with_extension("json");
    let lock = if options.dry_run {
        None
    } else {
        private_file::folder(&folder).map_err(unusable)?;
        let lock = Lock::try_lock(&file).map_err(unusable)?;
        Some(lock.ok_or_else(|| busy(name))?)
    };
    let mut store = StateStore {
        name: name.clone(),
        command,
        file,
        lock,
        stored: None,
    };
    if let Some(bytes) = private_file::read(&store.file).map_err(unusable)? {
        store.stored = Some(store.read(&bytes)?);
    }
    Ok(Some(store))
}

impl StateStore {
    /// The state to resume from.
    pub(super) fn state(&self) -> Option<&State> {
        self.stored.as_ref()
    }

    /// Stores the state, or deletes the stored one.
    fn replace(&self, state: Option<State>) -> io::Result<()> {
        let (Some(lock), Some(mut state)) = (&self.lock, state) else {
            return private_file::remove(&self.file);
        };
        let mut text = serde_json::to_vec_pretty(&StateFile {
            state_key: self.name.clone(),
            command: self.command.clone(),
            rules: state.take_excess(),
            state,
        })?;
        text.push(b'\n');
        private_file::replace(&self.file, &text, lock)
    }

    fn read(&self, bytes: &[u8]) -> Result<State, Failure> {
        let file: StateFile = serde_json::from_slice(bytes)
            .map_err(|error| damaged(&self.file, &format!("{error}.")))?;
        if file.state_key != self.name {
            let why = format!("It belongs to the key \"{}\".", file.state_key);
            return Err(damaged(&self.file, &why));
        }
        if file.state.state != state::VERSION {
            let version = file.state.state;
            let why = format!("The version {version} of its state is unknown to this host.");
            return Err(damaged(&self.file, &why));
        }
        if file.command != self.command {
            return Err(Failure::invalid_input(
                AT,
                format!("\"{}\" holds a state of {}.", self.name, file.command),
            )
            .cause("Commands cannot share a key, because each would overwrite the other's state.")
            .advice("Use another `state_key` for this command."));
        }
        let mut state = file.state;
        state.rules = state.rules.or(file.rules);
        Ok(state)
    }
}

/// Adds the file to a fault of the stored state, because the request contains no state.
pub(super) fn located(store: Option<&StateStore>, failure: Failure) -> Failure {
    match (store, failure.place()) {
        (Some(store), Some(at)) if at.starts_with("/state") => {
            damaged(&store.file, failure.message())
        }
        _ => failure,
    }
}

impl PendingState {
    /// The change after a run with this result.
    pub(super) fn after(store: Option<StateStore>, result: &ResultEnvelope) -> Self {
        let Some(store) = store else {
            return PendingState::default();
        };
        let is_complete = result.return_data != ReturnData::Failed && !result.more;
        let is_unchanged = store.lock.is_none() || result.state == store.stored;
        let is_changed = !is_unchanged && (result.state.is_some() || is_complete);
        PendingState(is_changed.then(|| (store, result.state.clone())))
    }

    /// Stores the state and unlocks the key. A failure is only logged: the result was written.
    pub fn commit(self) {
        let Some((store, state)) = self.0 else {
            return;
        };
        if let Err(error) = store.replace(state) {
            let (name, file) = (&store.name, store.file.display());
            tracing::error!(
                "The state \"{name}\" could not be stored in {file}: {error}. The next run with this \
                 state_key resumes from the previous state and delivers these events again."
            );
        }
    }
}

fn damaged(file: &Path, why: &str) -> Failure {
    let file = file.display();
    Failure::invalid_input(AT, format!("The stored state {file} cannot be used: {why}"))
        .cause("Without it, records would be delivered again or missed.")
        .advice(
            "Restore the file, or delete it to start without a state. Then send the request again.",
        )
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    let message = format!(
        "The state folder {} cannot be used: {error}.",
        folder.display()
    );
    Failure::invalid_input("--state", message)
        .advice("Correct --state, or the folder's owner and permissions.")
}

fn busy(name: &str) -> Failure {
    let message = format!("Another run uses the state_key \"{name}\".");
    Failure::new(ErrorKind::Busy, message)
        .at(AT)
        .advice("Wait until that run has ended, then send the request again.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn settings(folder: &Path) -> Settings {
        Settings {
            state: Some(folder.join("a/state folder")),
            ..Settings::default()
        }
    }

    fn options(name: &str, dry_run: bool) -> Options {
        Options {
            state_key: Some(name.to_owned()),
            dry_run,
            ..Options::default()
        }
    }

    fn state(to: u64) -> State {
        let resume = json!({ "from": to });
        State::new("scope", resume.as_object().cloned().unwrap_or_default())
    }

    fn result(return_data: ReturnData, state: Option<State>) -> ResultEnvelope {
        let host =
            crate::host::Host::open(Settings::default(), crate::protocol::Redactor::default());
        ResultEnvelope {
            return_data,
            state,
            ..host.refuse(Failure::new(ErrorKind::Internal, "x"))
        }
    }

    fn success(to: u64) -> ResultEnvelope {
        result(ReturnData::Successful, Some(state(to)))
    }

    fn opened(settings: &Settings, options: &Options) -> StateStore {
        let store = open(settings, options, "a.fetch".to_owned()).expect("a usable folder");
        store.expect("a store")
    }

    fn fault(settings: &Settings, options: &Options) -> (ErrorKind, String) {
        let failure = open(settings, options, "a.fetch".to_owned()).expect_err("it is rejected");
        let place = failure.place().unwrap_or_default();
        (failure.kind(), format!("{place}: {}", failure.message()))
    }

    #[test]
    fn committed_state_is_read_by_next_run() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod/alerts", false);
        let first = opened(&settings, &named);
        assert!(first.state().is_none());
        let file = first.file.clone();
        // A failed run and a run whose result was lost change nothing.
        PendingState::after(Some(first), &result(ReturnData::Failed, None)).commit();
        drop(PendingState::after(
            Some(opened(&settings, &named)),
            &success(1),
        ));
        assert!(!file.exists());
        PendingState::after(Some(opened(&settings, &named)), &success(2)).commit();
        assert_eq!(opened(&settings, &named).state(), Some(&state(2)));
        assert!(
            opened(&settings, &options("other", false))
                .state()
                .is_none()
        );
        let text = std::fs::read_to_string(&file).expect("it reads");
        assert!(
            text.starts_with("{\n  \"state_key\": \"prod/alerts\",\n  \"command\": \"a.fetch\",\n"),
            "{text}"
        );
    }

    #[test]
    fn complete_run_without_state_deletes_stored_state() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod", false);
        PendingState::after(Some(opened(&settings, &named)), &success(1)).commit();
        for (return_data, more, is_stored) in [
            (ReturnData::Failed, false, true),
            (ReturnData::Successful, true, true),
            (ReturnData::PartiallySuccessful, false, false),
            (ReturnData::Successful, false, false),
        ] {
            let mut result = result(return_data, None);
            result.more = more;
            PendingState::after(Some(opened(&settings, &named)), &result).commit();
            let found = opened(&settings, &named).state().is_some();
            assert_eq!(found, is_stored, "{return_data:?} {more}");
            PendingState::after(Some(opened(&settings, &named)), &success(1)).commit();
        }
    }

    #[test]
    fn key_is_locked_until_state_is_stored() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod", false);
        let pending = PendingState::after(Some(opened(&settings, &named)), &success(1));
        let (kind, message) = fault(&settings, &named);
        assert_eq!(kind, ErrorKind::Busy);
        assert!(message.contains("\"prod\""), "{message}");
        drop(opened(&settings, &options("other", false)));
        // A dry run reads the state without a lock.
        assert!(opened(&settings, &options("prod", true)).state().is_none());
        pending.commit();
        let dry_run = opened(&settings, &options("prod", true));
        assert_eq!(dry_run.state(), Some(&state(1)));
        PendingState::after(Some(dry_run), &success(2)).commit();
        assert_eq!(opened(&settings, &named).state(), Some(&state(1)));
    }

    #[test]
    fn dry_run_creates_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        assert!(opened(&settings, &options("prod", true)).state().is_none());
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn damaged_file_is_a_failure() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod", false);
        PendingState::after(Some(opened(&settings, &named)), &success(1)).commit();
        let file = opened(&settings, &named).file.clone();
        let put = |text: &str| {
            std::fs::File::create(&file)
                .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()))
                .expect("a file");
        };
        for text in [
            "",
            "{\"state_key\":\"prod\"",
            r#"{"state_key":"other","command":"a.fetch","state":{"state":1,"scope":"s","resume":{}}}"#,
            r#"{"state_key":"prod","command":"a.fetch","state":{"state":2,"scope":"s","resume":{}}}"#,
            r#"{"state_key":"prod","command":"a.fetch","state":null}"#,
        ] {
            put(text);
            let (kind, message) = fault(&settings, &named);
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(message.starts_with("/options/state_key: The stored state "));
            assert!(message.contains(&*file.to_string_lossy()), "{message}");
        }
        put(
            r#"{"state_key":"prod","command":"b.list","state":{"state":1,"scope":"s","resume":{}}}"#,
        );
        let (_, message) = fault(&settings, &named);
        assert_eq!(
            message,
            "/options/state_key: \"prod\" holds a state of b.list."
        );
        std::fs::remove_file(&file).expect("it was there");
        assert!(opened(&settings, &named).state().is_none());
    }

    #[test]
    fn unusable_folder_is_a_fault_of_the_setting() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(std::fs::File::create(folder.path().join("a")).expect("a file"));
        let settings = settings(folder.path());
        for options in [Options::default(), options("prod", false)] {
            let (kind, message) = fault(&settings, &options);
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(
                message.starts_with("--state: The state folder "),
                "{message}"
            );
        }
    }

    #[test]
    fn fault_of_stored_state_names_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = opened(&settings(folder.path()), &options("prod", false));
        let named = located(
            Some(&store),
            Failure::invalid_input("/state/resume", "Wrong."),
        );
        assert_eq!(named.place(), Some(AT));
        assert!(named.message().ends_with("cannot be used: Wrong."));
        let other = located(Some(&store), Failure::invalid_input("/inputs/x", "Wrong."));
        assert_eq!(other.place(), Some("/inputs/x"));
    }
}
