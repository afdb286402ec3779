//! Content of the feed: listing blobs page by page, and fetching one blob record by record.
//!
//! Of a blob only the wanted records stay, as received. Which pages and blobs are asked for, how
//! many at once, and what a missing one means, is decided in `ops`.

use chrono::{DateTime, Utc};
use ring::digest;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::json::splitter::Splitter;
use crate::json::whitespace::strip_whitespace;
use crate::microsoft::feed::filter::Filter;
use crate::microsoft::feed::record::Record;
use crate::microsoft::feed::{Feed, PUBLISHER, error};
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::memory::is_memory;
use crate::net::retry::Repeat;
use crate::net::{ApiResponse, Auth, Held, MemoryBudget, Sink, SinkError};
use crate::protocol::{ErrorKind, Failure};
use crate::when::{instant, rfc3339};

/// The header that leads to the next page; an article of the service's documentation has the other.
const NEXT_PAGE: [&str; 2] = ["NextPageUri", "NextPageUrl"];

/// A blob as a page lists it. The service documents all members; what is left out is told when the
/// blob is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// Opaque id.
    pub content_id: Option<String>,
    /// Where its records are.
    pub content_uri: Option<String>,
    /// When it became available: the feed's own time.
    pub content_created: Option<String>,
    /// Until when it can be had.
    pub content_expiration: Option<String>,
}

impl Blob {
    fn read(entry: &Value) -> Self {
        let text = |name: &str| entry[name].as_str().map(str::to_owned);
        Blob {
            content_id: text("contentId"),
            content_uri: text("contentUri"),
            content_created: text("contentCreated"),
            content_expiration: text("contentExpiration"),
        }
    }

    /// What it is called in messages and gaps.
    pub fn name(&self) -> &str {
        let name = self.content_id.as_deref().or(self.content_uri.as_deref());
        name.unwrap_or("(a blob without id and address)")
    }

    /// When it became available.
    pub fn created(&self) -> Option<DateTime<Utc>> {
        instant(self.content_created.as_deref()?, &[])
    }

    /// Whether its expiration has passed.
    pub fn is_expired(&self, now: DateTime<Utc>) -> bool {
        let expiration = self.content_expiration.as_deref();
        let expiration = expiration.and_then(|text| instant(text, &[]));
        expiration.is_some_and(|expiration| expiration <= now)
    }
}

/// One page of a listing.
#[derive(Debug)]
pub struct Page {
    /// The blobs, in the order of their availability.
    pub blobs: Vec<Blob>,
    /// The link to the next page.
    pub next: Option<String>,
}

impl Feed<'_> {
    /// The address of a listing's first page.
    pub async fn content_url(
        &self,
        content_type: ContentType,
        window: &TimeWindow,
    ) -> Result<Url, Failure> {
        let (start, end) = (moment(window.start), moment(window.end));
        let named = [
            ("contentType", content_type.name()),
            ("startTime", &start),
            ("endTime", &end),
        ];
        self.address("content", &named).await
    }

    /// One page of a listing.
    pub async fn content(&self, url: Url) -> Result<Page, Failure> {
        let url = self.published(url).await?;
        page(&self.send(self.get(url)).await?)
    }

    /// What the filter keeps of the blob at that address, which must be checked to be the feed's.
    pub async fn blob(&self, url: Url, filter: &Filter, repeat: Repeat) -> Result<Kept, Failure> {
        let url = self.published(url).await?;
        let mut request = self.get(url);
        request.repeat = repeat;
        let auth = Auth::Bearer(self.tokens, &self.connection.cloud.audiences.management);
        let mut sieve = Sieve::new(filter, self.caller.memory());
        let how = (auth, error::classify as crate::net::Classify);
        match self.caller.stream(request, how, &mut sieve).await {
            Ok(response) => sieve.close(&response),
            Err(failure) if is_memory(&failure) => Err(failure),
            Err(failure) if failure.kind() == ErrorKind::BadResponse => Err(unreadable(failure)),
            Err(failure) => Err(failure),
        }
    }

    /// The address with the publisher, if it has none: links of the service leave it out.
    async fn published(&self, mut url: Url) -> Result<Url, Failure> {
        let has = url
            .query_pairs()
            .any(|(name, _)| name.eq_ignore_ascii_case(PUBLISHER));
        if !has {
            let publisher = self.publisher().await?;
            // Appended as text: `query_pairs_mut` would encode the rest of the link anew.
            let query = match url.query() {
                Some(query) if !query.is_empty() => format!("{query}&{PUBLISHER}={publisher}"),
                _ => format!("{PUBLISHER}={publisher}"),
            };
            url.set_query(Some(&query));
        }
        Ok(url)
    }
}

