//! The forms in which a secret can stand in a text whose escapes are resolved: as it is, and in
//! Base64 at every alignment.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use super::unit;

/// A shorter secret is not searched for: it would strike out ordinary words.
const SHORTEST: usize = 4;
/// A shorter secret is struck out only where it stands alone.
pub(crate) const SHORT: usize = 6;
/// Longer secrets (tokens, keys) are not searched for in Base64.
const LONGEST_IN_BASE64: usize = 256;
/// Names and codes are shorter than this.
const LONGEST_NAME: usize = 64;

/// One form of a secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) text: String,
    /// The secret cannot be taken for a name or a code, so it is struck out of names and codes too.
    pub(crate) unlike_names: bool,
    /// The secret is short: it is struck out only between characters that are no letters or digits.
    pub(crate) alone: bool,
}

/// All forms of a secret.
pub(crate) fn forms(secret: &str) -> Vec<Form> {
    let letters = secret.chars().count();
    if letters < SHORTEST {
        return Vec::new();
    }
    let mut texts = vec![secret.to_owned()];
    if letters >= SHORT && secret.len() <= LONGEST_IN_BASE64 {
        texts.extend(in_base64(secret));
        // As the sign-in by HTTP Basic has it (RFC 6749, section 2.3.1).
        let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        if encoded != secret {
            texts.extend(in_base64(&encoded));
        }
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:@$ ".contains(&byte);
    let unlike_names = secret.len() > LONGEST_NAME || !secret.bytes().all(is_name);
    let mut forms: Vec<Form> = Vec::new();
    for text in texts {
        // What it becomes where a text is read as if it had escapes.
        let escaped = unit::whole(&text, unit::json);
        let encoded = unit::whole(&text, unit::address);
        let flat = Some(text.replace('+', " "));
        for text in [Some(text), escaped, encoded, flat].into_iter().flatten() {
            let form = Form {
                text,
                unlike_names,
                alone: letters < SHORT,
            };
            if form.text.len() >= SHORTEST && !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The characters of Base64 that are the text's alone, whatever stands before and after it: one
/// part for each of the three alignments, in both alphabets.
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
