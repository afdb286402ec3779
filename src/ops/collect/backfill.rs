//! Back-filling: what expired at the feed before it was read is searched in the audit log.
//!
//! The feed selects by the time of availability, a search by the time of the event. A search therefore
//! begins a day before the missing span; records that the feed delivered are recognized by their ids.
//! Records of a search have the additional member `_backfilled`. A search that does not finish
//! continues in the next run. Does not decide whether a span is missing.

use std::collections::BTreeSet;

use chrono::TimeDelta;

use super::{Collect, Run};
use crate::microsoft::feed::content::Row;
use crate::microsoft::feed::record::Record;
use crate::microsoft::graph::alerts::ApiVersion;
use crate::microsoft::search::{FoundRecord, SearchFilter};
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::Held;
use crate::ops::audit_search::{self, SearchPlan};
use crate::ops::feed::{Faults, ReadReport};
use crate::ops::resume::feed_state::{MissingSpan, SPANS};
use crate::protocol::coverage::Gap;
use crate::protocol::{Coverage, Failure, Warning};
use crate::when::rfc3339;

/// How long before a span its events can have happened.
const DELAY: TimeDelta = TimeDelta::hours(24);

/// The member that records of a search have in addition.
const LABEL: &str = "\"_backfilled\":true";

/// Adds the spans that this run found missing, as one. The oldest ones are dropped above the limit.
pub(super) fn add(missing: &mut Vec<MissingSpan>, found: &[(ContentType, TimeWindow)]) {
    let start = found.iter().map(|(_, span)| span.start).min();
    let end = found.iter().map(|(_, span)| span.end).max();
    let (Some(start), Some(end)) = (start, end) else {
        return;
    };
    missing.push(MissingSpan {
        types: found
            .iter()
            .map(|(content_type, _)| *content_type)
            .collect(),
        start,
        end,
        search: None,
    });
    let excess = missing.len().saturating_sub(SPANS);
    missing.drain(..excess);
}

/// The back-fill of one run.
#[derive(Default)]
pub(super) struct Backfill {
    /// The records as an array that is not closed yet.
    text: String,
    coverage: Coverage,
    more: bool,
    warnings: Vec<Warning>,
    /// Why spans are still missing.
    pub(super) failure: Option<Failure>,
    /// The memory of the records.
    held: Vec<Held>,
}

impl Backfill {
    /// Searches for the missing spans, one after the other, and removes those that were read
    /// completely.
    pub(super) async fn run(
        run: &mut Run<'_>,
        input: &Collect,
        missing: &mut Vec<MissingSpan>,
    ) -> Self {
        let mut backfill = Backfill {
            text: "[".to_owned(),
            failure: run.stopped.clone(),
            ..Backfill::default()
        };
        while backfill.failure.is_none()
            && let Some(span) = missing.first_mut()
        {
            let max = run.call.max_events;
            let limit = max.map(|max| max.saturating_sub(run.delivered));
            if limit == Some(0) || run.call.http.memory().is_exhausted() {
                backfill.more = true;
                break;
            }
            let filled = backfill.fill(run, input, (span, limit)).await;
            backfill.failure = filled.err();
            if backfill.failure.is_some() || span.search.is_some() {
                break;
            }
            missing.remove(0);
        }
        if backfill.failure.is_some() {
            backfill.coverage.add(gaps(missing));
        }
        backfill
    }

    /// Searches for a span. Its `search` is where the search continues. Errors: why it is incomplete.
    async fn fill(
        &mut self,
        run: &mut Run<'_>,
        input: &Collect,
        (span, limit): (&mut MissingSpan, Option<u64>),
    ) -> Result<(), Failure> {
        let position = if let Some(position) = span.search.clone() {
            position
        } else {
            let version = ApiVersion::default();
            audit_search::first_position(run.call, input.search_with, version).await?
        };
        let plan = SearchPlan {
            window: TimeWindow {
                start: span.start - DELAY,
                end: span.end,
            },
            filter: SearchFilter::default(),
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            position,
        };
        let outcome = audit_search::find(run.call, &plan).await;
        let counts = run.select(&span.types, outcome.records, &mut self.text);
        run.delivered += counts.kept;
        let next = outcome.position;
        self.more |= next.is_some() && next.as_ref() != Some(&plan.position);
        span.search = next;
        self.warnings.extend(outcome.warnings);
        self.held.push(outcome.held);
        let coverage = outcome.coverage.close();
        self.coverage.add(counts.adjusted(coverage));
        outcome.failure.map_or(Ok(()), Err)
    }

    /// The records and their coverage, for the reply.
    pub(super) fn take_report(&mut self) -> ReadReport {
        ReadReport {
            text: std::mem::take(&mut self.text),
            coverage: std::mem::take(&mut self.coverage),
            more: self.more,
            has_progress: self.more,
            is_permanent: false,
            blobs: 0,
            changed: 0,
            warnings: std::mem::take(&mut self.warnings),
            faults: Faults::default(),
        }
    }
}

/// The missing spans as gaps: a later run with the state can still fetch them.
fn gaps(missing: &[MissingSpan]) -> Coverage {
    let gap = |span: &MissingSpan| Gap {
        scope: "search".to_owned(),
        from: Some(rfc3339(span.start)),
        to: Some(rfc3339(span.end)),
        cause: "older_than_7_days".to_owned(),
        ..Gap::default()
    };
    Coverage {
        gaps: missing.iter().map(gap).collect(),
        ..Coverage::default()
    }
}

/// How many records of a search were delivered or not.
#[derive(Default)]
struct Counts {
    kept: u64,
    repeated: u64,
    filtered: u64,
}

impl Counts {
    /// The coverage of the search, without the records that were not delivered.
    fn adjusted(&self, mut coverage: Coverage) -> Coverage {
        for window in &mut coverage.windows {
            window.kept = self.kept;
            window.repeated += self.repeated;
            window.filtered += self.filtered;
        }
        coverage
    }
}

impl Run<'_> {
    /// Appends the records of these content types that match the filter and are new.
    fn select(
        &mut self,
        types: &BTreeSet<ContentType>,
        found: Vec<FoundRecord>,
        text: &mut String,
    ) -> Counts {
        let mut counts = Counts::default();
        for found in found {
            let found = found.record.text();
            let Ok(record) = Record::read(found) else {
                counts.filtered += 1;
                continue;
            };
            let row = Row::of(&record, found);
            if !is_of(types, &record) || !self.filter.filter.matches(&record) {
                counts.filtered += 1;
            } else if self.records.has(&row) {
                counts.repeated += 1;
            } else {
                self.records.see(&row);
                counts.kept += 1;
                let members = found.strip_suffix('}').unwrap_or(found);
                text.push_str(if text.len() > 1 { "," } else { "" });
                text.extend([members, ",", LABEL, "}"]);
            }
        }
        counts
    }
}

fn is_of(types: &BTreeSet<ContentType>, record: &Record<'_>) -> bool {
    let (workload, operation) = (record.workload(), record.operation());
    let content_type = ContentType::of_record(
        &workload.unwrap_or_default(),
        &operation.unwrap_or_default(),
    );
    types.contains(&content_type)
}
