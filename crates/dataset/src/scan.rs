//! Finding rows in a file byte by byte, so that memory holds one row and the hash of the file comes out of the same pass.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::error::{self, DatasetError};

/// The longest row accepted, 256 MiB. Longer ones are files opened as the wrong format (one array read as lines), and
/// reading on would fill the memory.
const MAX_ROW_BYTES: usize = 256 << 20;

const BUFFER_BYTES: usize = 1 << 18;

/// Where a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowPlace {
    /// First byte.
    pub(crate) offset: u64,
    /// Bytes, line end not counted.
    pub(crate) len: u64,
    /// 1-based line of the first byte.
    pub(crate) line: u64,
    /// 0-based row, counting rejected rows.
    pub(crate) index: u64,
}

/// Feeds everything that is read into a hash.
struct Hashing<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// A file read from front to back that knows its offset and line and can say the hash of all it has seen.
struct Source {
    reader: BufReader<Hashing<File>>,
    path: PathBuf,
    offset: u64,
    line: u64,
}

impl Source {
    fn open(path: &Path) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(error::io("open", path))?;
        let hashing = Hashing { inner: file, hasher: blake3::Hasher::new() };
        let mut source = Source {
            reader: BufReader::with_capacity(BUFFER_BYTES, hashing),
            path: path.to_owned(),
            offset: 0,
            line: 1,
        };
        source.skip_byte_order_mark()?;
        Ok(source)
    }

    fn skip_byte_order_mark(&mut self) -> Result<(), DatasetError> {
        // A regular file fills the buffer at once, so the mark is never split.
        if self.fill()?.starts_with(b"\xEF\xBB\xBF") {
            self.reader.consume(3);
            self.offset = 3;
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<&[u8], DatasetError> {
        self.reader.fill_buf().map_err(error::io("read", &self.path))
    }

    fn peek(&mut self) -> Result<Option<u8>, DatasetError> {
        Ok(self.fill()?.first().copied())
    }

    /// Steps over the byte that [`Source::peek`] showed.
    fn bump(&mut self, byte: u8) {
        self.reader.consume(1);
        self.offset += 1;
        if byte == b'\n' {
            self.line += 1;
        }
    }

    /// The next byte that is not JSON whitespace, not consumed.
    fn peek_solid(&mut self) -> Result<Option<u8>, DatasetError> {
        while let Some(byte) = self.peek()? {
            if !byte.is_ascii_whitespace() {
                return Ok(Some(byte));
            }
            self.bump(byte);
        }
        Ok(None)
    }

    /// Reads one line into `buffer`, line end included; false at the end of the file.
    fn read_line(&mut self, buffer: &mut Vec<u8>) -> Result<bool, DatasetError> {
        buffer.clear();
        let limit = MAX_ROW_BYTES as u64 + 1;
        let count = (&mut self.reader)
            .take(limit)
            .read_until(b'\n', buffer)
            .map_err(error::io("read", &self.path))?;
        if count as u64 == limit && buffer.last() != Some(&b'\n') {
            return Err(self.too_long(self.line));
        }
        self.offset += count as u64;
        if buffer.last() == Some(&b'\n') {
            self.line += 1;
        }
        Ok(count > 0)
    }

    fn too_long(&self, line: u64) -> DatasetError {
        self.broken(
            line,
            format!("this row is longer than {} MiB; is the format right?", MAX_ROW_BYTES >> 20),
        )
    }

    fn broken(&self, line: u64, reason: String) -> DatasetError {
        DatasetError::Structure { file: self.path.clone(), line, reason }
    }

    /// Reads what is left and returns the hash of the whole file.
    fn finish(mut self) -> Result<blake3::Hash, DatasetError> {
        loop {
            let count = self.fill()?.len();
            if count == 0 {
                return Ok(self.reader.get_ref().hasher.finalize());
            }
            self.reader.consume(count);
        }
    }
}

/// Removes one line end, `\n` or `\r\n`.
pub(crate) fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How rows are laid out in a text file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One row a line; blank lines are not rows.
    Lines,
    /// One row a line; blank lines are rows too (parallel files, whose line numbers must agree).
    EveryLine,
    /// The elements of one JSON array.
    Array,
}

/// Yields the rows of a file in order.
pub(crate) struct Scanner {
    source: Source,
    layout: Layout,
    index: u64,
    ended: bool,
}

impl Scanner {
    pub(crate) fn open(path: &Path, layout: Layout) -> Result<Self, DatasetError> {
        Ok(Scanner { source: Source::open(path)?, layout, index: 0, ended: false })
    }

