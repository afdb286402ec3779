//! Assertions of certificates in every supported form, verified with the certificate's key.

use super::*;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

const CERT: &str = include_str!("fixtures/cert.pem");
const OTHER: &str = include_str!("fixtures/other.pem");
const KEY: &str = include_str!("fixtures/key.pem");
const PKCS1: &str = include_str!("fixtures/key.pkcs1.pem");
const ENCRYPTED: &str = include_str!("fixtures/key.encrypted.pem");
const EC: &str = include_str!("fixtures/ec.pem");
const MODERN: &str = include_str!("fixtures/modern.pfx.base64");
const LEGACY: &str = include_str!("fixtures/legacy.pfx.base64");
const BARE: &str = include_str!("fixtures/bare.pfx.base64");
const PASSWORD: &str = "canary-password";
/// As OpenSSL prints it.
const SHA1: &str = "5A:F4:57:5D:60:18:6E:2B:01:93:3E:17:61:4B:16:35:4A:A7:97:7F";

fn given(certificate: &str, key: &str, thumbprint: &str) -> CertificateParameters {
    let some = |text: &str| (!text.is_empty()).then(|| Secret::new(text));
    let thumbprint = (!thumbprint.is_empty()).then(|| Thumbprint::parse(thumbprint));
    CertificateParameters {
        certificate: some(certificate),
        password: None,
        private_key: some(key),
        thumbprint: thumbprint.map(|parsed| parsed.expect("a thumbprint")),
        algorithm: Algorithm::Rs256,
    }
}

fn with_password(certificate: &str, password: &str) -> CertificateParameters {
    CertificateParameters {
        password: Some(Secret::new(password)),
        ..given(certificate, "", "")
    }
}

fn sha256_thumbprint() -> String {
    let read = key_file::read(&Secret::new(CERT), None, "").expect("a certificate");
    sha256(&read.certificates[0])
}

fn signed(given: CertificateParameters) -> Result<String, Failure> {
    let certificate = Certificate::new(given).map_err(|mut faults| faults.remove(0))?;
    let endpoint = Url::parse("https://login.test/t/oauth2/v2.0/token").expect("an address");
    let now = "2026-01-14T12:00:00Z".parse().expect("a time");
    let assertion = certificate.assertion("c", &endpoint, now)?;
    Ok(assertion.expose().to_owned())
}

fn part(assertion: &str, n: usize) -> Value {
    let text = assertion.split('.').nth(n).expect("three parts");
    let bytes = URL_SAFE_NO_PAD.decode(text).expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn verify(assertion: &str, algorithm: Algorithm) {
    let file = key_file::read(&Secret::new(KEY), None, "").expect("a key");
    let key = key_file::key_pair(&file.keys[0], "").expect("a key");
    let (message, signature) = assertion.rsplit_once('.').expect("three parts");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let public = key.public().as_ref();
    let verified = match algorithm {
        Algorithm::Rs256 => UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, public)
            .verify(message.as_bytes(), &signature),
        Algorithm::Ps256 => UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, public)
            .verify(message.as_bytes(), &signature),
    };
    verified.expect("the signature is the key's");
}

#[test]
fn assertion_has_the_documented_claims_and_header() {
    let assertion = signed(given(CERT, KEY, "")).expect("an assertion");
    verify(&assertion, Algorithm::Rs256);
    let mut claims = part(&assertion, 1);
    let jti = claims["jti"].take();
    assert!(uuid::Uuid::parse_str(jti.as_str().expect("text")).is_ok());
    let expected = json!({
        "aud": "https://login.test/t/oauth2/v2.0/token", "iss": "c", "sub": "c", "jti": null,
        "nbf": 1_768_392_000, "iat": 1_768_392_000, "exp": 1_768_392_600,
    });
    assert_eq!(claims, expected);
    let header = part(&assertion, 0);
    assert_eq!(header["alg"], "RS256");
    let Thumbprint::Sha1(bytes) = Thumbprint::parse(SHA1).expect("it parses") else {
        panic!("SHA-1")
    };
    assert_eq!(header["x5t"], URL_SAFE_NO_PAD.encode(bytes));
    assert!(header["x5t#S256"].is_string());
}

#[test]
fn ps256_algorithm_signs_with_pss() {
    let ps256 = CertificateParameters {
        algorithm: Algorithm::named(" ps256 ").expect("known"),
        ..given(CERT, KEY, "")
    };
    let assertion = signed(ps256).expect("an assertion");
    verify(&assertion, Algorithm::Ps256);
    assert_eq!(part(&assertion, 0)["alg"], "PS256");
    assert_eq!(Algorithm::named("ES256"), None);
}

