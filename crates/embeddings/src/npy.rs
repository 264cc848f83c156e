//! `.npy`: what `numpy.save` writes.
//!
//! Six bytes of magic, two of version, the length of the header (two bytes in version 1, four in 2
//! and 3), the header (a Python dictionary), and the array.

use std::path::Path;

use crate::EmbeddingsError;
use crate::convert::Number;
use crate::embeddings::Found;
use crate::mapped::map;
use crate::piece::Piece;

const KIND: &str = ".npy";
const MAGIC: &[u8] = b"\x93NUMPY";
/// What is wrong with a header that is cut off.
const SHORT: &str = "it ends within its header";

pub(crate) fn read(path: &Path) -> Result<Found, EmbeddingsError> {
    let map = map(path)?;
    let damaged = |problem: String| EmbeddingsError::damaged(path, KIND, problem);
    let (text, offset) = header_text(&map).map_err(damaged)?;
    let header = Header::parse(text).map_err(damaged)?;
    let number = match header.descr.as_str() {
        "<f2" => Number::F16,
        "<f4" => Number::F32,
        "<f8" => Number::F64,
        other => {
            return Err(EmbeddingsError::Dtype {
                path: path.to_owned(),
                what: "the array".to_owned(),
                found: format!("numbers of type `{other}`"),
                expected: "`<f2`, `<f4` or `<f8` (little-endian floating point); \
                           save it as x.astype('<f4')",
            });
        }
    };
    let &[rows, columns] = header.shape.as_slice() else {
        let (path, what) = (path.to_owned(), "the array".to_owned());
        return Err(EmbeddingsError::Shape { path, what, found: header.shape });
    };
    if header.fortran_order {
        return Err(EmbeddingsError::FortranOrder { path: path.to_owned() });
    }
    let bytes = rows.checked_mul(columns).and_then(|count| count.checked_mul(number.bytes()));
    let end = bytes.and_then(|bytes| bytes.checked_add(offset)).ok_or_else(|| {
        damaged(format!("an array of shape {:?} fits into no file", header.shape))
    })?;
    if end != map.len() {
        let (found, expected) = (map.len() as u64, end as u64);
        return Err(EmbeddingsError::Length { path: path.to_owned(), found, expected });
    }
    let pieces = vec![Piece::of(map, offset..end, number)];
    Ok(Found { columns, pieces, ..Found::default() })
}

/// The header's text, and where the array begins.
fn header_text(file: &[u8]) -> Result<(&str, usize), String> {
    let Some(rest) = file.strip_prefix(MAGIC) else {
        return Err("it does not begin as one".to_owned());
    };
    let (version, rest) = rest.split_first_chunk::<2>().ok_or(SHORT)?;
    let (length, rest) = match version[0] {
        1 => {
            let (length, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            (usize::from(u16::from_le_bytes(*length)), rest)
        }
        2 | 3 => {
            let (length, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            (u32::from_le_bytes(*length) as usize, rest)
        }
        other => return Err(format!("version {other}.{} is not known, 1 to 3 are", version[1])),
    };
    let text = rest.get(..length).ok_or(SHORT)?;
    let text = std::str::from_utf8(text).map_err(|_| "its header is not text")?;
    Ok((text, file.len() - rest.len() + length))
}

/// The three entries of the dictionary.
#[derive(Debug, PartialEq)]
struct Header {
    descr: String,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Header {
    fn parse(text: &str) -> Result<Self, String> {
        let mut scan = Scan { text, at: 0 };
        let (mut descr, mut fortran_order, mut shape) = (None, None, None);
        scan.expect('{')?;
        while !scan.take('}') {
            let key = scan.string()?;
            scan.expect(':')?;
            match key {
                "descr" => descr = Some(scan.descr()?),
                "fortran_order" => fortran_order = Some(scan.boolean()?),
                "shape" => shape = Some(scan.tuple()?),
                other => return Err(format!("its header has an entry `{other}`")),
            }
            if !scan.take(',') {
                scan.expect('}')?;
                break;
            }
        }
        let lacks = |name: &str| format!("its header has no entry `{name}`");
        Ok(Self {
            descr: descr.ok_or_else(|| lacks("descr"))?,
            fortran_order: fortran_order.ok_or_else(|| lacks("fortran_order"))?,
            shape: shape.ok_or_else(|| lacks("shape"))?,
        })
    }
}

/// Reads as much of Python's notation as such headers use.
struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&mut self) -> &'a str {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest
    }

    fn take(&mut self, sign: char) -> bool {
        let taken = self.rest().starts_with(sign);
        self.at += if taken { sign.len_utf8() } else { 0 };
        taken
    }

    fn expect(&mut self, sign: char) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.fault(&format!("`{sign}`"))) }
    }

    fn fault(&self, expected: &str) -> String {
        let at = self.at;
        format!("character {at} of its header `{}` should be {expected}", self.text.trim_end())
    }

    fn string(&mut self) -> Result<&'a str, String> {
        let rest = self.rest();
        let quote = rest.chars().next().filter(|&sign| sign == '\'' || sign == '"');
        let quote = quote.ok_or_else(|| self.fault("a text"))?;
        let inner = &rest[1..];
        let end = inner.find(quote).ok_or_else(|| self.fault("a text that ends"))?;
        self.at += end + 2;
        Ok(&inner[..end])
    }

    /// A number type: a text, or a list for records, which is taken over as it stands.
    fn descr(&mut self) -> Result<String, String> {
        let rest = self.rest();
        if !rest.starts_with('[') {
            return self.string().map(str::to_owned);
        }
        let mut depth = 0;
        for (at, sign) in rest.char_indices() {
            depth += i32::from(sign == '[') - i32::from(sign == ']');
            if depth == 0 {
                self.at += at + 1;
                return Ok(rest[..=at].to_owned());
            }
        }
        Err(self.fault("a list that ends"))
    }

    fn boolean(&mut self) -> Result<bool, String> {
        for (word, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.fault("True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        self.expect('(')?;
        let mut sides = Vec::new();
        while !self.take(')') {
            let rest = self.rest();
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let side = rest[..digits].parse().map_err(|_| self.fault("a whole number"))?;
            sides.push(side);
            self.at += digits;
            self.take('L'); // as Python 2 wrote it
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sides)
    }
}

/// What stands before a (rows, columns) array of little-endian f32: version 1, padded so that the
/// array begins at a multiple of 64 bytes.
pub(crate) fn preamble(rows: usize, columns: usize) -> Vec<u8> {
    let mut text =
        format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let before = MAGIC.len() + 4;
    let padded = (before + text.len() + 1).next_multiple_of(64) - before;
    text.push_str(&" ".repeat(padded - 1 - text.len()));
    text.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    // Two numbers of at most 20 digits: far below what two bytes can say.
    bytes.extend((text.len() as u16).to_le_bytes());
    bytes.extend(text.as_bytes());
    bytes
}
