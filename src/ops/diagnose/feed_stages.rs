//! The stages of the activity feed: subscriptions, a listing, the newest content, and what they
//! show about auditing.
//!
//! The feed does not report whether auditing is on. Content proves that it is; without content the
//! stage of auditing is skipped. Starts and stops no subscription.

use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use crate::microsoft::ContentType;
use crate::microsoft::feed::content::{Blob, Page};
use crate::microsoft::feed::{Feed, Subscription};
use crate::microsoft::search::AUDITING_OFF;
use crate::net::Links;
use crate::net::retry::Repeat;
use crate::ops::connection::Service;
use crate::ops::diagnose::diagnosis::Diagnosis;
use crate::ops::diagnose::stage::Stage;
use crate::protocol::{ErrorKind, Failure};

const FIRST_CONTENT: &str = "The first content can take 12 to 24 hours.";
const WAIT: &str = "If a subscription was started in the last 24 hours, wait: the first content can take 12 to 24 hours. Otherwise check that auditing is on: `Get-AdminAuditLogConfig | Format-List UnifiedAuditLogIngestionEnabled` in Exchange Online PowerShell must show True.";
const TURN_ON: &str = "An administrator must run `Set-AdminAuditLogConfig -UnifiedAuditLogIngestionEnabled $true` in Exchange Online PowerShell. It takes effect within 60 minutes, and only later events are recorded.";

/// The newest blobs that are read until one has a record that matches the filter.
const BLOBS: usize = 5;

