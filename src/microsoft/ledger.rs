//! Counting: what was listed, fetched, kept and left out, so that the two identities always hold.
//!
//! For listings without blobs the pages' records are what is listed and fetched. It counts what it
//! is told and judges nothing.

use crate::microsoft::TimeWindow;
use crate::protocol::coverage::{Coverage, Gap, Window};
use crate::when::rfc3339;

/// The account of one scope and window.
#[derive(Clone, Debug)]
pub struct Ledger {
    window: Window,
    gaps: Vec<Gap>,
}

impl Ledger {
    /// An empty account.
    pub fn new(scope: &str, window: &TimeWindow) -> Self {
        Ledger {
            window: Window {
                scope: scope.to_owned(),
                from: rfc3339(window.start),
                to: rfc3339(window.end),
                ..Window::default()
            },
            gaps: Vec::new(),
        }
    }

    /// A page of `received` records, of which `kept` are delivered.
    pub fn page(&mut self, received: usize, kept: usize) {
        let [received, kept] = [received, kept].map(|n| u64::try_from(n).unwrap_or(u64::MAX));
        let window = &mut self.window;
        window.pages += 1;
        window.listed += received;
        window.fetched += received;
        window.records += received;
        window.kept += kept;
        window.filtered += received - kept;
    }

    /// A limit that the caller asked for cut the window short.
    pub fn limited(&mut self) {
        self.window.limited = true;
    }

    /// The listing broke off; what is missing lies before `to` (the window's end, if nothing came).
    /// `lost` when no state leads on from here.
    pub fn interrupted(&mut self, to: Option<String>, code: Option<&str>, lost: bool) {
        self.gaps.push(Gap {
            scope: self.window.scope.clone(),
            id: None,
            from: Some(self.window.from.clone()),
            to: Some(to.unwrap_or_else(|| self.window.to.clone())),
            cause: "interrupted".to_owned(),
            code: code.map(str::to_owned),
            lost,
        });
    }

    /// Records received so far.
    pub fn records(&self) -> u64 {
        self.window.records
    }

    /// Records delivered so far.
    pub fn kept(&self) -> u64 {
        self.window.kept
    }

    /// The account as it stands in a result.
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
    fn the_identities_hold_and_a_gap_is_never_complete() {
        let at = |text| when::instant(text, &[]).expect("a time");
        let window = TimeWindow {
            start: at("2026-09-20"),
            end: at("2026-09-21"),
        };
        let mut ledger = Ledger::new("alerts", &window);
        ledger.page(5, 5);
        ledger.page(5, 2);
        ledger.limited();
        assert!(ledger.clone().close().complete);
        ledger.interrupted(None, Some("x"), false);
        let coverage = ledger.close();
        assert!(!coverage.complete);
        let window = &coverage.windows[0];
        assert!(window.balances() && window.limited);
        assert_eq!((window.kept, window.filtered, window.pages), (7, 3, 2));
        assert_eq!(coverage.gaps[0].to.as_deref(), Some("2026-09-21T00:00:00Z"));
    }
}
