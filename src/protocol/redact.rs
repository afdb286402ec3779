//! The redactor: replaces secrets in everything that leaves the process, and escapes control
//! characters.
//!
//! Each request has its own redactor. Otherwise the sender of one request could guess a secret of
//! another and see from the redacted result that the guess is right. The log replaces the secrets of
//! all requests that are running.
//!
//! A secret is found in plain text, with JSON escapes (also in JSON inside JSON), in
//! percent-encoding, and in Base64 with any prefix (`id:secret`). In documents only the content of
//! strings is replaced, so they stay valid JSON.
//!
//! Secrets shorter than 4 characters are not replaced. Those shorter than 6 are replaced only where
//! they are a whole word. A secret that could itself be a name (letters, digits, spaces and
//! `_ - . : @ $` only) is not replaced in member names, keys and codes.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde_json::value::RawValue;

use crate::json::search::pattern::{self, Pattern};
use crate::json::search::{SecretSearch, TextKind};
use crate::json::{Document, Stopped};
use crate::protocol::Secret;

/// Replaces registered secrets in texts. Cheap to clone; clones share the secrets.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Inner>);

#[derive(Default)]
struct Inner {
    known: Mutex<Known>,
    /// The redactors of the requests that are running.
    requests: Mutex<Vec<Weak<Inner>>>,
}

#[derive(Default)]
struct Known {
    patterns: Vec<Pattern>,
    /// Built when it is first needed.
    search: Option<Arc<SecretSearch>>,
    /// Texts that were checked without the search.
    checked: usize,
}

/// So many short texts are checked without the search: more than a rejected request has. For more
/// texts, building the search is cheaper.
const CHECKED_WITHOUT_SEARCH: usize = 64;

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor(***)")
    }
}

impl Inner {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a short text without escapes has no secret. Building the search takes a third of the
    /// time of a rejected request, and most results do not need it.
    fn is_clean(&self, text: &str) -> bool {
        let mut known = self.known();
        known.checked = known.checked.saturating_add(1);
        known.search.is_none()
            && known.checked <= CHECKED_WITHOUT_SEARCH
            && known.patterns.len() <= 64
            && text.len() <= 4096
            && memchr::memchr3(b'\\', b'%', b'+', text.as_bytes()).is_none()
            && known
                .patterns
                .iter()
                .all(|one| memchr::memmem::find(text.as_bytes(), one.text.as_bytes()).is_none())
    }

    fn search(&self) -> Option<Arc<SecretSearch>> {
        let mut known = self.known();
        if known.patterns.is_empty() {
            return None;
        }
        if known.search.is_none() {
            // Fails only for more patterns than fit into memory.
            known.search = SecretSearch::new(&known.patterns).ok().map(Arc::new);
        }
        known.search.clone()
    }
}

impl Redactor {
    /// Creates the redactor of one request, with the secrets known so far. Log lines are searched
    /// for its secrets until it is dropped.
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

    /// Registers a secret.
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

    /// Redacts text for people and escapes its control characters.
    pub fn redact_text(&self, text: &str) -> String {
        escape_control_characters(&self.redact(text, TextKind::Message))
    }

    /// Redacts a name, a key or a code.
    pub fn redact_name(&self, text: &str) -> String {
        self.redact(text, TextKind::Name)
    }

    /// Redacts a log line, with the secrets of all requests, and escapes its control characters.
    pub fn redact_log_line(&self, text: &str) -> String {
        let mut line = self.redact(text, TextKind::Message);
        let requests: Vec<_> = self.requests().iter().filter_map(Weak::upgrade).collect();
        for request in requests {
            line = Redactor(request).redact(&line, TextKind::Message);
        }
        escape_control_characters(&line)
    }

    fn redact(&self, text: &str, kind: TextKind) -> String {
        if self.0.is_clean(text) {
            return text.to_owned();
        }
        let search = self.0.search();
        let redacted = search.and_then(|search| search.redact(text, kind, &|| false).ok()?);
        redacted.unwrap_or_else(|| text.to_owned())
    }

    /// Redacts the strings of a document. `stop` is called at intervals.
    pub fn redact_document(
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

    /// Redacts the value of an event's field. Returns `None` if it has no secret.
    pub fn redact_value(
        &self,
        value: &RawValue,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<Box<RawValue>>, Stopped> {
        let Some(search) = self.0.search() else {
            return Ok(None);
        };
        let redacted = search.redact(value.get(), TextKind::Json, stop)?;
        let raw = redacted.map(RawValue::from_string).transpose();
        raw.map_err(|_| Stopped)
    }

    /// Has no secret been registered?
    pub fn is_empty(&self) -> bool {
        self.0.known().patterns.is_empty()
    }
}

/// Is the secret so short that it is replaced only where it is a whole word, or not at all?
pub fn is_short(secret: &Secret) -> bool {
    secret.expose().chars().count() < pattern::SHORT
}

/// Escapes control characters, and those that change the direction of text, because a terminal
/// obeys them. Line breaks and tabs are unchanged.
pub fn escape_control_characters(text: &str) -> String {
    let is_control = |letter: char| match letter {
        '\n' | '\t' => false,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => true,
        letter => letter.is_control(),
    };
    if !text.contains(is_control) {
        return text.to_owned();
    }
    let text = text.replace("\r\n", "\n");
    let mut escaped = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_control(letter) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(letter));
        } else {
            escaped.push(letter);
        }
    }
    escaped
}

#[cfg(test)]
mod tests;
