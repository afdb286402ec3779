//! The points of all content types in one state, and how they share its 64 KiB.
//!
//! A state holds, for each content type, where it goes on. Which content types a run asks for is no
//! part of what it continues: one that is new begins with its first fetch, and the point of one that
//! is not asked for stays, so that a subscription which is off for a while, or missing from one
//! listing, goes on where it was, and what is too old by then is told. Nor is it where
//! the first fetch begins, which records are wanted, or which application asks: whoever changes one
//! of them wants to go on from here. Only another tenant's content is something else, however the
//! tenant is written.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde_json::{Map, Value};

use super::NAME;
use crate::identity::sha256;
use crate::microsoft::ContentType;
use crate::ops::Call;
use crate::ops::content::point::{Packed, Point, not_ours};
use crate::ops::resume::state::foreign;
use crate::protocol::{Failure, State, Warning, state};

/// Blobs that a content type carries at most; its listing goes back to what finds no room.
pub(super) const ROOM: usize = 100;

/// Marks of blobs, of all content types together.
const BLOBS: usize = 2_000;

/// Marks of records, of all content types together.
const RECORDS: usize = 2_800;

/// Where each content type goes on.
pub(super) type Points = Vec<(ContentType, Point)>;

/// The points that the call's state holds, and what a person should know.
pub(super) fn read(call: &Call<'_>, tenant: &str) -> Result<(Points, Vec<Warning>), Failure> {
    let Some(state) = call.state else {
        return Ok((Vec::new(), Vec::new()));
    };
    if state.state != state::VERSION || state.scope != scope(call, tenant) {
        return Ok((Vec::new(), vec![foreign(call)?]));
    }
    let point = |(name, packed): (&String, &Value)| {
        let content_type = ContentType::parse(name).ok_or_else(not_ours)?;
        let packed: Packed = serde_json::from_value(packed.clone()).map_err(|_| not_ours())?;
        let point = packed.open(ROOM, call.now)?;
        // Every one goes on to the run's own now.
        match point.to {
            None => Ok((content_type, point)),
            Some(_) => Err(not_ours()),
        }
    };
    let points = state.resume.iter().map(point).collect::<Result<_, _>>()?;
    Ok((points, Vec::new()))
}

/// The fingerprint of what is collected: the content of one tenant.
fn scope(call: &Call<'_>, tenant: &str) -> String {
    let of = [
        NAME,
        &call.connection.cloud.id,
        &tenant.to_ascii_lowercase(),
    ];
    sha256(&serde_json::to_vec(&of).unwrap_or_default())
}

/// The state that holds those points.
pub(super) fn state(call: &Call<'_>, tenant: &str, points: Points) -> State {
    let overlap = call.overlap.unwrap_or_default();
    State::new(scope(call, tenant), members(points, overlap))
}

fn members(points: Points, overlap: TimeDelta) -> Map<String, Value> {
    // One a content type, in the order of the five, so that equal states are equal texts.
    let mut points: HashMap<ContentType, Point> = points.into_iter().collect();
    let mut sorted: Points = ContentType::ALL
        .into_iter()
        .filter_map(|known| points.remove_entry(&known))
        .collect();
    for (_, point) in &mut sorted {
        point.trim(overlap);
    }
    let blobs = sorted.iter().map(|(_, point)| point.done.len());
    let blobs = shares(&blobs.collect::<Vec<_>>(), BLOBS);
    let records = sorted.iter().map(|(_, point)| point.records.len());
    let records = shares(&records.collect::<Vec<_>>(), RECORDS);
    sorted
        .into_iter()
        .zip(blobs.into_iter().zip(records))
        .filter_map(|((content_type, point), most)| {
            let packed = serde_json::to_value(point.pack(most)).ok()?;
            Some((content_type.name().to_owned(), packed))
        })
        .collect()
}

/// How much each gets of `total`: what it needs, or as much as the others that need more.
fn shares(needs: &[usize], total: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..needs.len()).collect();
    order.sort_by_key(|place| needs[*place]);
    let (mut shares, mut left) = (vec![0; needs.len()], total);
    for (rank, place) in order.into_iter().enumerate() {
        let share = needs[place].min(left / (needs.len() - rank));
        shares[place] = share;
        left -= share;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::content::point::tests::{at, full};

    #[test]
    fn a_quiet_content_type_leaves_its_room_to_a_busy_one() {
        assert_eq!(shares(&[5, 900, 0], 1000), [5, 900, 0]);
        assert_eq!(shares(&[5, 2000, 0, 3000], 1005), [5, 500, 0, 500]);
        assert_eq!(shares(&[7, 7, 7], 7), [2, 2, 3]);
        assert!(shares(&[], 7).is_empty());
    }

    #[test]
    fn the_largest_state_stays_within_its_limit() {
        let from = at("2026-01-14T12:00:00.123456789Z");
        let sizes = [1, 5].map(|types| {
            let points = ContentType::ALL.into_iter().take(types);
            let points = points.map(|known| (known, full(from, 5_000, ROOM)));
            let members = members(points.collect(), TimeDelta::zero());
            let state = State::new("f".repeat(64), members);
            serde_json::to_string(&state).expect("JSON").len()
        });
        assert!(
            sizes.iter().all(|bytes| *bytes < state::MAX_BYTES),
            "{sizes:?}"
        );
        assert!(
            sizes[1] > state::MAX_BYTES * 9 / 10,
            "room is wasted: {sizes:?}"
        );
    }
}
