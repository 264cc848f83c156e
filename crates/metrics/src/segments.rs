//! Text files of one segment a line.

use std::fs;
use std::path::Path;

use crate::MetricsError;

/// Reads a text file of one segment a line, UTF-8.
///
/// Lines end with a line feed, with or without a carriage return before it; other characters that break
/// lines in Unicode do not end a segment. Empty lines are segments. A byte order mark at the beginning
/// of the file is not part of the text.
///
/// # Errors
/// A file that cannot be read or has no line, or the first line that is not UTF-8.
pub fn read_segments(path: impl AsRef<Path>) -> Result<Vec<String>, MetricsError> {
    read_lines(path.as_ref(), "text with one segment a line")
}

/// The lines of a file as [`read_segments`] understands them.
pub(crate) fn read_lines(path: &Path, expected: &'static str) -> Result<Vec<String>, MetricsError> {
    let bytes =
        fs::read(path).map_err(|source| MetricsError::Io { path: path.to_owned(), source })?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    if bytes.is_empty() {
        return Err(MetricsError::Empty { path: path.to_owned(), expected });
    }
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let mut lines = Vec::new();
    for (n, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = str::from_utf8(line).map_err(|error| MetricsError::Line {
            path: path.to_owned(),
            line: n + 1,
            reason: format!(
                "byte {} of the line is not UTF-8; save the file as UTF-8",
                error.valid_up_to() + 1
            ),
        })?;
        lines.push(line.to_owned());
    }
    Ok(lines)
}
