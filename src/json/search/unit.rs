//! How characters are written: the units of a text, each read with its escape resolved.
//!
//! Every reader takes the text and a position, and says what stands there and where it ends. A
//! position is never inside an escape of the level below.

/// What stands at a position: one to four bytes of UTF-8, and where it ends.
#[derive(Clone, Copy)]
pub(super) struct Unit {
    bytes: [u8; 4],
    length: u8,
    pub(super) end: usize,
}

impl Unit {
    fn byte(byte: u8, end: usize) -> Self {
        Unit {
            bytes: [byte, 0, 0, 0],
            length: 1,
            end,
        }
    }

    /// What it says.
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Its first byte.
    #[inline]
    pub(super) fn first(&self) -> u8 {
        self.bytes[0]
    }
}

/// The text as it stands.
#[inline]
pub(super) fn plain(text: &[u8], at: usize) -> Unit {
    Unit::byte(text[at], at + 1)
}

/// Inside a JSON string: escapes resolved.
#[inline]
pub(super) fn json(text: &[u8], at: usize) -> Unit {
    unescaped(text, at, plain)
}

/// Inside a JSON string that holds JSON: the inner escapes resolved too.
#[inline]
fn nested(text: &[u8], at: usize) -> Unit {
    let outer = json(text, at);
    // The string ends here: what follows is no part of an escape.
    if text.get(outer.end).is_none_or(|next| *next == b'"') {
        return outer;
    }
    unescaped(text, at, json)
}

/// A text, with escapes and percent-encoding resolved.
#[inline]
pub(super) fn address(text: &[u8], at: usize) -> Unit {
    decoded(text, at, json)
}

/// Inside a JSON string, with everything resolved.
#[inline]
pub(super) fn address_in_json(text: &[u8], at: usize) -> Unit {
    decoded(text, at, nested)
}

/// The same for a string that holds JSON which holds JSON, as a record in a table or in `rawJSON`.
#[inline]
pub(super) fn address_in_nested_json(text: &[u8], at: usize) -> Unit {
    decoded(text, at, nested_twice)
}

#[inline]
fn nested_twice(text: &[u8], at: usize) -> Unit {
    let outer = nested(text, at);
    if text.get(outer.end).is_none_or(|next| *next == b'"') {
        return outer;
    }
    unescaped(text, at, nested)
}

#[inline]
fn unescaped(text: &[u8], at: usize, read: impl Fn(&[u8], usize) -> Unit + Copy) -> Unit {
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
        b'u' => return character(text, kind.end, read).unwrap_or(first),
        _ => return first,
    };
    Unit::byte(byte, kind.end)
}

/// After `\u`: a character, of one unit or two.
fn character(text: &[u8], at: usize, read: impl Fn(&[u8], usize) -> Unit + Copy) -> Option<Unit> {
    let (high, mut end) = hexadecimal(text, at, (4, read))?;
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
    Some(Unit {
        bytes,
        length: u8::try_from(length).unwrap_or(1),
        end,
    })
}

fn low_surrogate(
    text: &[u8],
    at: usize,
    read: impl Fn(&[u8], usize) -> Unit + Copy,
) -> Option<(u32, usize)> {
    let mut end = at;
    for expected in [b'\\', b'u'] {
        text.get(end)?;
        let unit = read(text, end);
        if unit.first() != expected {
            return None;
        }
        end = unit.end;
    }
    hexadecimal(text, end, (4, read)).filter(|(low, _)| (0xdc00..0xe000).contains(low))
}

/// `%` and two digits are a byte, `+` is a blank.
#[inline]
fn decoded(text: &[u8], at: usize, read: impl Fn(&[u8], usize) -> Unit + Copy) -> Unit {
    let first = read(text, at);
    match first.first() {
        b'+' => Unit::byte(b' ', first.end),
        b'%' => match hexadecimal(text, first.end, (2, read)) {
            Some((byte, end)) => Unit::byte(u8::try_from(byte).unwrap_or(b'%'), end),
            None => first,
        },
        _ => first,
    }
}

/// So many hexadecimal digits, and where they end.
fn hexadecimal(
    text: &[u8],
    at: usize,
    (digits, read): (usize, impl Fn(&[u8], usize) -> Unit),
) -> Option<(u32, usize)> {
    let (mut number, mut end) = (0, at);
    for _ in 0..digits {
        text.get(end)?;
        let unit = read(text, end);
        number = number * 16 + char::from(unit.first()).to_digit(16)?;
        end = unit.end;
    }
    Some((number, end))
}

/// The whole text as that reader reads it, if it is UTF-8 then.
pub(super) fn whole(text: &str, read: impl Fn(&[u8], usize) -> Unit) -> Option<String> {
    let text = text.as_bytes();
    let (mut at, mut out) = (0, Vec::with_capacity(text.len()));
    while at < text.len() {
        let unit = read(text, at);
        out.extend_from_slice(unit.bytes());
        at = unit.end;
    }
    String::from_utf8(out).ok()
}