/// What an answer to a listing says. An entry of another shape than documented is a blob of which
/// less is known; it keeps the others nothing back.
pub(super) fn page(response: &ApiResponse) -> Result<Page, Failure> {
    let document = response.document()?;
    let entries: Option<Vec<Value>> = serde_json::from_str(document.text())
        .ok()
        .filter(|_| document.text().starts_with('['));
    let entries =
        entries.ok_or_else(|| response.bad("the body is not an array of content blobs."))?;
    let next = NEXT_PAGE.iter().find_map(|name| response.header(name));
    Ok(Page {
        blobs: entries.iter().map(Blob::read).collect(),
        next: next.map(str::to_owned),
    })
}

/// What was kept of one blob; it counts as memory of the run until it is dropped.
#[derive(Debug)]
pub struct Kept {
    /// Records in the blob.
    pub records: u64,
    text: String,
    rows: Vec<Row>,
    held: Held,
}

/// A kept record.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its id; equal ids are equal numbers.
    pub id: Option<u128>,
    /// The beginning of the content's digest.
    pub print: u32,
    /// Where it ends in the kept text.
    pub end: usize,
}

impl Kept {
    fn new(memory: &MemoryBudget) -> Self {
        Kept {
            records: 0,
            text: String::new(),
            rows: Vec::new(),
            held: memory.hold(),
        }
    }

    /// The memory that it takes up, for who takes its records over.
    pub fn into_held(self) -> Held {
        self.held
    }

    /// The kept records with their texts, in the blob's order.
    pub fn rows(&self) -> impl Iterator<Item = (&Row, &str)> {
        let mut from = 0;
        self.rows.iter().map(move |row| {
            let text = &self.text[from..row.end];
            from = row.end;
            (row, text)
        })
    }
}

fn unreadable(failure: Failure) -> Failure {
    failure
        .cause("This content is not the array of records that the service documents.")
        .advice(
            "Request it again. If the failure persists, report its ID to the service's support.",
        )
}

/// Takes a blob as it comes and keeps what is wanted.
struct Sieve<'a> {
    filter: &'a Filter,
    splitter: Splitter,
    kept: Kept,
    memory: &'a MemoryBudget,
    /// Bytes that were counted; what is filtered out makes room for what comes.
    counted: usize,
}

impl<'a> Sieve<'a> {
    fn new(filter: &'a Filter, memory: &'a MemoryBudget) -> Self {
        Sieve {
            filter,
            splitter: Splitter::default(),
            kept: Kept::new(memory),
            memory,
            counted: 0,
        }
    }

    /// Counts what is stored by now.
    fn count(&mut self) -> Result<(), Failure> {
        let rows = self.kept.rows.len() * size_of::<Row>();
        let stored = self.kept.text.len() + rows + self.splitter.buffered();
        let more = stored.saturating_sub(self.counted);
        self.kept.held.grow(more)?;
        self.counted += more;
        Ok(())
    }

    fn close(self, response: &ApiResponse) -> Result<Kept, Failure> {
        // An array was taken to its end already; anything else is still there.
        if self.splitter.finish().is_ok() {
            return Ok(self.kept);
        }
        let content = response.content();
        Err(unreadable(response.bad(&format!(
            "expected an array of records, got {content}."
        ))))
    }
}

impl Sink for Sieve<'_> {
    fn restart(&mut self) {
        *self = Sieve::new(self.filter, self.memory);
    }

    fn end(&mut self) -> Result<(), SinkError> {
        let finished = self.splitter.finish();
        Ok(finished.map_err(|words| format!("{words}."))?)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let (filter, kept) = (self.filter, &mut self.kept);
        let pushed = self
            .splitter
            .push(bytes, &mut |text| {
                let number = kept.records;
                let unreadable = |words: String| format!("record {number} is not JSON: {words}");
                let record = Record::read(text).map_err(unreadable)?;
                kept.records += 1;
                if filter.keeps(&record) {
                    let text = strip_whitespace(text).map_err(|error| unreadable(error.0))?;
                    kept.text.push_str(&text);
                    kept.rows.push(Row {
                        id: record.id().map(|id| number_of(&id)),
                        print: print(&text),
                        end: kept.text.len(),
                    });
                }
                Ok(())
            })
            .map_err(|words| format!("{words}."));
        match pushed {
            Err(words) if self.splitter.is_too_large() => Err(SinkError::Permanent(words)),
            Err(words) => Err(words.into()),
            Ok(()) => Ok(self.count()?),
        }
    }
}