impl Diagnosis<'_> {
    /// Follows content from its subscription to a record.
    pub(super) async fn feed(&mut self) {
        if let Some(failed) = self.blocked_by(&[Service::Management]) {
            for id in ["auditing", "subscriptions", "listing", "content"] {
                self.add(Stage::after(id, failed));
            }
            return;
        }
        let feed = Feed::new(self.call.http, self.call.tokens, self.call.connection);
        let listed = self
            .limited("the subscriptions", feed.subscriptions())
            .await;
        let enabled = match listed {
            Ok((listed, _)) => self.subscriptions(&listed),
            Err(failure) => {
                let failure = without_reason(failure);
                self.add(Stage::failed("subscriptions", &failure));
                self.add_auditing_off(&failure);
                Vec::new()
            }
        };
        if enabled.is_empty() {
            for id in ["listing", "content"] {
                self.add(Stage::after(id, "subscriptions"));
            }
            self.auditing_unknown();
            return;
        }
        if let Some(blobs) = self.listing(&feed, &enabled).await {
            self.content(&feed, blobs).await;
        }
    }

    /// The state of each subscription. Returns the enabled content types that are wanted.
    fn subscriptions(&mut self, listed: &[Subscription]) -> Vec<ContentType> {
        let named = |types: &[ContentType]| {
            let names: Vec<&str> = types.iter().map(|one| one.name()).collect();
            names.join(", ")
        };
        let is_wanted = |one: &ContentType| {
            let wanted = &self.input.content_types;
            wanted.is_empty() || wanted.contains(one)
        };
        let wanted = ContentType::ALL.into_iter().filter(is_wanted);
        let (enabled, others): (Vec<ContentType>, Vec<ContentType>) =
            wanted.partition(|one| listed.iter().any(|row| row.is_enabled(*one)));
        let is_known = |one: &ContentType| {
            listed
                .iter()
                .any(|row| ContentType::parse(&row.content_type) == Some(*one))
        };
        let (disabled, missing): (Vec<ContentType>, Vec<ContentType>) =
            others.into_iter().partition(is_known);
        let parts = [
            ("Enabled", &enabled),
            ("Disabled", &disabled),
            ("Not started", &missing),
        ];
        let parts = parts.into_iter().filter(|(_, types)| !types.is_empty());
        let parts: Vec<String> = parts
            .map(|(state, types)| format!("{state}: {}.", named(types)))
            .collect();
        let detail = parts.join(" ");
        let with = self.input.start_with.as_ref();
        let with = with.map_or_else(String::new, |command| format!(" with {command}"));
        let remedy = if disabled.is_empty() {
            format!("Start the missing subscriptions{with}. {FIRST_CONTENT}")
        } else {
            let types = named(&disabled);
            format!(
                "Start {types} again{with}. Check that auditing is on: the service disables subscriptions of a tenant without auditing."
            )
        };
        let all_enabled = disabled.is_empty() && missing.is_empty();
        let is_required = !self.input.content_types.is_empty() || enabled.is_empty();
        self.add(match (all_enabled, is_required) {
            (true, _) => Stage::pass("subscriptions", detail),
            (false, true) => Stage::fail("subscriptions", detail, remedy),
            (false, false) => Stage::warn("subscriptions", detail, remedy),
        });
        enabled
    }

    /// Lists the content of the last 24 hours. Returns the blobs, the newest first.
    async fn listing(&mut self, feed: &Feed<'_>, types: &[ContentType]) -> Option<Vec<Blob>> {
        let window = self.last_day();
        let pages = types.iter().map(|content_type| {
            let page = async {
                let url = feed.content_url(*content_type, &window).await?;
                feed.content(url).await
            };
            self.limited("a listing of content", page)
        });
        let pages: Vec<Result<Page, Failure>> = join_all(pages).await;
        let (mut counts, mut blobs, mut failure) = (Vec::new(), Vec::new(), None);
        for (content_type, page) in types.iter().zip(pages) {
            match page {
                Ok(page) => {
                    let more = if page.next.is_some() { "+" } else { "" };
                    counts.push(format!("{content_type} {}{more}", page.blobs.len()));
                    blobs.extend(page.blobs);
                }
                Err(found) => failure = failure.or(Some(located(&found, *content_type))),
            }
        }
        if let Some(failure) = failure {
            self.add(Stage::failed("listing", &failure));
            self.add(Stage::after("content", "listing"));
            if !self.add_auditing_off(&failure) {
                self.auditing_unknown();
            }
            return None;
        }
        let counts = counts.join(", ");
        if blobs.is_empty() {
            let detail = format!("No content became available in the last 24 hours ({counts}).");
            self.add(Stage::fail("listing", detail, WAIT));
            self.add(Stage::after("content", "listing"));
            self.auditing_unknown();
            return None;
        }
        self.add(Stage::pass(
            "listing",
            format!("Blobs of the last 24 hours: {counts}."),
        ));
        self.add(Stage::pass(
            "auditing",
            "Content became available in the last 24 hours.",
        ));
        blobs.sort_by_key(|blob| std::cmp::Reverse(created(blob)));
        Some(blobs)
    }

    /// Reads the newest blob; with a filter, up to [`BLOBS`] until a record matches.
    async fn content(&mut self, feed: &Feed<'_>, blobs: Vec<Blob>) {
        let stage = match self.limited("content", self.read(feed, &blobs)).await {
            Err(failure) => Stage::failed("content", &failure),
            Ok((records, _)) if !self.input.has_filter() => Stage::pass(
                "content",
                format!("The newest blob was read: {records} records."),
            ),
            Ok((records, 0)) => Stage::warn(
                "content",
                format!(
                    "None of the {records} records in the newest blobs matches the filters of the request."
                ),
                "Compare the filters with the members UserId, RecordType, Workload and Operation of the records: send the request without filters.",
            ),
            Ok((records, matching)) => Stage::pass(
                "content",
                format!(
                    "{matching} of {records} records in the newest blobs match the filters of the request."
                ),
            ),
        };
        self.add(stage);
    }

    /// The number of records, and of those that match.
    async fn read(&self, feed: &Feed<'_>, blobs: &[Blob]) -> Result<(u64, usize), Failure> {
        let filter = self.input.record_filter()?.filter;
        let links = Links::new(&self.call.connection.cloud.management);
        let (mut records, mut matching) = (0, 0);
        let count = if self.input.has_filter() { BLOBS } else { 1 };
        for blob in blobs.iter().take(count) {
            let link = blob.content_uri.as_deref().ok_or_else(|| {
                let message = format!("The listing has no address for {}.", blob.name());
                Failure::new(ErrorKind::BadResponse, message)
            })?;
            let read = feed
                .blob(links.check(link)?, &filter, Repeat::Never)
                .await?;
            records += read.records;
            matching += read.rows().count();
            if matching > 0 {
                break;
            }
        }
        Ok((records, matching))
    }

    /// Adds the stage if the failure means that auditing is off.
    pub(super) fn add_auditing_off(&mut self, failure: &Failure) -> bool {
        let is_off = failure.broken_rule() == Some(AUDITING_OFF);
        if is_off {
            let detail = failure.reason().unwrap_or("Auditing is off.");
            self.add(Stage::fail("auditing", detail, TURN_ON));
        }
        is_off
    }

    fn auditing_unknown(&mut self) {
        let detail = "Not known: without content, the feed does not show whether auditing is on.";
        self.add(Stage::skipped("auditing", detail));
    }
}

fn created(blob: &Blob) -> Option<DateTime<Utc>> {
    blob.created()
}

/// The permission was found in the token, so a refusal without a reason has another cause.
fn without_reason(failure: Failure) -> Failure {
    let is_refused = matches!(failure.http_status(), Some(401 | 403));
    if !is_refused || failure.vendor_code().is_some() {
        return failure;
    }
    failure
        .cause("The service gave no reason. The token has the permission, so the tenant is probably in another cloud, or the permission is very new.")
        .advice("Check the cloud or the base URL of the connection: GCC, GCC High and DoD have their own addresses. After a change of permissions, wait some minutes.")
}

/// The failure with the content type.
fn located(failure: &Failure, content_type: ContentType) -> Failure {
    failure.reworded(format!("{content_type}: {}", failure.message()))
}
