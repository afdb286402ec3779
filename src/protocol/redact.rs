//! The redactor: strikes secrets out of everything that leaves the process, and shows control
//! characters.
//!
//! Each request has a redactor of its own, so a result is never changed by another request's
//! secret, and nobody can find out another request's secret by guessing it. The log strikes out the
//! secrets of all requests that are being carried out.
//!
//! A secret is found however it is written: with any escape of JSON (also in JSON inside JSON), in
//! percent-encoding, and in Base64 with whatever before it (`id:secret`). One pass over a text finds
//! all secrets. In documents only strings are changed, so what was JSON stays JSON.
//!
//! Secrets shorter than 4 characters are not searched for, and those shorter than 6 are struck out
//! only where no letter or digit stands beside them. A secret that could be a name (letters, digits,
//! `_ - . : @ $` and blanks) is not struck out of names of members, keys and codes.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::value::RawValue;

use crate::json::search::pattern::{self, Pattern};
use crate::json::search::{SecretSearch, TextKind};
use crate::json::{Document, Stopped};
use crate::protocol::Secret;

/// Strikes registered secrets out of texts. Cheap to clone; clones share the secrets.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Inner>);

#[derive(Default)]
struct Inner {
    known: Mutex<Known>,
    /// Those of the requests that are being carried out.
    requests: Mutex<Vec<Weak<Inner>>>,
}

#[derive(Default)]
struct Known {
    patterns: Vec<Pattern>,
    /// Made when it is first needed.
    search: Option<Arc<SecretSearch>>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn search(&self) -> Option<Arc<SecretSearch>> {
        let mut known = self.known();
        if known.patterns.is_empty() {
            return None;
        }
        if known.search.is_none() {
            // Building fails only for more patterns than memory holds.
            known.search = SecretSearch::new(&known.patterns).ok().map(Arc::new);
        }
        known.search.clone()
    }
}

impl Redactor {
    /// A redactor for one request. It knows what this one knows by now, and the log's lines are
    /// searched for its secrets while it lives.
    #[must_use]
    pub fn for_request(&self) -> Redactor {
        let patterns = self.0.known().patterns.clone();
        let request = Redactor::default();
        request.0.known().patterns = patterns;
        let mut requests = self.requests();
        requests.retain(|request| request.strong_count() > 0);
        requests.push(Arc::downgrade(&request.0));
        drop(requests);
        request
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Weak<Inner>>> {
        let requests = self.0.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a secret in all its patterns.
    pub fn register(&self, secret: &Secret) {
        let patterns = pattern::patterns(secret.expose());
        let mut known = self.0.known();
        for pattern in patterns {
            if !known.patterns.contains(&pattern) {
                known.patterns.push(pattern);
                known.search = None;
            }
        }
    }

    /// The words with every secret struck out, and control characters shown.
    pub fn words(&self, text: &str) -> String {
        visible(&self.struck(text, TextKind::Message))
    }

    /// A name, a key or a code; struck out of only if a secret cannot be one.
    pub fn name(&self, text: &str) -> String {
        self.struck(text, TextKind::Name)
    }

    /// A line of the log, with the secrets of all requests struck out.
    pub fn line(&self, text: &str) -> String {
        let mut line = self.struck(text, TextKind::Message);
        let requests: Vec<_> = self.requests().iter().filter_map(Weak::upgrade).collect();
        for request in requests {
            line = Redactor(request).struck(&line, TextKind::Message);
        }
        visible(&line)
    }

    fn struck(&self, text: &str, kind: TextKind) -> String {
        let search = self.0.search();
        let struck = search.and_then(|search| search.redact(text, kind, &|| false).ok()?);
        struck.unwrap_or_else(|| text.to_owned())
    }

    /// The document with every secret struck out of its strings; it stays JSON. `stop` is asked now
    /// and then.
    pub fn document(
        &self,
        document: &Document,
        stop: &dyn Fn() -> bool,
    ) -> Result<Document, Stopped> {
        let Some(search) = self.0.search() else {
            return Ok(document.clone());
        };
        match search.redact(document.text(), TextKind::Json, stop)? {
            None => Ok(document.clone()),
            Some(text) => Document::from_compact(text).map_err(|_| Stopped),
        }
    }

    /// The same for a value of an event; none: it has no secret in it.
    pub fn value(
        &self,
        value: &RawValue,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Box<RawValue>>, Stopped> {
        let Some(search) = self.0.search() else {
            return Ok(None);
        };
        let struck = search.redact(value.get(), TextKind::Json, stop)?;
        let raw = struck.map(RawValue::from_string).transpose();
        raw.map_err(|_| Stopped)
    }

    /// Is nothing registered?
    pub fn is_idle(&self) -> bool {
        self.0.known().patterns.is_empty()
    }
}

/// Is it so short that it is struck out only where it stands alone, or not at all?
pub fn is_short(secret: &Secret) -> bool {
    secret.expose().chars().count() < pattern::SHORT
}

/// The text with control characters, and those that change the direction of writing, shown as
/// escapes: a terminal obeys them. Line breaks and tabs stay.
pub fn visible(text: &str) -> String {
    let obeyed = |letter: char| match letter {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        letter => letter.is_control(),
    };
    if !text.contains(obeyed) {
        return text.to_owned();
    }
    let text = text.replace("\r\n", "\n");
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if obeyed(letter) {
            // Writing to a string cannot fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    shown
}

#[cfg(test)]
mod tests;
