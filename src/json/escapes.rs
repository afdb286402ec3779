//! Decodes one character of a text: JSON escapes, percent-encoding, and JSON inside JSON.
//!
//! A [`Decoder`] gets a text and a position, and returns the character there and where it ends. The
//! position must not be inside an escape. Characters without an escape are returned byte by byte.

/// Decodes the character at a position.
pub(crate) type Decoder = fn(&[u8], usize) -> Decoded;

/// A decoded character: one to four bytes of UTF-8, and the position after it.
#[derive(Clone, Copy)]
pub(crate) struct Decoded {
    bytes: [u8; 4],
    length: u8,
    pub(crate) end: usize,
}

impl Decoded {
    fn byte(byte: u8, end: usize) -> Self {
        Decoded {
            bytes: [byte, 0, 0, 0],
            length: 1,
            end,
        }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    #[inline]
    pub(crate) fn first(&self) -> u8 {
        self.bytes[0]
    }
}

/// No escapes.
#[inline]
pub(crate) fn plain(text: &[u8], at: usize) -> Decoded {
    Decoded::byte(text[at], at + 1)
}

/// Inside a JSON string. A lone surrogate is decoded as U+FFFD.
#[inline]
pub(crate) fn json(text: &[u8], at: usize) -> Decoded {
    unescape(text, at, plain)
}

/// JSON escapes and percent-encoding.
#[inline]
pub(crate) fn address(text: &[u8], at: usize) -> Decoded {
    percent_decode(text, at, json)
}

/// JSON escapes twice, and percent-encoding: an address in JSON inside a JSON string.
#[inline]
pub(crate) fn address_in_json(text: &[u8], at: usize) -> Decoded {
    percent_decode(text, at, |text, at| nested(text, at, json))
}

/// JSON escapes three times, and percent-encoding: a record, as a string or in a table, that itself
/// has JSON in a string.
#[inline]
pub(crate) fn address_in_nested_json(text: &[u8], at: usize) -> Decoded {
    let twice = |text: &[u8], at| nested(text, at, json);
    percent_decode(text, at, |text, at| nested(text, at, twice))
}

/// Resolves the escapes of a string's content that `read` has decoded once.
#[inline]
fn nested(text: &[u8], at: usize, read: impl Fn(&[u8], usize) -> Decoded + Copy) -> Decoded {
    let outer = read(text, at);
    // At the end of the string, a backslash starts no inner escape.
    if text.get(outer.end).is_none_or(|next| *next == b'"') {
        return outer;
    }
    unescape(text, at, read)
}

#[inline]
fn unescape(text: &[u8], at: usize, read: impl Fn(&[u8], usize) -> Decoded + Copy) -> Decoded {
    let first = read(text, at);
    if first.first() != b'\\' || first.end >= text.len() {
        return first;
    }
    let kind = read(text, first.end);
    let byte = match kind.first() {
        // JSON escapes few of these; Markdown escapes all.
        same if same.is_ascii_punctuation() => same,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => return unicode_escape(text, kind.end, read).unwrap_or(first),
        _ => return first,
    };
    Decoded::byte(byte, kind.end)
}

/// Reads the digits after `\u`, and a second escape if they are the first half of a character.
fn unicode_escape(
    text: &[u8],
    at: usize,
    read: impl Fn(&[u8], usize) -> Decoded + Copy,
) -> Option<Decoded> {
    let (high, mut end) = hexadecimal::<4>(text, at, read)?;
    let mut code = high;
    if (0xd800..0xdc00).contains(&high)
        && let Some((low, after)) = low_surrogate(text, end, read)
    {
        code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
        end = after;
    }
    let mut bytes = [0; 4];
    let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    let length = letter.encode_utf8(&mut bytes).len();
    Some(Decoded {
        bytes,
        length: u8::try_from(length).unwrap_or(1),
        end,
    })
}

fn low_surrogate(
    text: &[u8],
    at: usize,
    read: impl Fn(&[u8], usize) -> Decoded + Copy,
) -> Option<(u32, usize)> {
    let mut end = at;
    for expected in [b'\\', b'u'] {
        text.get(end)?;
        let character = read(text, end);
        if character.first() != expected {
            return None;
        }
        end = character.end;
    }
    hexadecimal::<4>(text, end, read).filter(|(low, _)| (0xdc00..0xe000).contains(low))
}

/// `%` and two digits are a byte, `+` is a space.
#[inline]
fn percent_decode(text: &[u8], at: usize, read: impl Fn(&[u8], usize) -> Decoded) -> Decoded {
    let first = read(text, at);
    match first.first() {
        b'+' => Decoded::byte(b' ', first.end),
        b'%' => match hexadecimal::<2>(text, first.end, read) {
            Some((byte, end)) => Decoded::byte(u8::try_from(byte).unwrap_or(b'%'), end),
            None => first,
        },
        _ => first,
    }
}

/// Reads hexadecimal digits. Returns the number and the position after it.
fn hexadecimal<const DIGITS: usize>(
    text: &[u8],
    at: usize,
    read: impl Fn(&[u8], usize) -> Decoded,
) -> Option<(u32, usize)> {
    let (mut number, mut end) = (0, at);
    for _ in 0..DIGITS {
        text.get(end)?;
        let character = read(text, end);
        number = number * 16 + char::from(character.first()).to_digit(16)?;
        end = character.end;
    }
    Some((number, end))
}

/// Decodes a whole text; `None` if the result is not UTF-8.
pub(crate) fn decode(text: &str, decoder: Decoder) -> Option<String> {
    let text = text.as_bytes();
    let (mut at, mut out) = (0, Vec::with_capacity(text.len()));
    while at < text.len() {
        let character = decoder(text, at);
        out.extend_from_slice(character.bytes());
        at = character.end;
    }
    String::from_utf8(out).ok()
}
