//! An external trainer: any program that reads a JSONL file and writes a model folder.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, OpenOptions, TryLockError};
use std::path::{Path, PathBuf, absolute};
use std::process::{Command, Stdio};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::EvolError;
use crate::folder::remove;

/// Bytes from the end of a failed command's output that its error shows.
const TAIL: usize = 2000;

/// The command line of an external trainer.
///
/// Words are separated by spaces; single and double quotes and the backslash keep spaces in a word, as
/// in a shell. In every word the names in braces are replaced by absolute paths: `{data}`, the training
/// rows; `{out}`, the folder to write the model to, which does not exist yet; `{model}`, the base model;
/// `{work}`, a folder that stays over interruptions, for checkpoints. Other braces stay as they are.
///
/// No shell is started. Where pipes or variables are wanted, give the paths to a shell as arguments, so
/// that it does not split them: `sh -c 'cd ~/trainer && ./train "$1" "$2"' sh {data} {out}`.
///
/// ```
/// use tamis_diverse_evol::TrainCommand;
///
/// # fn main() -> Result<(), tamis_diverse_evol::EvolError> {
/// let command: TrainCommand = "python train.py --data {data} --base {model} --out {out}".parse()?;
/// assert!("python train.py {data}".parse::<TrainCommand>().is_err()); // nowhere to write to
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainCommand {
    text: String,
    words: Vec<String>,
}

/// What the names in braces stand for.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// Training rows, a JSONL file.
    pub data: &'a Path,
    /// Where the trained model has to appear.
    pub out: &'a Path,
    /// The base model.
    pub model: &'a Path,
    /// A folder that stays over interruptions.
    pub work: &'a Path,
}

impl Places<'_> {
    const NAMES: [&'static str; 4] = ["{data}", "{out}", "{model}", "{work}"];

    fn all(&self) -> [(&'static str, &Path); 4] {
        let paths = [self.data, self.out, self.model, self.work];
        std::array::from_fn(|i| (Self::NAMES[i], paths[i]))
    }
}

/// A word with the paths in it.
fn fill(word: &str, places: &[(&'static str, PathBuf)]) -> OsString {
    let (mut filled, mut rest) = (OsString::new(), word);
    let next = |rest: &str| {
        let found = places.iter().filter_map(|(name, path)| Some((rest.find(name)?, name, path)));
        found.min_by_key(|found| found.0)
    };
    while let Some((at, name, path)) = next(rest) {
        filled.push(&rest[..at]);
        filled.push(path);
        rest = &rest[at + name.len()..];
    }
    filled.push(rest);
    filled
}

impl FromStr for TrainCommand {
    type Err = EvolError;

    fn from_str(text: &str) -> Result<Self, EvolError> {
        let bad = |problem: String| EvolError::Command { command: text.to_owned(), problem };
        let words = split(text).map_err(|problem| bad(problem.to_owned()))?;
        if words.is_empty() {
            return Err(bad("names no program".to_owned()));
        }
        for needed in ["{data}", "{out}"] {
            if !words.iter().any(|word| word.contains(needed)) {
                return Err(bad(format!("does not say where {needed} goes")));
            }
        }
        Ok(Self { text: text.to_owned(), words })
    }
}

impl fmt::Display for TrainCommand {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

/// As it was given.
impl Serialize for TrainCommand {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl TrainCommand {
    /// Runs the command and waits for its end; what it says goes to `log`.
    ///
    /// The log is locked for as long as the command lives: if this process is killed and the command is
    /// not, another start is refused until it has ended. Only then is what an interrupted command left
    /// in [`Places::out`] removed.
    ///
    /// # Errors
    /// [`EvolError::CommandFailed`] if it cannot be started, ends with another status than 0 or is
    /// killed, with the end of what it said; [`EvolError::StillRunning`].
    pub fn run(&self, places: &Places<'_>, log: &Path) -> Result<(), EvolError> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file.map_err(EvolError::io("open", log))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(EvolError::StillRunning { log: log.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(EvolError::io("lock", log)(error)),
        }
        file.set_len(0).map_err(EvolError::io("empty", log))?;
        remove(places.out)?;
        let places = places
            .all()
            .map(|(name, path)| Ok((name, absolute(path).map_err(EvolError::io("find", path))?)));
        let places = places.into_iter().collect::<Result<Vec<_>, EvolError>>()?;
        let words: Vec<OsString> = self.words.iter().map(|word| fill(word, &places)).collect();
        let copy = |file: &fs::File| file.try_clone().map_err(EvolError::io("open", log));
        // Both share the lock, and keep it as long as the command has them.
        let (output, errors) = (copy(&file)?, copy(&file)?);
        drop(file);
        let program = words.first().map_or(OsStr::new(""), OsString::as_os_str);
        let mut command = Command::new(program);
        command.args(words.iter().skip(1));
        let status = command.stdin(Stdio::null()).stdout(output).stderr(errors).status();
        let problem = match status {
            Ok(status) if status.success() => return Ok(()),
            Ok(status) => format!("ended with {status}"),
            Err(error) => format!("cannot be started: {error}"),
        };
        let shown: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let (command, log, tail) = (shown.join(" "), log.to_owned(), tail(log));
        Err(EvolError::CommandFailed { command, problem, log, tail })
    }
}

/// The last lines of a file.
fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL)..]).into_owned();
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(":\n{text}") }
}

/// Words as a shell splits them, without its variables and patterns.
fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' | '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next() {
                        Some(end) if end == letter => break,
                        Some('\\') if letter == '"' => word.extend(letters.next()),
                        Some(inside) => word.push(inside),
                        None => return Err("has a quote that is not closed"),
                    }
                }
            }
            '\\' => match letters.next() {
                Some(escaped) => word.get_or_insert_default().push(escaped),
                None => return Err("ends in a backslash"),
            },
            space if space.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words)
}
