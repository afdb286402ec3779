//! Lists the alerts of one instant by the service's links, because times cannot split it.
//!
//! An alert that is updated during the listing leaves the instant. The following alerts then move
//! up, and the next link skips one. The instant is therefore listed again until a listing contains
//! all alerts of the previous one. A link that cannot be followed does not fail the run: the
//! instant is then a gap.

use std::collections::HashSet;

use super::Listing;
use super::part::{Span, fingerprints};
use crate::microsoft::TimeWindow;
use crate::microsoft::graph::alerts::TICK;
use crate::net::memory::is_memory;
use crate::ops::resume::fingerprint::Fingerprint;
use crate::protocol::{ErrorKind, Failure};
use crate::when::rfc3339;

impl Listing<'_> {
    /// Lists a span that times cannot split, by the service's links. The first page was received.
    pub(super) async fn read_by_links(&mut self, span: Span, link: String) -> Result<(), Failure> {
        let Err(failure) = self.repeat_until_stable(span, link).await else {
            return Ok(());
        };
        let instant = span.to.is_some_and(|to| to <= span.from + TICK);
        if !instant || !is_expired(&failure) {
            return Err(failure);
        }
        let at = rfc3339(span.from);
        let cause = format!(
            "More alerts have the time {at} than fit on a page, and the link to the next page could \
             not be followed."
        );
        if let Some(coverage) = &mut self.coverage {
            let instant = TimeWindow {
                start: span.from,
                end: span.from,
            };
            coverage.add_interrupted_span(&instant, failure.vendor_code(), true);
        }
        let failure = failure
            .cause(cause)
            .advice("Request this time again with a search condition that selects fewer alerts.");
        self.skipped.get_or_insert(failure);
        Ok(())
    }

    async fn repeat_until_stable(&mut self, span: Span, link: String) -> Result<(), Failure> {
        let mut before = self.received.known.clone();
        self.follow(&mut before, Some(link)).await?;
        loop {
            let page = self.request(span, self.largest_page).await?;
            self.count_page();
            let mut listed = fingerprints(&page.rows);
            let next = page.next;
            self.receive(page.rows)?;
            let is_one_page = next.is_none();
            self.follow(&mut listed, next).await?;
            if is_one_page || before.is_subset(&listed) {
                return Ok(());
            }
            before = listed;
        }
    }

    /// Follows the links to the end of a listing and adds its alerts to `listed`.
    async fn follow(
        &mut self,
        listed: &mut HashSet<Fingerprint>,
        mut next: Option<String>,
    ) -> Result<(), Failure> {
        while let Some(link) = next {
            let url = self.links.follow(&link)?;
            let page = self.get(url).await?;
            self.count_page();
            listed.extend(fingerprints(&page.rows));
            self.receive(page.rows)?;
            next = page.next;
        }
        Ok(())
    }
}

/// Whether only the link failed: it has expired, or its address is not allowed.
fn is_expired(failure: &Failure) -> bool {
    matches!(failure.http_status(), Some(400 | 404 | 410))
        || (failure.kind() == ErrorKind::BadResponse
            && failure.http_status().is_none()
            && !is_memory(failure))
}
