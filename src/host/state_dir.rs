//! States that the host keeps by name, for callers that have nowhere to keep them: `state_key`.
//!
//! One run at a time holds a name: its lock is taken when every check is passed and before anything
//! is sent, and freed when the new state is in its file. That happens after the result was written
//! out, so a state never covers a record that nobody saw. A file that cannot be understood, or that
//! another command wrote, is never passed over: starting afresh would deliver everything again
//! without a word. A run that is through and has nothing to go on from takes the state away, else the
//! next one would go on from there for ever. What a state says is the operations' business.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::host::private_file::{self, Lock};
use crate::host::{Checked, Settings};
use crate::identity::sha256;
use crate::protocol::envelope::Options;
use crate::protocol::result::ReturnData;
use crate::protocol::{Envelope, ErrorKind, Failure, ResultEnvelope, State, state};

/// Where a request names its state.
const AT: &str = "/options/state_key";

/// A file of the state folder, to be read by people.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    state_key: String,
    /// Whose state it is: `integration.command`.
    command: String,
    state: State,
}

/// The state of one name, held for one run.
#[derive(Debug)]
pub(super) struct Position {
    name: String,
    command: String,
    file: PathBuf,
    /// None in a dry run, which keeps nothing and disturbs nobody.
    lock: Option<Lock>,
    stored: Option<State>,
}

/// What a run leaves to be kept, once its result was written out. Dropped instead, it leaves the
/// state where it was.
#[derive(Debug, Default)]
#[must_use = "commit it when the result was written out"]
pub struct Keep(Option<(Position, Move)>);

/// What becomes of a kept state.
#[derive(Debug)]
enum Move {
    /// The next run goes on from here.
    To(State),
    /// The next run starts afresh.
    Away,
}

/// A state that one caller holds for several runs, until this is dropped.
#[derive(Debug)]
#[must_use = "it holds the state until it is dropped"]
pub struct Held(#[expect(dead_code, reason = "being open, it holds the lock")] Lock);

/// Takes that state for several runs. The lock of a single run is another: it is taken by each run.
pub(super) fn hold(settings: &Settings, key: &str) -> Result<Held, Failure> {
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
    let taken = Lock::try_take(&file).map_err(unusable)?;
    taken.map(Held).ok_or_else(|| busy(key))
}

impl Checked<'_> {
    /// True if the command maps records to events.
    pub fn makes_events(&self) -> bool {
        self.mapping.is_some()
    }

    /// The request's `state_key`, or one made of integration, command, the connection's identity and
    /// the content types. Filters and credentials can change without changing the key.
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

/// Refuses what can be refused without looking at the folder.
pub(super) fn check(settings: &Settings, envelope: &Envelope) -> Result<(), Failure> {
    if envelope.options.state_key.is_none() {
        return Ok(());
    }
    if settings.state.is_none() {
        return Err(Failure::invalid_input(
            AT,
            "This host has no state folder, so it cannot store a state under a name.",
        )
        .advice("Omit `state_key`, and send the last result's `state`."));
    }
    if envelope.state.is_some() {
        let words = "A request gives its `state` or names one that the host keeps, not both.";
        return Err(Failure::invalid_input(AT, words)
            .advice("Leave `state` out to go on from the kept one, or leave `state_key` out."));
    }
    Ok(())
}

/// Makes the folder usable, if this request needs it, and takes the position that it names, for
/// that command (`integration.command`).
///
/// Errors: `invalid_input` at `--state` for a folder that cannot be used and at
/// `/options/state_key` for a file that is damaged or another command's; `busy`.
pub(super) fn open(
    settings: &Settings,
    options: &Options,
    command: String,
) -> Result<Option<Position>, Failure> {
    let Some(folder) = &settings.state else {
        return Ok(None);
    };
    let unusable = |error| unusable(folder, &error);
    let needed = settings.keeps_tokens || options.state_key.is_some();
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
        let taken = Lock::try_take(&file).map_err(unusable)?;
        Some(taken.ok_or_else(|| busy(name))?)
    };
    let mut position = Position {
        name: name.clone(),
        command,
        file,
        lock,
        stored: None,
    };
    if let Some(bytes) = private_file::read(&position.file).map_err(unusable)? {
        position.stored = Some(position.understand(&bytes)?);
    }
    Ok(Some(position))
}

impl Position {
    /// The state to go on from.
    pub(super) fn state(&self) -> Option<&State> {
        self.stored.as_ref()
    }

