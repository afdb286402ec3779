//! Why a run over several content types is incomplete: one failure with an item for each fault.
//!
//! An item names the content type or the blob. `coverage` lists what is missing and whether it is
//! lost.

use super::CollectOutcome;
use crate::ops::feed::Faults;
use crate::protocol::{ErrorKind, Failure};

/// The failure of an incomplete run. Errors: no content type delivered anything, for a cause other
/// than age.
pub(super) fn report(outcomes: &mut [CollectOutcome]) -> Result<Option<Failure>, Failure> {
    let all = outcomes.len();
    let is_fruitless = all > 0 && outcomes.iter().all(|one| one.report.is_fruitless());
    let (mut ended, mut rest) = (Vec::new(), Faults::new(("", "")));
    for one in outcomes {
        let mut faults = std::mem::replace(&mut one.report.faults, Faults::new(("", "")));
        let broken = faults.broken.take().filter(|_| one.read);
        ended.extend(broken.map(|failure| (one.content_type, failure)));
        rest.add(faults);
    }
    // A signal is reported first: the caller sent it.
    ended.sort_by_key(|(_, failure)| failure.kind() != ErrorKind::Cancelled);
    let Some((content_type, failure)) = ended.first() else {
        return match rest.report() {
            Some(fault) if is_fruitless => Err(fault),
            fault => Ok(fault),
        };
    };
    let message = failure.message();
    let first = match ended.len() {
        _ if is_fruitless || all == 1 => failure.clone(),
        1 => failure.reworded(format!("{content_type} was not read to its end: {message}")),
        n => failure.reworded(format!(
            "{n} of {all} content types were not read to their end; the first, {content_type}: {message}"
        )),
    };
    let items = ended
        .into_iter()
        .map(|(content_type, failure)| failure.at(content_type.name()))
        .chain(std::mem::take(&mut rest.failed));
    let fault = items.fold(first, Failure::with_item);
    if is_fruitless {
        return Err(fault);
    }
    Ok(Some(fault))
}
