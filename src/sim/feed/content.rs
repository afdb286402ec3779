//! Content listings, one page at a time. The link to the next page has the times of the request and
//! a `nextPage` token, which is valid for its tenant, content type and times only. It does not have
//! the publisher.

use chrono::TimeDelta;
use serde::Serialize;
use url::form_urlencoded;

use super::window::Window;
use super::{Feed, Refused, refused};
use crate::sim::data::content_store::{Blob, Source};
use crate::sim::ids::hex;
use crate::sim::login::tokens::Claims;
use crate::sim::server::call::{Answer, Call};
use crate::sim::server::routes::Service;

/// The entry of a blob for a tenant.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    #[serde(rename = "contentUri")]
    pub(super) uri: String,
    #[serde(rename = "contentId")]
    pub(super) id: String,
    #[serde(rename = "contentType")]
    pub(super) kind: &'a str,
    #[serde(rename = "contentCreated")]
    pub(super) created: String,
    #[serde(rename = "contentExpiration")]
    pub(super) expires: String,
}

impl Feed {
    /// A page of the content that became available in a time range.
    pub(super) fn content(
        &self,
        call: &Call,
        claims: &Claims,
        content_type: &str,
    ) -> Result<Answer, Refused> {
        let now = self.context.now();
        let window = Window::read(call, now)?;
        self.check_enabled(claims, content_type)?;
        let page_links = PageLinks {
            feed: self,
            tenant: &claims.tid,
            content_type,
            window: &window,
        };
        let start = page_links.offset(call.parameter("nextPage"))?;
        let size = self.context.world.content_page_size;
        let (from, to) = window.bounds;
        // Content of this very millisecond is included.
        let to = to.min(now + TimeDelta::milliseconds(1));
        let mut listed: Vec<Blob> = self.store.between(content_type, (from, to)).collect();
        listed.sort_by_cached_key(|blob| blob.created + self.delay(blob));
        let mut blobs = listed.into_iter().skip(start);
        let page: Vec<Blob> = blobs.by_ref().take(size).collect();
        let entries: Vec<Entry<'_>> = page.iter().map(|blob| self.entry(claims, blob)).collect();
        let body = serde_json::to_string(&entries).unwrap_or_default();
        let answer = Answer::new(200, body);
        if blobs.next().is_none() {
            return Ok(answer);
        }
        let link = self.link(call, || page_links.link(start + size));
        Ok(answer.with("NextPageUri", link))
    }

    /// The delay of a blob in listings that are out of order.
    fn delay(&self, blob: &Blob) -> TimeDelta {
        let digest = self.context.ids.digest(&["disorder", &self.store.id(blob)]);
        let number = digest.as_ref().iter().take(4);
        let number = number.fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte));
        let most = self.context.world.content_disorder_seconds;
        TimeDelta::seconds(i64::from(number % most.saturating_add(1)))
    }

    /// The entry of a blob for a tenant.
    pub(super) fn entry<'a>(&'a self, claims: &Claims, blob: &Blob) -> Entry<'a> {
        let id = self.store.id(blob);
        let base = self.context.address(Service::Management);
        let own = match self.store.source(blob) {
            Source::Literal(literal) => literal.uri.as_deref(),
            Source::Generated { .. } => None,
        };
        let uri = match own {
            Some(uri) => uri.replace("{management}", &base),
            None => format!("{base}/api/v1.0/{}/activity/feed/audit/{id}", claims.tid),
        };
        let write = |time: chrono::DateTime<_>| time.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        Entry {
            uri,
            id,
            kind: self.store.content_type(blob),
            created: write(blob.created).to_string(),
            expires: write(blob.expires).to_string(),
        }
    }

    /// The fixed link of the world, or the correct one.
    fn link(&self, call: &Call, right: impl Fn() -> String) -> String {
        let base = self.context.address(Service::Management);
        let Some(text) = &self.context.world.next_page_uri else {
            return right();
        };
        let request = format!("{base}{}", call.target);
        text.replace("{management}", &base)
            .replace("{request}", &request)
    }
}

/// What a `nextPage` token is valid for.
struct PageLinks<'a> {
    feed: &'a Feed,
    tenant: &'a str,
    content_type: &'a str,
    window: &'a Window,
}

impl PageLinks<'_> {
    /// The address of the page after `offset` entries.
    ///
    /// Its path begins with `/api/v1/`, as in the documented example; other paths begin with
    /// `/api/v1.0/`. Both are served.
    fn link(&self, offset: usize) -> String {
        let base = self.feed.context.address(Service::Management);
        let [start, end] = &self.window.written;
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("contentType", self.content_type)
            .append_pair("startTime", start)
            .append_pair("endTime", end)
            .append_pair("nextPage", &self.token(offset))
            .finish();
        let tenant = self.tenant;
        format!("{base}/api/v1/{tenant}/activity/feed/subscriptions/content?{query}")
    }

    /// The number of entries before the page.
    fn offset(&self, token: Option<&str>) -> Result<usize, Refused> {
        let Some(token) = token else {
            return Ok(0);
        };
        let digits = token.get(11..20).unwrap_or_default();
        match digits.parse() {
            Ok(offset) if token == self.token(offset) => Ok(offset),
            _ => Err(refused("AF20031", &[token])),
        }
    }

    /// A token such as `2026011409R0000002008a1f…`: the hour of the start time, the offset, a
    /// checksum.
    fn token(&self, offset: usize) -> String {
        let (start, end) = self.window.bounds;
        let parts = [
            "nextPage",
            &self.tenant.to_ascii_lowercase(),
            self.content_type,
            &start.to_rfc3339(),
            &end.to_rfc3339(),
            &offset.to_string(),
        ];
        let seal = self.feed.context.ids.digest(&parts);
        let seal = hex(&seal.as_ref()[..6]);
        format!("{}R{offset:09}{seal}", start.format("%Y%m%d%H"))
    }
}
