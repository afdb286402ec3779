//! Content of the feed: lists blobs by page, and reads a blob record by record.
//!
//! Stores only the records that match the filter, as received. `ops` decides which pages and blobs
//! are requested, and what a missing one means.

use chrono::{DateTime, Utc};
use ring::digest;
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::json::splitter::Splitter;
use crate::json::whitespace::strip_whitespace;
use crate::microsoft::feed::filter::Filter;
use crate::microsoft::feed::record::Record;
use crate::microsoft::feed::{Feed, PUBLISHER};
use crate::microsoft::{ContentType, TimeWindow};
use crate::net::memory::is_memory;
use crate::net::retry::Repeat;
use crate::net::{ApiResponse, Held, MemoryBudget, Sink, SinkError};
use crate::protocol::{ErrorKind, Failure};
use crate::when::{instant, rfc3339};

/// The header with the link to the next page, in both documented spellings.
const NEXT_PAGE: [&str; 2] = ["NextPageUri", "NextPageUrl"];

/// A blob as a page lists it. All members are documented. A missing one becomes a failure when the
/// blob is requested.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blob {
    /// Opaque id.
    pub content_id: Option<String>,
    /// The address of its records.
    pub content_uri: Option<String>,
    /// When it became available, in the service's time.
    pub content_created: Option<String>,
    /// When it expires.
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

    /// Its name in messages and gaps.
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
    /// The blobs, as listed.
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
        let (start, end) = (format_time(window.start), format_time(window.end));
        let named = [
            ("contentType", content_type.name()),
            ("startTime", &start),
            ("endTime", &end),
        ];
        self.address("content", &named).await
    }

    /// One page of a listing.
    pub async fn content(&self, url: Url) -> Result<Page, Failure> {
        let url = self.with_publisher(url).await?;
        page(&self.send(self.get(url)).await?)
    }

    /// Reads the records of a blob that match the filter. The caller must have checked the address.
    pub async fn blob(
        &self,
        url: Url,
        filter: &Filter,
        repeat: Repeat,
    ) -> Result<BlobRecords, Failure> {
        let url = self.with_publisher(url).await?;
        let mut request = self.get(url);
        request.repeat = repeat;
        let mut reader = BlobReader::new(filter, self.caller.memory());
        match self
            .caller
            .stream(request, self.access(), &mut reader)
            .await
        {
            Ok(response) => reader.close(&response),
            Err(failure) if is_memory(&failure) => Err(failure),
            Err(failure) if failure.kind() == ErrorKind::BadResponse => Err(unreadable(failure)),
            Err(failure) => Err(failure),
        }
    }

    /// Adds the publisher to an address, because the service's links omit it.
    async fn with_publisher(&self, mut url: Url) -> Result<Url, Failure> {
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

/// Reads a page of a listing. An entry that is not as documented becomes a blob with missing
/// members, so that the other blobs are still read.
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

/// The matching records of one blob. Their memory is counted until they are dropped.
#[derive(Debug)]
pub struct BlobRecords {
    /// The number of records in the blob.
    pub records: u64,
    text: String,
    rows: Vec<Row>,
    held: Held,
}

/// A matching record.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The id as a number. Equal ids have equal numbers.
    pub id: Option<u128>,
    /// The first 32 bits of the content's SHA-256 hash.
    pub content_hash: u32,
    /// Its end in the text of all records.
    pub end: usize,
}

impl Row {
    /// The row of a record that is not in a blob.
    pub fn of(record: &Record<'_>, text: &str) -> Self {
        Row {
            id: record.id().map(|id| number_of(&id)),
            content_hash: content_hash(text),
            end: text.len(),
        }
    }
}

impl BlobRecords {
    fn new(memory: &MemoryBudget) -> Self {
        BlobRecords {
            records: 0,
            text: String::new(),
            rows: Vec::new(),
            held: memory.hold(),
        }
    }

    /// The counted memory, for a new owner of the records.
    pub fn into_held(self) -> Held {
        self.held
    }

    /// The records with their texts, in the blob's order.
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

/// Receives a blob and stores the records that match the filter.
struct BlobReader<'a> {
    filter: &'a Filter,
    splitter: Splitter,
    matching: BlobRecords,
    memory: &'a MemoryBudget,
    /// Bytes counted so far. Records that do not match free their bytes for later ones.
    counted: usize,
}

impl<'a> BlobReader<'a> {
    fn new(filter: &'a Filter, memory: &'a MemoryBudget) -> Self {
        BlobReader {
            filter,
            splitter: Splitter::default(),
            matching: BlobRecords::new(memory),
            memory,
            counted: 0,
        }
    }

    /// Counts the stored bytes.
    fn count(&mut self) -> Result<(), Failure> {
        let rows = self.matching.rows.len() * size_of::<Row>();
        let stored = self.matching.text.len() + rows + self.splitter.buffered();
        let more = stored.saturating_sub(self.counted);
        self.matching.held.grow(more)?;
        self.counted += more;
        Ok(())
    }

    fn close(self, response: &ApiResponse) -> Result<BlobRecords, Failure> {
        // The splitter has received the whole array. Every other body is in the response.
        if self.splitter.finish().is_ok() {
            return Ok(self.matching);
        }
        let content = response.content();
        Err(unreadable(response.bad(&format!(
            "expected an array of records, got {content}."
        ))))
    }
}

