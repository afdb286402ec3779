//! Reads a request, or a batch of requests, from a file or from stdin.
//!
//! Does not parse it: the host does.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::front::cli::stdin;
use crate::protocol::envelope::MAX_BYTES;
use crate::protocol::failure::{ErrorKind, Failure};

/// Reads one request. A longer one than allowed is truncated just above the limit.
pub(super) fn request(file: Option<&Path>) -> Result<Vec<u8>, Failure> {
    let mut request = Vec::new();
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX) + 1;
    let read = input(file)?.take(limit).read_to_end(&mut request);
    read.map_err(|error| unreadable(file, &error))?;
    Ok(request)
}

/// The failure of a request that could not be read.
pub(super) fn unreadable(file: Option<&Path>, error: &io::Error) -> Failure {
    let name = file.map_or("stdin".into(), Path::to_string_lossy);
    let message = format!("The request could not be read from {name}: {error}.");
    let advice = match file {
        None => "Write one JSON request to stdin.",
        Some(_) => "Correct the path or the file's permissions.",
    };
    Failure::new(ErrorKind::MalformedRequest, message)
        .cause("The request was not read.")
        .advice(advice)
}

/// Opens the file, or stdin.
pub(super) fn input(file: Option<&Path>) -> Result<Box<dyn BufRead + Send>, Failure> {
    match file {
        None => Ok(Box::new(BufReader::new(stdin()))),
        Some(path) => File::open(path)
            .map(|file| Box::new(BufReader::new(file)) as Box<dyn BufRead + Send>)
            .map_err(|error| unreadable(Some(path), &error)),
    }
}
