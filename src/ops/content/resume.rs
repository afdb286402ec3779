//! Where a listing begins: afresh, or where an earlier run of the same request stopped.
//!
//! A state names no address: it says from when to list again and which of the blobs found there
//! were dealt with, so a caller cannot lead a token anywhere with it.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use ring::digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{List, NAME};
use crate::microsoft::TimeWindow;
use crate::ops::{Call, in_future, scope};
use crate::protocol::{Failure, State, Warning, state};
use crate::when::rfc3339;

/// How long the feed keeps content, less a little for clocks that differ.
const KEPT: TimeDelta = TimeDelta::minutes(7 * 24 * 60 - 5);

/// How many marks a state holds at most; with them it stays well below its 64 KiB.
const MAX_MARKS: usize = 5_000;

/// Where to begin, and what is known already.
pub(super) struct Plan {
    pub(super) window: TimeWindow,
    /// Blobs that were dealt with by earlier runs.
    pub(super) delivered: HashSet<[u8; 8]>,
    /// A span that the service does not keep any more.
    pub(super) too_old: Option<(String, String)>,
    pub(super) warnings: Vec<Warning>,
}

/// What a state of this operation says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resume {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Marks of eight bytes each, in Base64.
    done: String,
}

/// What stands for a blob in a state: the beginning of its name's digest.
pub(super) fn mark(name: &str) -> [u8; 8] {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    let mut mark = [0; 8];
    mark.copy_from_slice(&digest.as_ref()[..8]);
    mark
}

pub(super) fn plan(call: &Call<'_>, input: &List) -> Result<Plan, Failure> {
    let mut warnings = Vec::new();
    if let Some(state) = call.state {
        if state.state == state::VERSION && state.scope == scope(NAME, call.connection, input) {
            return resume(call, state);
        }
        let words = "The state belongs to another connection or to other inputs; it was ignored.";
        warnings.push(Warning::new("state_ignored", words).at("/state"));
    }
    let window = input.window(call.now)?;
    warnings.extend(in_future(&window, call.now));
    Ok(Plan {
        window,
        delivered: HashSet::new(),
        too_old: None,
        warnings,
    })
}

fn resume(call: &Call<'_>, state: &State) -> Result<Plan, Failure> {
    let wrong = || {
        let words = "The state is not one of ours: its members are not those that were written.";
        Failure::invalid_input("/state/resume", words)
            .advice("Send the state of the last result unchanged, or none.")
    };
    let resume: Resume =
        serde_json::from_value(Value::Object(state.resume.clone())).map_err(|_| wrong())?;
    let marks = URL_SAFE_NO_PAD.decode(&resume.done).map_err(|_| wrong())?;
    let (marks, rest) = marks.as_chunks::<8>();
    if !rest.is_empty() || resume.from > resume.to {
        return Err(wrong());
    }
    let kept_from = call.now - KEPT;
    let from = resume.from.max(kept_from).min(resume.to);
    Ok(Plan {
        window: TimeWindow {
            start: from,
            end: resume.to,
        },
        delivered: marks.iter().copied().collect(),
        too_old: (from > resume.from).then(|| (rfc3339(resume.from), rfc3339(from))),
        warnings: Vec::new(),
    })
}

/// The state that goes on from that moment. Of too many marks the earliest stay: what they lead to
/// is listed first, and what has no mark any more comes again rather than being lost.
pub(super) fn state(
    call: &Call<'_>,
    input: &List,
    (from, to): (DateTime<Utc>, DateTime<Utc>),
    done: Vec<(DateTime<Utc>, [u8; 8])>,
) -> State {
    let mut done: Vec<_> = done.into_iter().filter(|(at, _)| *at >= from).collect();
    done.sort_unstable();
    done.dedup();
    let marks: Vec<u8> = done
        .into_iter()
        .take(MAX_MARKS)
        .flat_map(|(_, mark)| mark)
        .collect();
    let resume = Resume {
        from,
        to,
        done: URL_SAFE_NO_PAD.encode(marks),
    };
    let resume = match serde_json::to_value(resume) {
        Ok(Value::Object(resume)) => resume,
        _ => serde_json::Map::new(),
    };
    State::new(scope(NAME, call.connection, input), resume)
}
