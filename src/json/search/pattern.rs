//! The patterns to search for, for one secret: the secret itself, and its Base64 at each alignment.
//!
//! Escapes and percent-encoding are not part of a pattern: the search decodes the text.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::json::escapes;

/// Shorter secrets are not searched for: they would match ordinary words.
const SHORTEST: usize = 4;
/// Shorter secrets are replaced only where they are a whole word.
pub(crate) const SHORT: usize = 6;
/// Longer secrets (tokens, keys) are not searched for in Base64.
const LONGEST_IN_BASE64: usize = 256;
/// Names and codes are shorter than this.
const LONGEST_NAME: usize = 64;

/// A text that reveals a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    /// Is it replaced in names and codes too? False if the secret could itself be a name.
    pub(crate) in_names: bool,
    /// Is it replaced only where no letter or digit is adjacent? True if the secret is short.
    pub(crate) whole_word: bool,
}

/// The patterns of a secret.
pub(crate) fn patterns(secret: &str) -> Vec<Pattern> {
    let letters = secret.chars().count();
    if letters < SHORTEST {
        return Vec::new();
    }
    let mut texts = vec![secret.to_owned()];
    if letters >= SHORT && secret.len() <= LONGEST_IN_BASE64 {
        texts.extend(in_base64(secret));
        // HTTP Basic sign-in encodes the secret like this (RFC 6749, section 2.3.1).
        for encoded in percent_encoded(secret) {
            texts.extend(in_base64(&encoded));
        }
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@$ ".contains(&byte);
    let in_names = secret.len() > LONGEST_NAME || !secret.bytes().all(is_name);
    let mut patterns: Vec<Pattern> = Vec::new();
    for text in texts {
        // A secret can itself look like an escape. The search sees it decoded then.
        let unescaped = escapes::decode(&text, escapes::json);
        let decoded = escapes::decode(&text, escapes::address);
        let spaced = Some(text.replace('+', " "));
        for text in [Some(text), unescaped, decoded, spaced]
            .into_iter()
            .flatten()
        {
            let pattern = Pattern {
                text,
                in_names,
                whole_word: letters < SHORT,
            };
            if pattern.text.len() >= SHORTEST && !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
    }
    patterns
}

/// The percent-encoded forms of a text: as in a form, by RFC 3986, and by JavaScript's
/// `encodeURIComponent`, each with upper and lower case digits. Without the text itself.
fn percent_encoded(text: &str) -> Vec<String> {
    let encode = |plain: &[u8], is_upper: bool| -> String {
        let encoded = text.bytes().map(|byte| match is_upper {
            _ if byte.is_ascii_alphanumeric() || plain.contains(&byte) => {
                char::from(byte).to_string()
            }
            true => format!("%{byte:02X}"),
            false => format!("%{byte:02x}"),
        });
        encoded.collect()
    };
    let mut forms: Vec<String> = Vec::new();
    for is_upper in [true, false] {
        let form = encode(b"*-._", is_upper).replace("%20", "+");
        forms.extend([
            form,
            encode(b"-._~", is_upper),
            encode(b"-._!~*'()", is_upper),
        ]);
    }
    forms.retain(|form| form != text);
    forms.sort();
    forms.dedup();
    forms
}

/// The Base64 characters that depend on the text alone, not on adjacent bytes: one string for each
/// of the three alignments, in both alphabets.
fn in_base64(text: &str) -> impl Iterator<Item = String> {
    (0..3).flat_map(move |before: usize| {
        let padded = [vec![0; before], text.as_bytes().to_vec()].concat();
        let (from, to) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
        [
            STANDARD_NO_PAD.encode(&padded),
            URL_SAFE_NO_PAD.encode(&padded),
        ]
        .map(|encoded| encoded.get(from..to).unwrap_or_default().to_owned())
    })
}