    fn make(&self, next: Move) -> io::Result<()> {
        let (Some(lock), Move::To(state)) = (&self.lock, next) else {
            return private_file::remove(&self.file);
        };
        let mut text = serde_json::to_vec_pretty(&Kept {
            state_key: self.name.clone(),
            command: self.command.clone(),
            state,
        })?;
        text.push(b'\n');
        private_file::replace(&self.file, &text, lock)
    }

    fn understand(&self, bytes: &[u8]) -> Result<State, Failure> {
        let kept: Kept = serde_json::from_slice(bytes)
            .map_err(|error| damaged(&self.file, &format!("{error}.")))?;
        if kept.state_key != self.name {
            let why = format!("It belongs to the key \"{}\".", kept.state_key);
            return Err(damaged(&self.file, &why));
        }
        if kept.state.state != state::VERSION {
            let version = kept.state.state;
            let why = format!("Its state has version {version}, which this host does not know.");
            return Err(damaged(&self.file, &why));
        }
        if kept.command != self.command {
            return Err(Failure::invalid_input(
                AT,
                format!("\"{}\" holds a state of {}.", self.name, kept.command),
            )
            .cause("Each command needs a name of its own, or it would lose the other's place.")
            .advice("Use another `state_key` for this command."));
        }
        Ok(kept.state)
    }
}

/// What an operation finds wrong with a kept state, said of its file: the request has none.
pub(super) fn blame(position: Option<&Position>, failure: Failure) -> Failure {
    match (position, failure.place()) {
        (Some(position), Some(at)) if at.starts_with("/state") => {
            damaged(&position.file, failure.message())
        }
        _ => failure,
    }
}

impl Keep {
    /// What is to be kept after a run from that position with that result.
    pub(super) fn after(position: Option<Position>, result: &ResultEnvelope) -> Self {
        let Some(position) = position else {
            return Keep::default();
        };
        let through = result.return_data != ReturnData::Failed && !result.more;
        let next = match &result.state {
            _ if position.lock.is_none() || result.state == position.stored => None,
            Some(state) => Some(Move::To(state.clone())),
            None => through.then_some(Move::Away),
        };
        Keep(next.map(|next| (position, next)))
    }

    /// Keeps the state and frees its name. A failure can only be told on stderr: the result is out.
    pub fn commit(self) {
        let Some((position, next)) = self.0 else {
            return;
        };
        if let Err(error) = position.make(next) {
            let (name, file) = (&position.name, position.file.display());
            tracing::error!(
                "The state \"{name}\" could not be kept in {file}: {error}. The next run with this \
                 state_key starts where this one did and delivers these events again."
            );
        }
    }
}

fn damaged(file: &Path, why: &str) -> Failure {
    let file = file.display();
    Failure::invalid_input(AT, format!("The kept state {file} cannot be used: {why}"))
        .cause("Going on without it would deliver again, or leave out, without a word.")
        .advice("Restore the file, or delete it to start afresh; then send the request again.")
}

fn unusable(folder: &Path, error: &io::Error) -> Failure {
    let message = format!(
        "The state folder {} cannot be used: {error}.",
        folder.display()
    );
    Failure::invalid_input("--state", message)
        .advice("Correct the operator's setting, or the folder's owner and permissions.")
}

