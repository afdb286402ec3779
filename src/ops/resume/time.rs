//! The service's time, and the warning about a clock that differs from it.
//!
//! Runs with a state use the service's time: if the host's clock is wrong by hours, the same
//! content must be listed. The host's clock is used only for waits and deadlines.

use chrono::{DateTime, TimeDelta, Utc};

use crate::ops::Call;
use crate::protocol::Warning;

/// The largest difference between the clocks without a warning.
const TOLERANCE: TimeDelta = TimeDelta::minutes(5);

/// The service's time at the run's first answer. A dry run has no answer, so it uses the host's
/// time.
pub(in crate::ops) fn service_time(call: &Call<'_>) -> DateTime<Utc> {
    call.http.service_date().map_or(call.now, |seen| seen.date)
}

/// The warning of a run in which the clocks are more than five minutes apart.
pub(in crate::ops) fn clocks_differ(call: &Call<'_>) -> Option<Warning> {
    let seen = call.http.service_date()?;
    let after = TimeDelta::from_std(seen.after).unwrap_or_default();
    let skew = call.now + after - seen.date;
    if skew.abs() <= TOLERANCE {
        return None;
    }
    let which = if skew > TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    let minutes = skew.num_minutes().abs();
    let message = format!(
        "The clock of this machine is {minutes} minutes {which} the service's. The service's time was used; correct the clock."
    );
    Some(Warning::new("clocks_differ", message))
}
