//! Base64 for tokens (URL alphabet, no padding) and HTTP Basic (standard alphabet). The simulator
//! has its own code, because it shares none with the client.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The bytes in the URL alphabet, without padding.
pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes a text in either alphabet, with or without padding.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let bare = text.trim_end_matches('=');
    URL_SAFE_NO_PAD
        .decode(bare)
        .or_else(|_| STANDARD_NO_PAD.decode(bare))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_decoded_as_it_was_encoded() {
        for length in 0..20_u8 {
            let bytes: Vec<u8> = (0..length).map(|byte| byte.wrapping_mul(37)).collect();
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
    }

    #[test]
    fn known_texts_are_decoded_and_others_rejected() {
        assert_eq!(encode(b"any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw");
        assert_eq!(decode("aWQ6c2VjcmV0Kz8/"), Some(b"id:secret+??".to_vec()));
        assert_eq!(decode("YQ=="), Some(b"a".to_vec()));
        assert_eq!(decode("a"), None);
        assert_eq!(decode("a b"), None);
    }
}