    /// Puts the next row into `buffer`, without line end or surrounding whitespace of an array.
    pub(crate) fn next(&mut self, buffer: &mut Vec<u8>) -> Result<Option<RowPlace>, DatasetError> {
        let found = match self.layout {
            Layout::Array => self.next_element(buffer)?,
            Layout::Lines | Layout::EveryLine => self.next_line(buffer)?,
        };
        Ok(found.map(|(offset, line)| {
            let place = RowPlace { offset, len: buffer.len() as u64, line, index: self.index };
            self.index += 1;
            place
        }))
    }

    fn next_line(&mut self, buffer: &mut Vec<u8>) -> Result<Option<(u64, u64)>, DatasetError> {
        loop {
            let (offset, line) = (self.source.offset, self.source.line);
            if !self.source.read_line(buffer)? {
                return Ok(None);
            }
            let kept = trim_line_end(buffer);
            let blank = kept.iter().all(u8::is_ascii_whitespace);
            if self.layout == Layout::EveryLine || !blank {
                buffer.truncate(kept.len());
                return Ok(Some((offset, line)));
            }
        }
    }

    fn next_element(&mut self, buffer: &mut Vec<u8>) -> Result<Option<(u64, u64)>, DatasetError> {
        if self.ended {
            return Ok(None);
        }
        let source = &mut self.source;
        if self.index == 0 {
            match source.peek_solid()? {
                Some(b'[') => source.bump(b'['),
                None => return Ok(None),
                Some(byte) => {
                    let found = format!(
                        "a JSON array begins with `[`, this file with `{}`",
                        char::from(byte)
                    );
                    return Err(source.broken(source.line, found));
                }
            }
        }
        let first = source.peek_solid()?;
        if self.index == 0 && first == Some(b']') {
            source.bump(b']');
            return self.end_array();
        }
        let (offset, line) = (source.offset, source.line);
        source.read_element(buffer, line)?;
        if buffer.is_empty() {
            return Err(source.broken(line, "a row was expected here, found a comma or `]`".into()));
        }
        if source.peek_solid()? == Some(b',') {
            source.bump(b',');
        } else {
            // `]`: read_element stops at nothing else.
            source.bump(b']');
            self.end_array()?;
        }
        Ok(Some((offset, line)))
    }

    fn end_array(&mut self) -> Result<Option<(u64, u64)>, DatasetError> {
        self.ended = true;
        if self.source.peek_solid()?.is_some() {
            let line = self.source.line;
            let reason = "there is text after the end of the JSON array".to_owned();
            return Err(self.source.broken(line, reason));
        }
        Ok(None)
    }

    /// The hash of the whole file, whether or not every row was asked for.
    pub(crate) fn finish(self) -> Result<blake3::Hash, DatasetError> {
        self.source.finish()
    }
}

impl Source {
    /// Copies one array element, up to the `,` or `]` that ends it. Only strings and brackets are followed; whether the
    /// element is JSON is for the parser to say.
    fn read_element(&mut self, buffer: &mut Vec<u8>, start: u64) -> Result<(), DatasetError> {
        buffer.clear();
        let mut depth = 0_usize;
        let mut in_string = false;
        let mut escaped = false;
        loop {
            let Some(byte) = self.peek()? else {
                let reason =
                    "the file ends inside its JSON array (`]` is missing): was it cut off?";
                return Err(self.broken(self.line, reason.to_owned()));
            };
            if in_string {
                in_string = escaped || byte != b'"';
                escaped = !escaped && byte == b'\\';
            } else {
                match byte {
                    b'"' => in_string = true,
                    b'{' | b'[' => depth += 1,
                    b',' | b']' if depth == 0 => break,
                    b'}' | b']' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
            self.bump(byte);
            buffer.push(byte);
            if buffer.len() > MAX_ROW_BYTES {
                return Err(self.too_long(start));
            }
        }
        let solid = buffer.trim_ascii_end().len();
        buffer.truncate(solid);
        Ok(())
    }
}

/// The hash of a file that is not scanned row by row.
#[cfg(feature = "parquet")]
pub(crate) fn hash_file(path: &Path) -> Result<blake3::Hash, DatasetError> {
    Source::open(path)?.finish()
}

/// Whether the file begins with these bytes.
pub(crate) fn begins_with(path: &Path, bytes: &[u8]) -> Result<bool, DatasetError> {
    Ok(Source::open(path)?.fill()?.starts_with(bytes))
}

/// The first byte of a file that is neither a byte order mark nor whitespace.
pub(crate) fn first_solid_byte(path: &Path) -> Result<Option<u8>, DatasetError> {
    Source::open(path)?.peek_solid()
}
