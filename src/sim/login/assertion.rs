//! Client assertions: JSON Web Tokens that are signed with the key of a certificate. They are
//! checked in this order: format, algorithm, thumbprint, signature, client, audience, times. The
//! chain and the dates of the certificate are not checked; it must be registered.

use ring::digest::{Digest, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use webpki::EndEntityCert;
use webpki::ring::{RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256_LEGACY_KEY};

use crate::sim::base64;
use crate::sim::ids::hex;
use crate::sim::login::errors::{Refused, refused, refused_as};
use crate::sim::world::apps::der;

/// How long an assertion is accepted after its expiration, in seconds.
const MAX_SECONDS_LATE: f64 = 300.0;

/// How long before its start an assertion is accepted, in seconds. The service allows five minutes;
/// here it is a day, because the clock of a simulator can stand still for hours.
const MAX_SECONDS_EARLY: f64 = 86_400.0;

/// The length of a signature of a 2048-bit key, in bytes.
const SIGNATURE_LENGTH: usize = 256;

/// The expected values of an assertion.
pub(super) struct Expected<'a> {
    pub(super) client: &'a str,
    /// The address of the token endpoint.
    pub(super) endpoint: &'a str,
    /// The time of the request, in seconds.
    pub(super) now: f64,
    /// The registered certificates as PEM; `None` accepts any key.
    pub(super) certificates: Option<&'a [String]>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    x5t: Option<String>,
    #[serde(default, rename = "x5t#S256")]
    x5t_s256: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    sub: String,
    jti: String,
    // Seconds; some libraries write fractions.
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
}

/// Checks that the client has signed the assertion.
pub(super) fn check(assertion: &str, expected: &Expected<'_>) -> Result<(), Refused> {
    let malformed = || refused(50027, &[]);
    let parts: Vec<&str> = assertion.split('.').collect();
    let [first, second, third] = parts.as_slice() else {
        return Err(malformed());
    };
    let header: Header = read(first).ok_or_else(malformed)?;
    let claims: Claims = read(second).ok_or_else(malformed)?;
    let signature = base64::decode(third).ok_or_else(malformed)?;
    let algorithm = algorithm(&header.alg)?;
    let certificate = header.certificate(expected.certificates)?;
    if let Some(certificate) = certificate {
        let signed = format!("{first}.{second}");
        let good = EndEntityCert::try_from(&certificate)
            .and_then(|known| known.verify_signature(algorithm, signed.as_bytes(), &signature));
        good.map_err(|_| unsigned(&certificate))?;
    } else if signature.len() < SIGNATURE_LENGTH {
        return Err(malformed());
    }
    claims.fit(expected)
}

fn read<T: DeserializeOwned>(part: &str) -> Option<T> {
    serde_json::from_slice(&base64::decode(part)?).ok()
}

fn algorithm(name: &str) -> Result<&'static dyn SignatureVerificationAlgorithm, Refused> {
    match name {
        "RS256" => Ok(RSA_PKCS1_2048_8192_SHA256),
        "PS256" => Ok(RSA_PSS_2048_8192_SHA256_LEGACY_KEY),
        curve if curve.starts_with("ES") => Err(refused_as("700027_algorithm", &[])),
        other => Err(refused(5_002_738, &[other])),
    }
}

impl Header {
    /// The registered certificate with the thumbprints; `None` if any key is accepted.
    fn certificate(
        &self,
        registered: Option<&[String]>,
    ) -> Result<Option<CertificateDer<'static>>, Refused> {
        let decoded = |text: &Option<String>| text.as_deref().and_then(base64::decode);
        let (short, long) = (decoded(&self.x5t), decoded(&self.x5t_s256));
        let Some(named) = short.as_ref().or(long.as_ref()) else {
            return Err(refused(5_002_723, &[]));
        };
        let Some(registered) = registered else {
            return Ok(None);
        };
        let fits = |der: &CertificateDer<'_>| {
            let same = |given: &Option<Vec<u8>>, is_own: Digest| {
                given.as_ref().is_none_or(|given| given == is_own.as_ref())
            };
            same(&short, digest(&SHA1_FOR_LEGACY_USE_ONLY, der))
                && same(&long, digest(&SHA256, der))
        };
        let found = registered.iter().filter_map(|pem| der(pem).ok()).find(fits);
        let unknown = || refused(700_027, &[&hex(named).to_ascii_uppercase()]);
        found.map(Some).ok_or_else(unknown)
    }
}

