//! Fuzz targets of the feed's answers: the splitter of records, and what an answer means.
//!
//! They stand here because what they test is private; inputs and edits are those of `tests/it`.

#[path = "../../../tests/it/corpus.rs"]
mod corpus;

use corpus::{Corpus, target};

use super::record::Record;
use super::{content, error, listed, said};
use crate::json::Document;
use crate::json::document::elements;
use crate::json::splitter::Splitter;
use crate::json::whitespace::strip_whitespace;
use crate::net::ApiResponse;
use crate::net::message::tests::answer;
use crate::protocol::failure::Codes;

/// The records of an array that comes in such pieces, read as a blob's are; and whether it was one.
fn split<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, bool) {
    let (mut splitter, mut found) = (Splitter::default(), Vec::new());
    let mut each = |text: &str| {
        let record = Record::read(text)?;
        let _ = (record.id(), record.kind(), record.workload());
        let _ = (record.operation(), record.users());
        found.push(
            strip_whitespace(text)
                .map_err(|error| error.0)?
                .into_owned(),
        );
        Ok(())
    };
    let mut pieces = pieces;
    let came = pieces.try_for_each(|piece| splitter.push(piece, &mut each));
    let whole = came.and_then(|()| splitter.finish()).is_ok();
    (found, whole)
}

/// However it is cut, the same comes out, and that is what a parser of JSON says.
fn splitter(bytes: &[u8]) {
    let once = split(std::iter::once(bytes));
    for size in [1, 2, 3, 7] {
        assert_eq!(split(bytes.chunks(size)), once, "in pieces of {size}");
    }
    let middle = bytes.split_at(bytes.len() / 2);
    assert_eq!(split([middle.0, &[], middle.1].into_iter()), once);
    let parsed = Document::from_bytes(bytes).ok();
    let array = parsed.as_ref().filter(|read| read.text().starts_with('['));
    let wanted = array.map(|read| elements(read.text()).expect("an array"));
    assert_eq!(once.1, wanted.is_some(), "is it an array?");
    if let Some(wanted) = wanted {
        assert_eq!(once.0, wanted);
    }
}

#[test]
fn an_array_is_split_the_same_however_it_is_cut() {
    target!("splitter", splitter);
}

/// An answer written as text: the status, headers, a blank line, the body.
fn read(bytes: &[u8]) -> ApiResponse {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, body) = match end {
        Some(end) => (&bytes[..end], &bytes[end + 2..]),
        None => (&b"200"[..], bytes),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.parse().ok());
    let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    let mut response = answer(status.unwrap_or(200), "", &headers);
    response.body = body.to_vec();
    response
}

/// Every reading of an answer gives a value or a failure that can be told.
fn feed(bytes: &[u8]) {
    let response = read(bytes);
    let readings = [
        error::classify(&response),
        content::page(&response).err(),
        listed(&response).err(),
        said(&response).err(),
    ];
    for failure in readings.into_iter().flatten() {
        let told = failure.close("It failed.", &Codes::new());
        assert!(!told.message.trim().is_empty(), "{told:?}");
        assert!(!told.status_code.is_empty(), "{told:?}");
        serde_json::to_string(&told).expect("an error serializes");
    }
    if let Ok(page) = content::page(&response) {
        for blob in &page.blobs {
            assert!(!blob.name().is_empty() || blob.content_id.is_some());
            let _ = blob.created();
        }
    }
}

#[test]
fn an_answer_is_a_value_or_a_failure() {
    target!("feed", feed);
}