fn busy(name: &str) -> Failure {
    let message = format!("Another run holds the state_key \"{name}\".");
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

    /// A result of that kind with that state.
    fn ended(return_data: ReturnData, state: Option<State>) -> ResultEnvelope {
        let host =
            crate::host::Host::open(Settings::default(), crate::protocol::Redactor::default());
        ResultEnvelope {
            return_data,
            state,
            ..host.refuse(Failure::new(ErrorKind::Internal, "x"))
        }
    }

    fn good(to: u64) -> ResultEnvelope {
        ended(ReturnData::Successful, Some(state(to)))
    }

    fn taken(settings: &Settings, options: &Options) -> Position {
        let position = open(settings, options, "a.fetch".to_owned()).expect("it is usable");
        position.expect("a position")
    }

    fn why(settings: &Settings, options: &Options) -> (ErrorKind, String) {
        let failure = open(settings, options, "a.fetch".to_owned()).expect_err("it is refused");
        let place = failure.place().unwrap_or_default();
        (failure.kind(), format!("{place}: {}", failure.message()))
    }

    #[test]
    fn what_was_committed_is_where_the_next_run_starts() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod/alerts", false);
        let first = taken(&settings, &named);
        assert!(first.state().is_none());
        let file = first.file.clone();
        // Neither a run that ended without a state nor one whose result was lost moves anything.
        Keep::after(Some(first), &ended(ReturnData::Failed, None)).commit();
        drop(Keep::after(Some(taken(&settings, &named)), &good(1)));
        assert!(!file.exists());
        Keep::after(Some(taken(&settings, &named)), &good(2)).commit();
        assert_eq!(taken(&settings, &named).state(), Some(&state(2)));
        assert!(taken(&settings, &options("other", false)).state().is_none());
        let text = std::fs::read_to_string(&file).expect("it reads");
        assert!(
            text.starts_with("{\n  \"state_key\": \"prod/alerts\",\n  \"command\": \"a.fetch\",\n"),
            "{text}"
        );
    }

    #[test]
    fn a_run_that_is_through_without_a_state_takes_the_kept_one_away() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod", false);
        Keep::after(Some(taken(&settings, &named)), &good(1)).commit();
        for (return_data, more, stays) in [
            (ReturnData::Failed, false, true),
            (ReturnData::Successful, true, true),
            (ReturnData::PartiallySuccessful, false, false),
            (ReturnData::Successful, false, false),
        ] {
            let mut result = ended(return_data, None);
            result.more = more;
            Keep::after(Some(taken(&settings, &named)), &result).commit();
            let kept = taken(&settings, &named).state().is_some();
            assert_eq!(kept, stays, "{return_data:?} {more}");
            Keep::after(Some(taken(&settings, &named)), &good(1)).commit();
        }
    }

    #[test]
    fn a_name_is_held_by_one_run_until_its_state_is_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod", false);
        let keep = Keep::after(Some(taken(&settings, &named)), &good(1));
        let (kind, message) = why(&settings, &named);
        assert_eq!(kind, ErrorKind::Busy);
        assert!(message.contains("\"prod\""), "{message}");
        drop(taken(&settings, &options("other", false)));
        // A dry run looks at what is kept, and disturbs nobody.
        assert!(taken(&settings, &options("prod", true)).state().is_none());
        keep.commit();
        let rehearsed = taken(&settings, &options("prod", true));
        assert_eq!(rehearsed.state(), Some(&state(1)));
        Keep::after(Some(rehearsed), &good(2)).commit();
        assert_eq!(taken(&settings, &named).state(), Some(&state(1)));
    }

    #[test]
    fn a_dry_run_makes_no_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        assert!(taken(&settings, &options("prod", true)).state().is_none());
        assert!(!folder.path().join("a").exists());
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_never_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = settings(folder.path());
        let named = options("prod", false);
        Keep::after(Some(taken(&settings, &named)), &good(1)).commit();
        let file = taken(&settings, &named).file.clone();
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
            let (kind, message) = why(&settings, &named);
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(message.starts_with("/options/state_key: The kept state "));
            assert!(message.contains(&*file.to_string_lossy()), "{message}");
        }
        put(
            r#"{"state_key":"prod","command":"b.list","state":{"state":1,"scope":"s","resume":{}}}"#,
        );
        let (_, message) = why(&settings, &named);
        assert_eq!(
            message,
            "/options/state_key: \"prod\" holds a state of b.list."
        );
        std::fs::remove_file(&file).expect("it was there");
        assert!(taken(&settings, &named).state().is_none());
    }

    #[test]
    fn a_folder_that_cannot_be_used_is_the_operators_fault() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(std::fs::File::create(folder.path().join("a")).expect("a file"));
        let settings = settings(folder.path());
        for options in [Options::default(), options("prod", false)] {
            let (kind, message) = why(&settings, &options);
            assert_eq!(kind, ErrorKind::InvalidInput);
            assert!(
                message.starts_with("--state: The state folder "),
                "{message}"
            );
        }
    }

    #[test]
    fn a_fault_of_the_kept_state_is_said_of_its_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let position = taken(&settings(folder.path()), &options("prod", false));
        let blamed = blame(
            Some(&position),
            Failure::invalid_input("/state/resume", "Wrong."),
        );
        assert_eq!(blamed.place(), Some(AT));
        assert!(blamed.message().ends_with("cannot be used: Wrong."));
        let other = blame(
            Some(&position),
            Failure::invalid_input("/inputs/x", "Wrong."),
        );
        assert_eq!(other.place(), Some("/inputs/x"));
    }
}
