//! Tests of the PFX reader, over files that OpenSSL wrote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::structure::MacData;
use super::*;

const PASSWORD: &str = "canary-password";
/// Written by OpenSSL 3: AES-256 and SHA-256; RC2-40, Triple DES and SHA-1; RC2-128; AES-128,
/// Triple DES by PBES2 and SHA-512.
const FILES: [&str; 4] = [
    include_str!("../certificate/fixtures/modern.pfx.base64"),
    include_str!("../certificate/fixtures/legacy.pfx.base64"),
    include_str!("../certificate/fixtures/rc2-128.pfx.base64"),
    include_str!("../certificate/fixtures/sha512.pfx.base64"),
];
const WITHOUT_CHECK: &str = include_str!("../certificate/fixtures/no-mac.pfx.base64");
const WITHOUT_PASSWORD: &str = include_str!("../certificate/fixtures/bare.pfx.base64");

fn file(text: &str) -> Vec<u8> {
    let text: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(text).expect("Base64")
}

fn refused(file: &[u8], password: &str) -> Error {
    let opened = Archive::open(file, password);
    opened.err().expect("it does not open")
}

#[test]
fn every_cipher_opens_with_the_right_password_only() {
    let expected = Archive::open(&file(FILES[0]), PASSWORD).expect("it opens");
    for text in FILES.into_iter().chain([WITHOUT_CHECK]) {
        let opened = Archive::open(&file(text), PASSWORD).expect("it opens");
        assert_eq!(opened.certificates, expected.certificates);
        assert_eq!(opened.keys.len(), 1);
        assert!(opened.keys == expected.keys);
        for wrong in ["", "canary", "canary-passwor\u{64}\u{301}"] {
            assert_eq!(refused(&file(text), wrong), Error::WrongPassword, "{text}");
        }
    }
    assert!(Archive::open(&file(WITHOUT_PASSWORD), "").is_ok());
    assert_eq!(refused(&file(WITHOUT_PASSWORD), "x"), Error::WrongPassword);
}

#[test]
fn altered_file_is_damaged() {
    for text in FILES {
        let whole = file(text);
        for end in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
            assert_eq!(refused(&whole[..end], PASSWORD), Error::Damaged, "{end}");
        }
        // The last byte of the salt of the integrity check, and of its code.
        let salt = whole.len() - 5;
        for at in [salt, salt - 12] {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert_eq!(refused(&altered, PASSWORD), Error::Damaged, "{at}");
        }
    }
    assert_eq!(refused(b"canary", PASSWORD), Error::Damaged);
}

#[test]
fn damaged_file_never_panics() {
    let whole = file(FILES[1]);
    for at in (0..whole.len()).step_by(151) {
        let mut altered = whole.clone();
        altered[at] = altered[at].wrapping_add(0x80);
        // Some altered files still open. A false length must not allocate gigabytes.
        let _ = Archive::open(&altered, PASSWORD);
    }
}

#[test]
fn number_of_rounds_is_bounded() {
    // 2,147,483,647 rounds of SHA-1 over nothing.
    let check = b"\x30\x15\x30\x0b\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a\x04\x00\x04\x00\x02\x04\x7f\xff\xff\xff";
    let check = MacData::from_der(check).expect("an integrity check");
    assert_eq!(
        Password::new("").verify(&check, b""),
        Err(Error::Unsupported("number of rounds"))
    );
}
