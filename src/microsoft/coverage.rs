//! Builds the coverage of one window: counts listed, fetched, kept and missing content.
//!
//! The two identities of [`Coverage`] always hold. Listings without blobs count the records of
//! their pages as listed and fetched. Does not decide whether a failure is permanent.

use crate::microsoft::TimeWindow;
use crate::protocol::coverage::{Coverage, Gap, Window};
use crate::when::rfc3339;

/// The records of one fetched blob.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Received.
    pub records: u64,
    /// Of those, delivered.
    pub kept: u64,
    /// Of those, wanted and delivered before.
    pub repeated: u64,
}

/// Why the records of a listed blob are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// The service has deleted it.
    Expired,
    /// The service does not have it.
    Missing,
    /// It could not be fetched or read.
    Failed {
        /// Whether the next run with the state fetches it again.
        is_retried: bool,
    },
}

impl GapCause {
    fn cause(self) -> &'static str {
        match self {
            GapCause::Expired => "expired",
            GapCause::Missing => "missing",
            GapCause::Failed { .. } => "failed",
        }
    }
}

/// The coverage of one scope and window.
#[derive(Clone, Debug)]
pub struct CoverageBuilder {
    window: Window,
    gaps: Vec<Gap>,
}

impl CoverageBuilder {
    /// An empty coverage.
    pub fn new(scope: &str, window: &TimeWindow) -> Self {
        CoverageBuilder {
            window: Window {
                scope: scope.to_owned(),
                from: rfc3339(window.start),
                to: rfc3339(window.end),
                ..Window::default()
            },
            gaps: Vec::new(),
        }
    }

    /// A page of `received` records, of which `kept` are delivered and `repeated` were before.
    pub fn add_page(&mut self, received: usize, kept: usize, repeated: usize) {
        self.window.pages += 1;
        self.add_page_records(received, kept, repeated);
    }

    /// The same for records whose pages were counted by [`CoverageBuilder::add_listing_page`].
    pub fn add_page_records(&mut self, received: usize, kept: usize, repeated: usize) {
        let counts = [received, kept, repeated].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        let [received, kept, repeated] = counts;
        let window = &mut self.window;
        window.listed += received;
        window.fetched += received;
        window.records += received;
        window.kept += kept;
        window.repeated += repeated;
        window.filtered += received - kept - repeated;
    }

    /// A page of a listing of blobs. Each blob is added on its own.
    pub fn add_listing_page(&mut self) {
        self.window.pages += 1;
    }

    /// A listed blob that was fetched.
    pub fn add_fetched_blob(&mut self, blob: Counted) {
        let window = &mut self.window;
        window.listed += 1;
        window.fetched += 1;
        window.records += blob.records;
        window.kept += blob.kept;
        window.repeated += blob.repeated;
        window.filtered += blob.records - blob.kept - blob.repeated;
    }

    /// A blob that was listed before.
    pub fn add_duplicate(&mut self) {
        self.window.listed += 1;
        self.window.duplicate += 1;
    }

    /// A listed blob whose records are missing: a gap.
    pub fn add_missing_blob(&mut self, blob: &str, why: GapCause, code: Option<&str>) {
        let window = &mut self.window;
        window.listed += 1;
        match why {
            GapCause::Expired => window.expired += 1,
            GapCause::Missing | GapCause::Failed { .. } => window.failed += 1,
        }
        self.gaps.push(Gap {
            scope: window.scope.clone(),
            id: Some(blob.to_owned()),
            cause: why.cause().to_owned(),
            code: code.map(str::to_owned),
            lost: why != GapCause::Failed { is_retried: true },
            ..Gap::default()
        });
    }

    /// Marks the gap of a blob as lost. Returns whether there is such a gap.
    pub fn mark_lost(&mut self, blob: &str) -> bool {
        let mut gaps = self.gaps.iter_mut();
        let gap = gaps.find(|gap| gap.id.as_deref() == Some(blob));
        gap.map(|gap| gap.lost = true).is_some()
    }

    /// A span whose content the service has deleted.
    pub fn add_expired_span(&mut self, span: &TimeWindow) {
        self.add_span("older_than_7_days", span, None).lost = true;
    }

    /// A span that was not read. `lost`: no state continues here.
    pub fn add_interrupted_span(&mut self, span: &TimeWindow, code: Option<&str>, lost: bool) {
        self.add_span("interrupted", span, code).lost = lost;
    }

    /// A span with content that failed before and is not listed any more. It is requested again.
    pub fn add_unlisted_span(&mut self, span: &TimeWindow) {
        self.add_span("missing", span, None);
    }

