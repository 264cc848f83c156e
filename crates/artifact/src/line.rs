//! Lines of JSON that carry their own checksum, and files that only grow by them.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::ArtifactError;
use crate::hash::hash_bytes;

const CHECK_NAME: &str = ",\"check\":\"";
/// Hexadecimal digits of a line's own checksum: 64 bits against tearing.
const CHECK_DIGITS: usize = 16;
const LINE_END: &str = "\"}\n";

/// Adds the checksum to a JSON object that is not empty, and the end of the line.
pub(crate) fn seal(mut object: String) -> String {
    let check = hash_bytes(object.as_bytes());
    object.pop(); // the closing brace, which comes back behind the checksum
    object + CHECK_NAME + &check[..CHECK_DIGITS] + LINE_END
}

/// The JSON object that was sealed; the error says why there is none.
pub(crate) fn unseal(line: &[u8]) -> Result<String, &'static str> {
    let tail = CHECK_NAME.len() + CHECK_DIGITS + LINE_END.len();
    let text = str::from_utf8(line).map_err(|_| "is not UTF-8")?;
    let cut = text.len().checked_sub(tail).ok_or("is too short")?;
    let (object, tail) = text.split_at_checked(cut).ok_or("does not end in its checksum")?;
    let check = tail
        .strip_prefix(CHECK_NAME)
        .and_then(|rest| rest.strip_suffix(LINE_END))
        .ok_or("does not end in its checksum")?;
    let object = format!("{object}}}");
    if hash_bytes(object.as_bytes())[..CHECK_DIGITS] != *check {
        return Err("does not match its checksum");
    }
    Ok(object)
}

/// Whether a line may be a piece of one that a crash cut short.
///
/// A process that dies leaves a line without its end. A machine that dies may also leave blocks that
/// were never written, which read as zeros. Anything else is damage.
pub(crate) fn is_torn(line: &[u8]) -> bool {
    !line.ends_with(b"\n") || line.contains(&0)
}

/// Adds a line to a file whose whole lines take `len` bytes, and flushes it to the disk.
///
/// A failed addition may have left a piece of a line, which is cut off first: the next line must not
/// follow it.
pub(crate) fn add_line(
    file: &mut File,
    path: &Path,
    len: u64,
    line: &str,
) -> Result<(), ArtifactError> {
    let result = cut(file, len)
        .and_then(|()| file.write_all(line.as_bytes()))
        .and_then(|()| file.sync_all());
    result.map_err(|source| ArtifactError::Write {
        path: path.to_owned(),
        bytes: line.len() as u64,
        source,
    })
}

/// Makes a file `len` bytes long.
pub(crate) fn cut(file: &File, len: u64) -> io::Result<()> {
    if file.metadata()?.len() == len {
        return Ok(());
    }
    file.set_len(len)?;
    file.sync_all()
}