/// The certificate is registered, but the signature is invalid. The service has an older text for
/// this case.
fn unsigned(certificate: &CertificateDer<'_>) -> Refused {
    let print = digest(&SHA1_FOR_LEGACY_USE_ONLY, certificate);
    let print = hex(print.as_ref()).to_ascii_uppercase();
    refused_as("700027_signature", &[&print])
}

impl Claims {
    fn fit(&self, expected: &Expected<'_>) -> Result<(), Refused> {
        let is_own = |name: &str| name.eq_ignore_ascii_case(expected.client);
        if !is_own(&self.iss) || !is_own(&self.sub) {
            return Err(refused(700_021, &[]));
        }
        if !self.aud.eq_ignore_ascii_case(expected.endpoint) {
            return Err(refused(700_023, &[]));
        }
        if self.jti.is_empty() {
            return Err(refused(50027, &[]));
        }
        let early = self
            .nbf
            .is_some_and(|nbf| nbf > expected.now + MAX_SECONDS_EARLY);
        if early || self.exp + MAX_SECONDS_LATE <= expected.now {
            return Err(refused(700_024, &[]));
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use ring::rand::SystemRandom;
    use ring::signature::{RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::pki_types::pem::PemObject as _;
    use serde_json::{Value, json};

    use super::*;

    /// The certificate that tests register.
    pub(in crate::sim::login) const PEM: &str = include_str!("fixtures/registered.cert.pem");
    const KEY: &str = include_str!("fixtures/registered.key.pem");
    const UNREGISTERED_KEY: &str = include_str!("fixtures/unregistered.key.pem");
    const CLIENT: &str = "aaaaaaaa-0000-1111-2222-bbbbbbbbbbbb";
    const ENDPOINT: &str = "https://127.0.0.1:1/login/t/oauth2/v2.0/token";
    const NOW: f64 = 1_768_392_000.0;

    fn sign(key: &str, header: &Value, claims: &Value) -> String {
        let key = PrivatePkcs8KeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        let with: &dyn RsaEncoding = match header["alg"].as_str() {
            Some("PS256") => &RSA_PSS_SHA256,
            _ => &RSA_PKCS1_SHA256,
        };
        let part = |value: &Value| base64::encode(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(header), part(claims));
        let mut signature = vec![0; key.public().modulus_len()];
        let random = SystemRandom::new();
        key.sign(with, &random, signed.as_bytes(), &mut signature)
            .unwrap();
        format!("{signed}.{}", base64::encode(&signature))
    }

    fn prints() -> (String, String) {
        let der = der(PEM).unwrap();
        let short = digest(&SHA1_FOR_LEGACY_USE_ONLY, &der);
        let long = digest(&SHA256, &der);
        (
            base64::encode(short.as_ref()),
            base64::encode(long.as_ref()),
        )
    }

    fn claims(client: &str, endpoint: &str) -> Value {
        json!({"aud": endpoint, "iss": client, "sub": client, "jti": "1",
               "nbf": NOW, "exp": NOW + 600.5})
    }

    /// A valid assertion of the registered certificate.
    pub(in crate::sim::login) fn good(client: &str, endpoint: &str) -> String {
        let header = json!({"alg": "RS256", "x5t": prints().0});
        sign(KEY, &header, &claims(client, endpoint))
    }

    fn checked(assertion: &str, registered: bool) -> Result<(), (u32, String)> {
        let certificates = [PEM.to_owned()];
        let expected = Expected {
            client: CLIENT,
            endpoint: ENDPOINT,
            now: NOW,
            certificates: registered.then_some(&certificates[..]),
        };
        check(assertion, &expected).map_err(|error| (error.number, error.text))
    }

    fn number(assertion: &str) -> u32 {
        checked(assertion, true).unwrap_err().0
    }

    #[test]
    fn both_algorithms_and_both_thumbprints_are_accepted() {
        let (short, long) = prints();
        for header in [
            json!({"alg": "RS256", "typ": "JWT", "x5t": short}),
            json!({"alg": "RS256", "x5t#S256": long}),
            json!({"alg": "PS256", "x5t#S256": long}),
            json!({"alg": "PS256", "x5t": short, "x5t#S256": long}),
        ] {
            let assertion = sign(KEY, &header, &claims(CLIENT, ENDPOINT));
            assert_eq!(checked(&assertion, true), Ok(()), "{header}");
        }
    }

    #[test]
    fn unregistered_certificate_is_rejected() {
        let mut print = [7; 20];
        let header = json!({"alg": "RS256", "x5t": base64::encode(&print)});
        let assertion = sign(UNREGISTERED_KEY, &header, &claims(CLIENT, ENDPOINT));
        let (number, text) = checked(&assertion, true).unwrap_err();
        assert_eq!(number, 700_027);
        let end = "Thumbprint of key used by client: '0707070707070707070707070707070707070707']";
        assert!(text.contains("is not registered on application.") && text.ends_with(end));
        print[0] = 8;
        let mixed = json!({"alg": "RS256", "x5t": base64::encode(&print), "x5t#S256": prints().1});
        let assertion = sign(KEY, &mixed, &claims(CLIENT, ENDPOINT));
        assert_eq!(checked(&assertion, true).unwrap_err().0, 700_027);
        assert_eq!(
            checked(&assertion, false),
            Ok(()),
            "anyone is welcome there"
        );
    }

    #[test]
    fn invalid_signature_is_rejected() {
        let header = json!({"alg": "RS256", "x5t": prints().0});
        let forged = sign(UNREGISTERED_KEY, &header, &claims(CLIENT, ENDPOINT));
        let (number, text) = checked(&forged, true).unwrap_err();
        assert_eq!(number, 700_027);
        assert!(text.starts_with("Client assertion contains an invalid signature."));
        let is_own = good(CLIENT, ENDPOINT);
        let (_, signature) = is_own.rsplit_once('.').unwrap();
        let changed = claims(CLIENT, &ENDPOINT.to_uppercase()).to_string();
        let first = is_own.split('.').next().unwrap();
        let changed = format!("{first}.{}.{signature}", base64::encode(changed.as_bytes()));
        assert_eq!(checked(&changed, true).unwrap_err().0, 700_027);
        // A signature with one algorithm is invalid for the other.
        let other = json!({"alg": "PS256", "x5t": prints().0}).to_string();
        let (_, rest) = is_own.split_once('.').unwrap();
        let other = format!("{}.{rest}", base64::encode(other.as_bytes()));
        assert_eq!(checked(&other, true).unwrap_err().0, 700_027);
    }

    #[test]
    fn invalid_header_or_format_is_rejected() {
        let with = |header: Value| sign(KEY, &header, &claims(CLIENT, ENDPOINT));
        assert_eq!(number(&with(json!({"alg": "ES256", "x5t": "AA"}))), 700_027);
        assert_eq!(
            number(&with(json!({"alg": "none", "x5t": "AA"}))),
            5_002_738
        );
        assert_eq!(
            number(&with(json!({"alg": "RS512", "x5t": "AA"}))),
            5_002_738
        );
        assert_eq!(number(&with(json!({"alg": "RS256"}))), 5_002_723);
        for wrong in ["a.b", "a.b.c", "e30.e30.e30", "", "...."] {
            assert_eq!(number(wrong), 50027, "{wrong}");
        }
        let is_own = good(CLIENT, ENDPOINT);
        let unsigned = format!("{}.AAAA", is_own.rsplit_once('.').unwrap().0);
        assert_eq!(checked(&unsigned, false).unwrap_err().0, 50027);
    }

    #[test]
    fn invalid_claims_are_rejected() {
        let with = |name: &str, value: Value| {
            let mut claims = claims(CLIENT, ENDPOINT);
            claims[name] = value;
            let header = json!({"alg": "RS256", "x5t": prints().0});
            sign(KEY, &header, &claims)
        };
        let cases = [
            ("iss", json!("other"), 700_021),
            ("sub", json!("other"), 700_021),
            ("aud", json!("https://127.0.0.1:1/login/t"), 700_023),
            ("jti", json!(""), 50027),
            ("jti", json!(null), 50027),
            ("exp", json!(NOW - 301.0), 700_024),
            ("nbf", json!(NOW + 86_401.0), 700_024),
        ];
        for (name, value, requested) in cases {
            let assertion = with(name, value);
            assert_eq!(number(&assertion), requested, "{name}");
            assert_eq!(
                checked(&assertion, false).unwrap_err().0,
                requested,
                "{name}"
            );
        }
        assert_eq!(checked(&with("exp", json!(NOW - 299.0)), true), Ok(()));
        assert_eq!(checked(&with("nbf", json!(NOW + 3600.0)), true), Ok(()));
    }
}
