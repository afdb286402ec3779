//! Fuzz targets of the feed's responses: the splitter of records, and the classification.
//!
//! They are here because they test private functions. Inputs and edits are those of `tests/it`.

#[path = "../../../tests/it/corpus.rs"]
mod corpus;

use corpus::{Corpus, target};

use super::record::Record;
use super::{change_response, content, error, listed};
use crate::json::Document;
use crate::json::document::elements;
use crate::json::splitter::Splitter;
use crate::json::whitespace::strip_whitespace;
use crate::net::ApiResponse;
use crate::net::message::tests::answer;
use crate::protocol::failure::Codes;

/// Splits an array that is received in these pieces. Returns its records, and whether it was
/// complete.
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
    let pushed = pieces.try_for_each(|piece| splitter.push(piece, &mut each));
    let complete = pushed.and_then(|()| splitter.finish()).is_ok();
    (found, complete)
}

/// The result does not depend on the pieces, and equals that of a JSON parser.
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
fn splitter_result_does_not_depend_on_the_pieces() {
    target!("splitter", splitter);
}

/// Parses a response from text: the status, headers, an empty line, the body.
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

/// Every reading of a response returns a value or a complete failure.
fn feed(bytes: &[u8]) {
    let response = read(bytes);
    let readings = [
        error::classify(&response),
        content::page(&response).err(),
        listed(&response).err(),
        change_response(&response).err(),
    ];
    for failure in readings.into_iter().flatten() {
        let error = failure.close("It failed.", &Codes::new());
        assert!(!error.message.trim().is_empty(), "{error:?}");
        assert!(!error.status_code.is_empty(), "{error:?}");
        serde_json::to_string(&error).expect("an error serializes");
    }
    if let Ok(page) = content::page(&response) {
        for blob in &page.blobs {
            assert!(!blob.name().is_empty() || blob.content_id.is_some());
            let _ = blob.created();
        }
    }
}

#[test]
fn response_is_a_value_or_a_failure() {
    target!("feed", feed);
}
