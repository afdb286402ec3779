//! The ASN.1 structures of PFX files that are read (RFC 7292, RFC 5652 and RFC 8018).
//!
//! Types and members have the names of the RFCs. Does not interpret object identifiers.

use der::Sequence;
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef};

/// The file.
#[derive(Sequence)]
pub(super) struct Pfx<'a> {
    version: u8,
    pub(super) auth_safe: ContentInfo<'a>,
    #[asn1(optional = "true")]
    pub(super) mac_data: Option<MacData<'a>>,
}

#[derive(Sequence)]
pub(super) struct ContentInfo<'a> {
    pub(super) content_type: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) content: AnyRef<'a>,
}

/// The integrity code of the content.
#[derive(Sequence)]
pub(super) struct MacData<'a> {
    pub(super) mac: DigestInfo<'a>,
    pub(super) mac_salt: &'a OctetStringRef,
    #[asn1(default = "one")]
    pub(super) iterations: u32,
}

fn one() -> u32 {
    1
}

#[derive(Sequence)]
pub(super) struct DigestInfo<'a> {
    pub(super) digest_algorithm: AlgorithmIdentifier<'a>,
    pub(super) digest: &'a OctetStringRef,
}

#[derive(Sequence)]
pub(super) struct AlgorithmIdentifier<'a> {
    pub(super) algorithm: ObjectIdentifier,
    #[asn1(optional = "true")]
    pub(super) parameters: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct EncryptedData<'a> {
    version: u8,
    pub(super) encrypted_content_info: EncryptedContentInfo<'a>,
    #[asn1(optional = "true")]
    unprotected_attrs: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct EncryptedContentInfo<'a> {
    content_type: ObjectIdentifier,
    pub(super) content_encryption_algorithm: AlgorithmIdentifier<'a>,
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    pub(super) encrypted_content: &'a OctetStringRef,
}

#[derive(Sequence)]
pub(super) struct SafeBag<'a> {
    pub(super) id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) value: AnyRef<'a>,
    #[asn1(optional = "true")]
    attributes: Option<AnyRef<'a>>,
}

#[derive(Sequence)]
pub(super) struct CertBag<'a> {
    pub(super) id: ObjectIdentifier,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    pub(super) value: AnyRef<'a>,
}

#[derive(Sequence)]
pub(super) struct EncryptedPrivateKeyInfo<'a> {
    pub(super) encryption_algorithm: AlgorithmIdentifier<'a>,
    pub(super) encrypted_data: &'a OctetStringRef,
}

/// Parameters of the key derivation of RFC 7292.
#[derive(Sequence)]
pub(super) struct PbeParameter<'a> {
    pub(super) salt: &'a OctetStringRef,
    pub(super) iterations: u32,
}

#[derive(Sequence)]
pub(super) struct Pbes2Params<'a> {
    pub(super) key_derivation_func: AlgorithmIdentifier<'a>,
    pub(super) encryption_scheme: AlgorithmIdentifier<'a>,
}

#[derive(Sequence)]
pub(super) struct Pbkdf2Params<'a> {
    pub(super) salt: &'a OctetStringRef,
    pub(super) iteration_count: u32,
    #[asn1(optional = "true")]
    key_length: Option<u32>,
    #[asn1(optional = "true")]
    pub(super) prf: Option<AlgorithmIdentifier<'a>>,
}
