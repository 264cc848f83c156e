//! Strict reading of a judge's reply.

use serde::{Deserialize, Serialize};

use crate::Reply;
use crate::teacher::Finish;

/// How much of what was found a message shows, in characters.
const EXCERPT: usize = 200;
/// The best grade.
const BEST: f64 = 10.0;

/// The grades of a reply, in the order in which the answers were shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grades<'t> {
    /// Of the answer shown first.
    pub first: f64,
    /// Of the answer shown second.
    pub second: f64,
    /// What follows the first line, trimmed.
    pub explanation: &'t str,
}

/// Why a reply holds no grades.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoGrades {
    /// The reply was cut within its first line.
    #[error("the reply was cut within its first line")]
    Cut,
    /// The judge stopped for a reason of its own, such as a content filter.
    #[error("the judge stopped for `{how}`")]
    Stopped {
        /// In its word.
        how: String,
    },
    /// The first line is something else.
    #[error("the first line is `{line}`, expected two numbers from 0 to 10 and nothing else")]
    FirstLine {
        /// It, or its beginning.
        line: String,
    },
}

/// The two grades on the first line of a reply.
///
/// The line holds two numbers from 0 to 10 and nothing else, between them spaces or one comma. Halves are
/// allowed: `7`, `7.0` and `7.5` are numbers, `7.25`, `8/10` and `seven` are not. White space before the
/// reply is none of it, since chat models often begin with some. A reply that was cut behind its first line
/// is read: only the explanation has lost something.
///
/// ```
/// use tamis_reflection::{NoGrades, Reply, Usage, read_grades};
/// use tamis_reflection::teacher::Finish;
///
/// let reply = |text: &str| Reply {
///     text: text.to_owned(),
///     finish: Finish::Stop,
///     usage: Usage::default(),
///     cached: false,
/// };
/// let good = reply("8 6.5\nThe first names its source.");
/// let grades = read_grades(&good).unwrap();
/// assert_eq!((grades.first, grades.second), (8.0, 6.5));
/// assert!(matches!(read_grades(&reply("Scores: 8 6.5")), Err(NoGrades::FirstLine { .. })));
/// ```
///
/// # Errors
/// See [`NoGrades`].
pub fn read_grades(reply: &Reply) -> Result<Grades<'_>, NoGrades> {
    let text = reply.text.trim_start();
    let (line, rest) = match text.split_once('\n') {
        Some((line, rest)) => (line, Some(rest)),
        None => (text, None),
    };
    match &reply.finish {
        Finish::Length if rest.is_none() => return Err(NoGrades::Cut),
        Finish::Stop | Finish::Length => {}
        Finish::Other(how) => {
            return Err(NoGrades::Stopped { how: how.chars().take(EXCERPT).collect() });
        }
    }
    let refused = || NoGrades::FirstLine { line: line.chars().take(EXCERPT).collect() };
    let [first, second] = numbers(line.trim_end()).ok_or_else(refused)?;
    Ok(Grades { first, second, explanation: rest.unwrap_or_default().trim() })
}

fn numbers(line: &str) -> Option<[f64; 2]> {
    let (first, second) = line.split_once(',').or_else(|| line.split_once([' ', '\t']))?;
    Some([number(first.trim_end())?, number(second.trim_start())?])
}

/// `0` to `10`, with `.0` or `.5` behind or without.
fn number(text: &str) -> Option<f64> {
    let (whole, half) = match text.split_once('.') {
        None | Some((_, "0")) => (text.split('.').next()?, 0.0),
        Some((whole, "5")) => (whole, 0.5),
        Some(_) => return None,
    };
    let is_plain = whole == "10" || (whole.len() == 1 && whole.as_bytes()[0].is_ascii_digit());
    let number = whole.parse::<f64>().ok().filter(|_| is_plain)? + half;
    (number <= BEST).then_some(number)
}
