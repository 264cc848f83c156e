//! What programs say.
//!
//! Whoever reads may stop doing so (`| head`): then there is nobody to tell, and the work is still done.

use std::fmt::{self, Display};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Prints a text on standard output as it is. Say results after they are written to their files.
///
/// # Errors
/// Standard output that cannot be written, such as a file on a full disk; not a reader who has gone.
pub fn say(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    // In one piece, and out of the buffer: at the end of a program nobody would hear of an error.
    match out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("printing the result"),
    }
}

/// Prints what was found and then the files it was written to, a line each.
///
/// # Errors
/// As [`say`].
pub fn say_results(found: impl Display, files: &[PathBuf]) -> Result<()> {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    say(format_args!("{found}\n{}\n", files.join("\n")))
}

/// Writes a line to standard error: how the work goes on, for people who watch.
pub fn note(text: fmt::Arguments<'_>) {
    // If it cannot be written, there is nowhere to say that.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a line to standard error, as `eprintln!` does, but goes on when nobody reads it any more.
#[macro_export]
macro_rules! note {
    ($($text:tt)*) => {
        $crate::note(format_args!($($text)*))
    };
}