#[test]
fn certificate_in_every_supported_form_signs() {
    let both = format!("{CERT}\n{KEY}");
    let chain = format!("{OTHER}{CERT}");
    let one_line = KEY.replace('\n', " ");
    let spelled = KEY.replace('\n', "\\n");
    let sha256 = sha256_thumbprint();
    for (what, given, names) in [
        ("PEM of both", given(&both, "", ""), 2),
        ("a chain", given(&chain, KEY, SHA1), 2),
        ("key and SHA-1", given("", KEY, SHA1), 1),
        ("key and SHA-256", given("", KEY, &sha256), 1),
        ("PKCS#1", given("", PKCS1, SHA1), 1),
        ("one line", given("", &one_line, SHA1), 1),
        ("line breaks spelled out", given("", &spelled, SHA1), 1),
        ("PFX", with_password(MODERN, PASSWORD), 2),
        ("old PFX", with_password(LEGACY, PASSWORD), 2),
        ("PFX without a password", given(BARE, "", ""), 2),
    ] {
        let assertion = signed(given).unwrap_or_else(|failure| panic!("{what}: {failure}"));
        verify(&assertion, Algorithm::Rs256);
        let header = part(&assertion, 0);
        let known = ["x5t", "x5t#S256"]
            .iter()
            .filter(|name| header.get(**name).is_some());
        assert_eq!(known.count(), names, "{what}");
    }
    let assertion = signed(given("", KEY, &sha256)).expect("an assertion");
    assert!(part(&assertion, 0).get("x5t").is_none());
}

/// Asserts a failure at this place with this message, with advice and without a secret.
fn assert_refused(given: CertificateParameters, at: &str, message: &str) {
    let failure = signed(given).expect_err(message);
    assert_eq!(failure.kind(), ErrorKind::InvalidInput);
    let place = format!("/connection/{at}");
    assert_eq!(failure.place(), Some(place.as_str()), "{message}");
    assert!(failure.message().contains(message), "{failure}");
    assert!(failure.assistance().is_some(), "{message}");
    assert!(!failure.to_string().contains("canary"), "{failure}");
}

#[test]
fn unusable_certificate_or_key_is_refused_with_its_reason() {
    let wrong = SHA1.replace("5A", "5B");
    let garbled = "-----BEGIN PRIVATE KEY-----\ncanary!\n-----END PRIVATE KEY-----";
    let key = |key: &str, message| assert_refused(given("", key, SHA1), "private_key", message);
    key(ENCRYPTED, "is encrypted");
    key(EC, "is not an RSA key");
    key(garbled, "is incomplete, or is not Base64");
    key("canary", "neither PEM text nor a PFX");
    assert_refused(
        given(OTHER, KEY, ""),
        "certificate",
        "do not belong together",
    );
    let mismatched = given(CERT, KEY, &wrong);
    assert_refused(
        mismatched,
        "certificate_thumbprint",
        "does not match the certificate",
    );
    for locked in [with_password(MODERN, "canary"), given(MODERN, "", "")] {
        assert_refused(locked, "certificate_password", "does not open");
    }
    assert_refused(given("Y2FuYXJ5", "", ""), "certificate", "is damaged");
}

#[test]
fn incomplete_parameters_name_the_missing_one() {
    let thumbprint = given("", "", SHA1);
    assert_refused(
        thumbprint,
        "certificate_thumbprint",
        "private key of the certificate is missing",
    );
    assert_refused(
        given("", KEY, ""),
        "private_key",
        "thumbprint of the key's certificate is missing",
    );
    assert_refused(
        given(CERT, "", ""),
        "certificate",
        "private key of the certificate is missing",
    );
    assert_refused(given(KEY, "", ""), "certificate", "but no certificate");
}

#[test]
fn thumbprint_with_separators_parses() {
    let plain = SHA1.replace(':', "");
    let spaced = SHA1.replace(':', " ").to_lowercase();
    let marked = format!("\u{200e}{plain} ");
    let expected = Thumbprint::parse(SHA1).expect("it parses");
    for text in [&plain, &spaced, &marked] {
        assert_eq!(Thumbprint::parse(text).expect("it parses"), expected);
    }
    for text in ["", "5A", "zz", &plain[1..], "not a thumbprint"] {
        assert!(Thumbprint::parse(text).is_none(), "{text}");
    }
}

#[test]
fn debug_output_contains_no_secret() {
    let certificate = Certificate::new(with_password(MODERN, PASSWORD)).expect("a certificate");
    let shown = format!("{certificate:?}");
    assert!(
        !shown.contains("canary") && !shown.contains(&MODERN[..20]),
        "{shown}"
    );
    let other = Certificate::new(given("", KEY, SHA1)).expect("a certificate");
    assert_ne!(certificate.fingerprint(), other.fingerprint());
}