/// A moment as the feed's parameters want it: the documented form has no zone, and a fraction is
/// accepted with one only.
fn moment(time: DateTime<Utc>) -> String {
    let text = rfc3339(time);
    if text.contains('.') {
        return text;
    }
    text.trim_end_matches('Z').to_owned()
}

/// A GUID is its own number; of another id it is a part of the digest.
fn number_of(id: &str) -> u128 {
    Uuid::try_parse(id).map_or_else(|_| digested(id), |guid| guid.as_u128())
}

fn digested(id: &str) -> u128 {
    let digest = digest::digest(&digest::SHA256, id.as_bytes());
    let bytes = digest.as_ref().iter().take(16);
    bytes.fold(0, |number, byte| number << 8 | u128::from(*byte))
}

fn print(text: &str) -> u32 {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    let bytes = digest.as_ref().iter().take(4);
    bytes.fold(0, |number, byte| number << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;

    fn sift(pieces: &[&str]) -> Result<Kept, String> {
        let filter = Filter::default();
        let memory = MemoryBudget::default();
        let mut sieve = Sieve::new(&filter, &memory);
        let words = |stop| match stop {
            SinkError::Body(words) | SinkError::Permanent(words) => words,
            SinkError::Memory(failure) => failure.message().to_owned(),
        };
        for piece in pieces {
            sieve.take(piece.as_bytes()).map_err(words)?;
        }
        sieve.end().map_err(words)?;
        let closed = sieve.close(&answer(200, "", &[]));
        closed.map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn records_stay_as_received_but_for_blanks_between_tokens() {
        let kept = sift(&[
            "[ {\"Id\" : \"a\", \"n\": 1.0e5",
            "0, \"t\":\" \\u00e9 \" }, {\"Id\":\"b\"}]",
        ]);
        let kept = kept.expect("records");
        let texts: Vec<&str> = kept.rows().map(|(_, text)| text).collect();
        assert_eq!(
            texts,
            [r#"{"Id":"a","n":1.0e50,"t":" \u00e9 "}"#, r#"{"Id":"b"}"#]
        );
        assert_eq!(kept.records, 2);
    }

    #[test]
    fn equal_ids_are_equal_numbers_and_content_has_a_print() {
        let guid = "5b0f5c77-1c7a-4f2f-9a39-2f0a6a0e1100";
        assert_eq!(number_of(guid), number_of(&guid.to_uppercase()));
        assert_ne!(number_of("a"), number_of("b"));
        let kept = sift(&[r#"[{"Id":"a"},{"Id":"a","x":1},{"Id":"a"},{"x":1}]"#]).expect("records");
        let rows: Vec<Row> = kept.rows().map(|(row, _)| *row).collect();
        assert!(rows[0].id == rows[1].id && rows[0].print != rows[1].print);
        assert!(rows[0].print == rows[2].print && rows[3].id.is_none());
    }

    #[test]
    fn what_is_not_a_blob_is_a_bad_response_with_its_place() {
        let words = sift(&[r#"[{"Id":"a"},{"Id":}]"#]).expect_err("not JSON");
        assert!(words.starts_with("record 1 is not JSON: "), "{words}");
        let words = sift(&[r#"[{"Id":"a"}"#]).expect_err("cut");
        assert!(
            words.contains("the array is incomplete: the data ends at byte 11"),
            "{words}"
        );
        let page = answer(200, "<html><title>Hello</title></html>", &[]);
        let filter = Filter::default();
        let memory = MemoryBudget::default();
        let sieve = Sieve::new(&filter, &memory);
        let failure = sieve.close(&page).expect_err("a page");
        assert_eq!(failure.kind(), ErrorKind::BadResponse);
        assert!(failure.message().contains("titled \"Hello\""), "{failure}");
    }

    #[test]
    fn a_blob_is_named_by_what_it_has() {
        let entry = serde_json::json!({ "contentId": "a$b", "contentUri": 7,
            "contentCreated": "2026-01-14T09:31:12.345Z" });
        let blob = Blob::read(&entry);
        assert_eq!(blob.name(), "a$b");
        assert_eq!(
            blob.created().map(rfc3339).as_deref(),
            Some("2026-01-14T09:31:12.345Z")
        );
        assert!(Blob::default().name().contains("without"));
    }
}
