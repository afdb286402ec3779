//! DER as PFX files use it: elements with a one-byte tag and a definite length.
//!
//! Knows nothing of what the elements mean.

use super::Error;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed.
pub(super) const CONTEXT: u8 = 0xa0;
/// `[0] IMPLICIT OCTET STRING`.
pub(super) const CONTEXT_OCTETS: u8 = 0x80;

/// Elements that follow each other.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The elements of that text.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Elements(bytes)
    }

    /// Is there no element left?
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element.
    pub(super) fn tag(self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The content of the next element, which must have that tag.
    pub(super) fn take(&mut self, tag: u8) -> Result<&'a [u8], Error> {
        let (&found, rest) = self.0.split_first().ok_or(Error::Damaged)?;
        let (&first, rest) = rest.split_first().ok_or(Error::Damaged)?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let digits = usize::from(first & 0x7f);
                let (digits, rest) = rest.split_at_checked(digits).ok_or(Error::Damaged)?;
                let length = digits
                    .iter()
                    .fold(0, |n, digit| n << 8 | usize::from(*digit));
                (length, rest)
            }
            // Old versions of Windows and Firefox wrote lengths that are not said beforehand.
            0x80 => return Err(Error::Unsupported("encoding (BER)")),
            _ => return Err(Error::Damaged),
        };
        let (content, rest) = rest.split_at_checked(length).ok_or(Error::Damaged)?;
        if found != tag {
            return Err(Error::Damaged);
        }
        self.0 = rest;
        Ok(content)
    }

    /// The elements inside the next one, which must have that tag.
    pub(super) fn enter(&mut self, tag: u8) -> Result<Elements<'a>, Error> {
        self.take(tag).map(Elements)
    }

    /// A small, positive number.
    pub(super) fn number(&mut self) -> Result<u32, Error> {
        let digits = self.take(INTEGER)?;
        if digits.is_empty() || digits.len() > 5 || digits[0] > 0x7f {
            return Err(Error::Damaged);
        }
        let number = digits.iter().fold(0, |n, digit| n << 8 | u64::from(*digit));
        u32::try_from(number).map_err(|_| Error::Damaged)
    }
}
