//! Lists of content, a page at a time.
//!
//! The link to the next page repeats the span of time and carries a `nextPage` that is bound to
//! tenant, content type and span. It deliberately does not carry the publisher: the service does
//! not say that it would.

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

/// A blob as listings and notifications name it.
#[derive(Serialize)]
pub(super) struct Entry<'a> {
    /// Where it is to be had.
    #[serde(rename = "contentUri")]
    pub(super) uri: String,
    /// Its id.
    #[serde(rename = "contentId")]
    pub(super) id: String,
    /// Its content type.
    #[serde(rename = "contentType")]
    pub(super) kind: &'a str,
    /// When it became available.
    #[serde(rename = "contentCreated")]
    pub(super) created: String,
    /// Until when it is to be had.
    #[serde(rename = "contentExpiration")]
    pub(super) expires: String,
}

impl Feed {
    /// A page of what became available in a span of time.
    pub(super) fn content(
        &self,
        call: &Call,
        claims: &Claims,
        content_type: &str,
    ) -> Result<Answer, Refused> {
        let now = self.site.now();
        let window = Window::read(call, now)?;
        self.running(claims, content_type)?;
        let sealed = Sealed {
            feed: self,
            tenant: &claims.tid,
            content_type,
            window: &window,
        };
        let start = sealed.offset(call.parameter("nextPage"))?;
        let size = self.site.world.content_page_size;
        let (from, to) = window.bounds;
        // Content that arrives at this very moment is available, but not earlier than that.
        let to = to.min(now + TimeDelta::milliseconds(1));
        let mut listed: Vec<Blob> = self.shelf.between(content_type, (from, to)).collect();
        listed.sort_by_cached_key(|blob| blob.created + self.delay(blob));
        let mut blobs = listed.into_iter().skip(start);
        let page: Vec<Blob> = blobs.by_ref().take(size).collect();
        let entries: Vec<Entry<'_>> = page.iter().map(|blob| self.entry(claims, blob)).collect();
        let body = serde_json::to_string(&entries).unwrap_or_default();
        let answer = Answer::new(200, body);
        if blobs.next().is_none() {
            return Ok(answer);
        }
        let link = self.link(call, || sealed.link(start + size));
        Ok(answer.with("NextPageUri", link))
    }

    /// How far behind its time a blob is listed, where listings are out of order.
    fn delay(&self, blob: &Blob) -> TimeDelta {
        let digest = self.site.ids.digest(&["disorder", &self.shelf.id(blob)]);
        let number = digest.as_ref().iter().take(4);
        let number = number.fold(0, |sum: u32, byte| sum << 8 | u32::from(*byte));
        let most = self.site.world.content_disorder_seconds;
        TimeDelta::seconds(i64::from(number % most.saturating_add(1)))
    }

    /// A blob as it is listed for a tenant.
    pub(super) fn entry<'a>(&'a self, claims: &Claims, blob: &Blob) -> Entry<'a> {
        let id = self.shelf.id(blob);
        let base = self.site.address(Service::Management);
        let own = match self.shelf.source(blob) {
            Source::Literal(literal) => literal.uri.as_deref(),
            Source::Generated { .. } => None,
        };
        let uri = match own {
            Some(uri) => uri.replace("{management}", &base),
            None => format!("{base}/api/v1.0/{}/activity/feed/audit/{id}", claims.tid),
        };
        let write = |moment: chrono::DateTime<_>| moment.format("%Y-%m-%dT%H:%M:%S%.3fZ");
        Entry {
            uri,
            id,
            kind: self.shelf.content_type(blob),
            created: write(blob.created).to_string(),
            expires: write(blob.expires).to_string(),
        }
    }

    /// The world's word for every link, or the right one.
    fn link(&self, call: &Call, right: impl Fn() -> String) -> String {
        let base = self.site.address(Service::Management);
        let Some(text) = &self.site.world.next_page_uri else {
            return right();
        };
        let request = format!("{base}{}", call.target);
        text.replace("{management}", &base)
            .replace("{request}", &request)
    }
}

/// What a `nextPage` is bound to.
struct Sealed<'a> {
    feed: &'a Feed,
    tenant: &'a str,
    content_type: &'a str,
    window: &'a Window,
}

impl Sealed<'_> {
    /// The address of the page that begins with so many entries before it.
    ///
    /// Pages live under `/api/v1/`, as in the documented example; everything else is under
    /// `/api/v1.0/`. Both are served.
    fn link(&self, offset: usize) -> String {
        let base = self.feed.site.address(Service::Management);
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

    /// How many entries come before the page.
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

    /// A token such as `2026011409R0000002008a1f…`: the hour of the start, the offset, a seal.
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
        let seal = self.feed.site.ids.digest(&parts);
        let seal = hex(&seal.as_ref()[..6]);
        format!("{}R{offset:09}{seal}", start.format("%Y%m%d%H"))
    }
}
