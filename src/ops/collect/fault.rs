//! Why a run over several content types is incomplete: one failure with an item for each fault.
//!
//! An item names the content type or the blob. `coverage` lists what is missing and whether it is
//! lost.

use super::TypeReport;
use crate::ops::feed::Faults;
use crate::protocol::{ErrorKind, Failure};

/// The failure of an incomplete run. Errors: no content type delivered anything and at least one
/// failure is not an expiry.
pub(super) fn report(reports: &mut [TypeReport]) -> Result<Option<Failure>, Failure> {
    let all = reports.len();
    let has_failed = all > 0 && reports.iter().all(|one| one.report.has_failed());
    let (mut broken_types, mut others) = (Vec::new(), Faults::default());
    for one in reports {
        let mut faults = std::mem::take(&mut one.report.faults);
        let broken = faults.broken.take().filter(|_| one.was_read);
        broken_types.extend(broken.map(|failure| (one.content_type, failure)));
        others.add(faults);
    }
    // A signal is reported first: the caller sent it.
    broken_types.sort_by_key(|(_, failure)| failure.kind() != ErrorKind::Cancelled);
    let Some((content_type, failure)) = broken_types.first() else {
        return match others.report() {
            Some(fault) if has_failed => Err(fault),
            fault => Ok(fault),
        };
    };
    let message = failure.message();
    let first = match broken_types.len() {
        _ if has_failed || all == 1 => failure.clone(),
        1 => failure.reworded(format!("{content_type} was not read completely: {message}")),
        n => failure.reworded(format!(
            "{n} of {all} content types were not read completely; the first, {content_type}: {message}"
        )),
    };
    let items = broken_types
        .into_iter()
        .map(|(content_type, failure)| failure.at(content_type.name()))
        .chain(std::mem::take(&mut others.failed));
    let fault = items.fold(first, Failure::with_item);
    if has_failed {
        return Err(fault);
    }
    Ok(Some(fault))
}