impl Sink for BlobReader<'_> {
    fn restart(&mut self) {
        *self = BlobReader::new(self.filter, self.memory);
    }

    fn end(&mut self) -> Result<(), SinkError> {
        let finished = self.splitter.finish();
        Ok(finished.map_err(|message| format!("{message}."))?)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let (filter, matching) = (self.filter, &mut self.matching);
        let pushed = self
            .splitter
            .push(bytes, &mut |text| {
                let number = matching.records;
                let unreadable =
                    |message: String| format!("record {number} is not JSON: {message}");
                let record = Record::read(text).map_err(unreadable)?;
                matching.records += 1;
                if filter.matches(&record) {
                    let text = strip_whitespace(text).map_err(|error| unreadable(error.0))?;
                    matching.text.push_str(&text);
                    let end = matching.text.len();
                    matching.rows.push(Row {
                        end,
                        ..Row::of(&record, &text)
                    });
                }
                Ok(())
            })
            .map_err(|message| format!("{message}."));
        match pushed {
            Err(message) if self.splitter.is_too_large() => Err(SinkError::Permanent(message)),
            Err(message) => Err(message.into()),
            Ok(()) => Ok(self.count()?),
        }
    }
}

/// Formats a time for the feed's parameters. The documented format has no time zone, but the
/// service accepts a fraction only with one.
fn format_time(time: DateTime<Utc>) -> String {
    let text = rfc3339(time);
    if text.contains('.') {
        return text;
    }
    text.trim_end_matches('Z').to_owned()
}

/// The number of an id: the GUID itself, or the first 128 bits of the id's SHA-256 hash.
fn number_of(id: &str) -> u128 {
    match Uuid::try_parse(id) {
        Ok(guid) => guid.as_u128(),
        Err(_) => u128::from_be_bytes(hash_start(id)),
    }
}

fn content_hash(text: &str) -> u32 {
    u32::from_be_bytes(hash_start(text))
}

/// The first bytes of the text's SHA-256 hash.
fn hash_start<const N: usize>(text: &str) -> [u8; N] {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    hash.as_ref().first_chunk().copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::message::tests::answer;

    fn read_blob(pieces: &[&str]) -> Result<BlobRecords, String> {
        let filter = Filter::default();
        let memory = MemoryBudget::default();
        let mut reader = BlobReader::new(&filter, &memory);
        let message = |stop| match stop {
            SinkError::Body(message) | SinkError::Permanent(message) => message,
            SinkError::Memory(failure) => failure.message().to_owned(),
        };
        for piece in pieces {
            reader.take(piece.as_bytes()).map_err(message)?;
        }
        reader.end().map_err(message)?;
        let closed = reader.close(&answer(200, "", &[]));
        closed.map_err(|failure| failure.message().to_owned())
    }

    #[test]
    fn records_are_unchanged_except_for_white_space() {
        let matching = read_blob(&[
            "[ {\"Id\" : \"a\", \"n\": 1.0e5",
            "0, \"t\":\" \\u00e9 \" }, {\"Id\":\"b\"}]",
        ]);
        let matching = matching.expect("records");
        let texts: Vec<&str> = matching.rows().map(|(_, text)| text).collect();
        assert_eq!(
            texts,
            [r#"{"Id":"a","n":1.0e50,"t":" \u00e9 "}"#, r#"{"Id":"b"}"#]
        );
        assert_eq!(matching.records, 2);
    }

    #[test]
    fn equal_ids_have_equal_numbers_and_content_has_a_hash() {
        let guid = "5b0f5c77-1c7a-4f2f-9a39-2f0a6a0e1100";
        assert_eq!(number_of(guid), number_of(&guid.to_uppercase()));
        assert_ne!(number_of("a"), number_of("b"));
        let matching =
            read_blob(&[r#"[{"Id":"a"},{"Id":"a","x":1},{"Id":"a"},{"x":1}]"#]).expect("records");
        let rows: Vec<Row> = matching.rows().map(|(row, _)| *row).collect();
        assert!(rows[0].id == rows[1].id && rows[0].content_hash != rows[1].content_hash);
        assert!(rows[0].content_hash == rows[2].content_hash && rows[3].id.is_none());
    }

    #[test]
    fn invalid_blob_is_a_bad_response_with_its_place() {
        let message = read_blob(&[r#"[{"Id":"a"},{"Id":}]"#]).expect_err("not JSON");
        assert!(message.starts_with("record 1 is not JSON: "), "{message}");
        let message = read_blob(&[r#"[{"Id":"a"}"#]).expect_err("cut");
        assert!(
            message.contains("the array is incomplete: the data ends at byte 11"),
            "{message}"
        );
        let page = answer(200, "<html><title>Hello</title></html>", &[]);
        let filter = Filter::default();
        let memory = MemoryBudget::default();
        let reader = BlobReader::new(&filter, &memory);
        let failure = reader.close(&page).expect_err("a page");
        assert_eq!(failure.kind(), ErrorKind::BadResponse);
        assert!(failure.message().contains("titled \"Hello\""), "{failure}");
    }

    #[test]
    fn blob_name_is_its_id_or_its_address() {
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