    /// The window was not read to its end. `lost`: no state continues here.
    pub fn add_interruption(&mut self, code: Option<&str>, lost: bool) {
        let (from, to) = (self.window.from.clone(), self.window.to.clone());
        self.add_gap("interrupted", (from, to), code).lost = lost;
    }

    fn add_span(&mut self, cause: &str, span: &TimeWindow, code: Option<&str>) -> &mut Gap {
        self.add_gap(cause, (rfc3339(span.start), rfc3339(span.end)), code)
    }

    fn add_gap(&mut self, cause: &str, span: (String, String), code: Option<&str>) -> &mut Gap {
        self.gaps.push_mut(Gap {
            scope: self.window.scope.clone(),
            from: Some(span.0),
            to: Some(span.1),
            cause: cause.to_owned(),
            code: code.map(str::to_owned),
            ..Gap::default()
        })
    }

    /// Records of a span that the service reported and did not return.
    pub fn add_missing_records(&mut self, span: &TimeWindow, records: usize) {
        let records = u64::try_from(records).unwrap_or(u64::MAX);
        self.window.listed += records;
        self.window.failed += records;
        self.add_unlisted_span(span);
    }

    /// A limit of the caller ended the window early.
    pub fn set_limited(&mut self) {
        self.window.limited = true;
    }

    /// Records received so far.
    pub fn records(&self) -> u64 {
        self.window.records
    }

    /// Records delivered so far.
    pub fn kept(&self) -> u64 {
        self.window.kept
    }

    /// The coverage for a result.
    pub fn close(self) -> Coverage {
        Coverage {
            complete: self.gaps.is_empty(),
            windows: vec![self.window],
            gaps: self.gaps,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::when;

    #[test]
    fn every_blob_is_counted() {
        let at = |text| when::instant(text, &[]).expect("a time");
        let window = TimeWindow {
            start: at("2026-09-20"),
            end: at("2026-09-21"),
        };
        let mut coverage = CoverageBuilder::new("Audit.Exchange", &window);
        coverage.add_listing_page();
        coverage.add_fetched_blob(Counted {
            records: 10,
            kept: 4,
            repeated: 1,
        });
        coverage.add_duplicate();
        coverage.add_missing_blob("a", GapCause::Expired, Some("AF20051"));
        coverage.add_missing_blob("b", GapCause::Missing, Some("AF20050"));
        coverage.add_missing_blob("c", GapCause::Failed { is_retried: true }, None);
        coverage.add_missing_blob("d", GapCause::Failed { is_retried: false }, None);
        let second_half = TimeWindow {
            start: at("2026-09-20T12:00:00Z"),
            ..window
        };
        coverage.add_interrupted_span(&second_half, None, false);
        let mut late = CoverageBuilder::new("Audit.Exchange", &window);
        late.add_missing_blob("e", GapCause::Failed { is_retried: true }, None);
        assert!(late.mark_lost("e") && !late.mark_lost("f"));
        let late = late.close();
        assert_eq!((late.gaps.len(), late.gaps[0].lost), (1, true));
        let coverage = coverage.close();
        let window = &coverage.windows[0];
        assert!(window.balances() && !coverage.complete);
        assert_eq!((window.listed, window.filtered, window.failed), (6, 5, 3));
        let lost: Vec<bool> = coverage.gaps.iter().map(|gap| gap.lost).collect();
        assert_eq!(lost, [true, true, false, true, false]);
        assert_eq!(
            coverage.gaps[4].from.as_deref(),
            Some("2026-09-20T12:00:00Z")
        );
    }

    #[test]
    fn counts_add_up_and_coverage_with_a_gap_is_not_complete() {
        let at = |text| when::instant(text, &[]).expect("a time");
        let window = TimeWindow {
            start: at("2026-09-20"),
            end: at("2026-09-21"),
        };
        let mut coverage = CoverageBuilder::new("alerts", &window);
        coverage.add_page(5, 5, 0);
        coverage.add_page(5, 1, 1);
        coverage.set_limited();
        assert!(coverage.clone().close().complete);
        coverage.add_interruption(Some("x"), false);
        let coverage = coverage.close();
        assert!(!coverage.complete);
        let window = &coverage.windows[0];
        assert!(window.balances() && window.limited);
        assert_eq!((window.kept, window.filtered, window.pages), (6, 3, 2));
        assert_eq!(coverage.gaps[0].to.as_deref(), Some("2026-09-21T00:00:00Z"));
    }
}
