//! Strict reading of what the teacher wrote.
//!
//! A reply is criticism, then sections: a marker, text, the end marker.
//!
//! - A marker opens a section where it **begins a line**; elsewhere it is quoted.
//! - `[End]` closes a section where it **ends a line**; elsewhere it is text, as is the word without brackets.
//! - Before the first section anything may stand. Behind it, every marker counts: a second section of a
//!   name, or an end without a beginning, means that some text holds markers itself, and nobody can tell
//!   where it ends. Such a reply is refused, never guessed at.
//! - Behind an end there is nothing but the next section. In `Press [End]` and, on the next line, `then save.`,
//!   the end is a key, and taking it for the end of the section would cut the answer without a word. That
//!   refuses good answers with a friendly word behind them, too: nothing tells the two apart, and an answer
//!   that is lost costs less than half an answer that is kept.
//! - A pair is read as a pair: there is no way to get one of its sections.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Reply;
use crate::teacher::Finish;

/// How much of what was found a reason repeats, in characters.
const SHOWN: usize = 80;
/// What ends a section.
pub(crate) const END: &str = "[End]";

/// What opens a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Marker {
    /// `[New Instruction]`
    NewInstruction,
    /// `[New Answer]`
    NewAnswer,
    /// `[Better Answer]`
    BetterAnswer,
}

impl Marker {
    /// As it stands in a reply.
    pub fn text(self) -> &'static str {
        match self {
            Self::NewInstruction => "[New Instruction]",
            Self::NewAnswer => "[New Answer]",
            Self::BetterAnswer => "[Better Answer]",
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.text())
    }
}

/// Why a reply gives no proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unreadable {
    /// The reply was cut at its longest length: how the last text ends is not known.
    #[error("the reply was cut at its longest length")]
    Cut,
    /// The teacher stopped for a reason of its own, such as a content filter.
    #[error("the teacher stopped for `{how}`")]
    Stopped {
        /// In its word, or how that begins.
        how: String,
    },
    /// A section is not there.
    #[error("no line begins with {marker}")]
    Missing {
        /// Which.
        marker: Marker,
    },
    /// A section has no end.
    #[error("no line ends with [End] behind {marker}")]
    Unclosed {
        /// Which.
        marker: Marker,
    },
    /// A section is there twice, or its marker in a text.
    #[error("more than one line begins with {marker}")]
    Doubled {
        /// Which.
        marker: Marker,
    },
    /// An end behind a section that has ended: one of the texts holds `[End]` itself.
    #[error("a line ends with [End] where no section is open")]
    StrayEnd,
    /// More text behind a section, so that its end may be a word of it.
    #[error("there is text behind the [End] of {marker}: `{text}`")]
    TextBehindEnd {
        /// Which section.
        marker: Marker,
        /// How the text begins.
        text: String,
    },
    /// The sections of a pair are exchanged.
    #[error("{marker} is not the first section")]
    Order {
        /// The one that should be first.
        marker: Marker,
    },
    /// A section holds nothing.
    #[error("there is nothing behind {marker}")]
    Empty {
        /// Which.
        marker: Marker,
    },
    /// A section holds what stands for a text, not a text.
    #[error("behind {marker} there is only `{text}`")]
    Placeholder {
        /// Which.
        marker: Marker,
        /// What it holds, or how that begins.
        text: String,
    },
}

/// What a reply says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sections<'t, const N: usize> {
    /// What stands before the first section, trimmed.
    pub critique: &'t str,
    /// The text of each section, trimmed, never empty.
    pub texts: [&'t str; N],
}

/// The instruction and the answer of a reply to the first prompt: both, or why not.
///
/// ```
/// use tamis_reflection::{Reply, Unreadable, Usage, read_pair};
/// use tamis_reflection::teacher::Finish;
///
/// let reply = |text: &str, finish| Reply {
///     text: text.to_owned(),
///     finish,
///     usage: Usage::default(),
///     cached: false,
/// };
/// let text = "Too vague.\n[New Instruction]\nName two primes.\n[End]\n[New Answer]\n2 and 3.\n[End]";
/// let whole = reply(text, Finish::Stop);
/// let pair = read_pair(&whole).unwrap();
/// assert_eq!((pair.critique, pair.texts), ("Too vague.", ["Name two primes.", "2 and 3."]));
/// assert_eq!(read_pair(&reply(text, Finish::Length)), Err(Unreadable::Cut));
/// ```
///
/// # Errors
/// See [`Unreadable`].
pub fn read_pair(reply: &Reply) -> Result<Sections<'_, 2>, Unreadable> {
    read(reply, [Marker::NewInstruction, Marker::NewAnswer])
}

/// The answer of a reply to the second prompt.
///
/// # Errors
/// See [`Unreadable`].
pub fn read_answer(reply: &Reply) -> Result<Sections<'_, 1>, Unreadable> {
    read(reply, [Marker::BetterAnswer])
}

fn read<const N: usize>(
    reply: &Reply,
    markers: [Marker; N],
) -> Result<Sections<'_, N>, Unreadable> {
    match &reply.finish {
        Finish::Stop => {}
        Finish::Length => return Err(Unreadable::Cut),
        Finish::Other(how) => {
            return Err(Unreadable::Stopped { how: how.chars().take(SHOWN).collect() });
        }
    }
    sections(&reply.text, markers)
}

/// A marker that counts.
#[derive(Clone, Copy)]
enum Mark {
    /// Of section `which`, whose text begins here.
    Open { which: usize, text: usize },
    /// The text ends here.
    Close { text: usize },
}

fn sections<const N: usize>(
    text: &str,
    markers: [Marker; N],
) -> Result<Sections<'_, N>, Unreadable> {
    let mut texts: [Option<&str>; N] = [None; N];
    let mut open: Option<(usize, usize)> = None;
    let mut critique = None;
    let mut order = Vec::new();
    // The section that ended last, and where its end marker ended.
    let mut ended: Option<(usize, usize)> = None;
    let nothing_between = |ended: Option<(usize, usize)>, next: usize| {
        let Some((which, end)) = ended else { return Ok(()) };
        let between = text[end..next].trim();
        if between.is_empty() {
            return Ok(());
        }
        let text = between.chars().take(SHOWN).collect();
        Err(Unreadable::TextBehindEnd { marker: markers[which], text })
    };
    for (at, mark) in marks(text, markers) {
        match (mark, open) {
            (Mark::Open { which, .. }, _) if order.contains(&which) => {
                return Err(Unreadable::Doubled { marker: markers[which] });
            }
            (Mark::Open { .. }, Some((which, _))) => {
                return Err(Unreadable::Unclosed { marker: markers[which] });
            }
            (Mark::Open { which, text: begin }, None) => {
                nothing_between(ended, at)?;
                critique.get_or_insert(&text[..at]);
                order.push(which);
                open = Some((which, begin));
            }
            (Mark::Close { text: end }, Some((which, begin))) => {
                texts[which] = Some(text[begin..end].trim());
                ended = Some((which, end + END.len()));
                open = None;
            }
            (Mark::Close { .. }, None) if order.is_empty() => {} // quoted by the criticism
            (Mark::Close { .. }, None) => return Err(Unreadable::StrayEnd),
        }
    }
    if let Some((which, _)) = open {
        return Err(Unreadable::Unclosed { marker: markers[which] });
    }
    let mut found = [""; N];
    for ((text, marker), found) in texts.into_iter().zip(markers).zip(&mut found) {
        *found = text.ok_or(Unreadable::Missing { marker })?;
    }
    nothing_between(ended, text.len())?;
    if !order.is_sorted() {
        return Err(Unreadable::Order { marker: markers[0] });
    }
    for (text, marker) in found.into_iter().zip(markers) {
        if text.is_empty() {
            return Err(Unreadable::Empty { marker });
        }
        if is_placeholder(text) {
            return Err(Unreadable::Placeholder {
                marker,
                text: text.chars().take(SHOWN).collect(),
            });
        }
    }
    Ok(Sections { critique: critique.unwrap_or_default().trim(), texts: found })
}

/// The markers that count and where they stand, in order.
fn marks<const N: usize>(text: &str, markers: [Marker; N]) -> Vec<(usize, Mark)> {
    let mut marks = Vec::new();
    let mut begin = 0;
    for line in text.split_inclusive('\n') {
        let opened = begin + (line.len() - line.trim_start().len());
        let which = markers.iter().position(|marker| line.trim_start().starts_with(marker.text()));
        if let Some(which) = which {
            let text = opened + markers[which].text().len();
            marks.push((opened, Mark::Open { which, text }));
        }
        if line.trim_end().ends_with(END) {
            let text = begin + line.trim_end().len() - END.len();
            marks.push((text, Mark::Close { text }));
        }
        begin += line.len();
    }
    marks
}

/// Whether a text only holds the place of another: a row of dots or the like, `N/A`, or, in brackets, a
/// [phrase](holds_a_place) such as `(the new answer)`. Only a text that is nothing else: `N/A` within an
/// answer is an answer, and so is `[Answer: B]`.
fn is_placeholder(text: &str) -> bool {
    let pairs = [('(', ')'), ('[', ']'), ('<', '>'), ('{', '}')];
    let within = pairs.into_iter().find_map(|(open, close)| {
        let inner = text.strip_prefix(open)?.strip_suffix(close)?;
        (!inner.contains([open, close])).then_some(inner.trim())
    });
    let is_nothing =
        |text: &str| is_row(text) || text.trim_end_matches('.').eq_ignore_ascii_case("n/a");
    is_nothing(text) || within.is_some_and(|inner| is_nothing(inner) || holds_a_place(inner))
}

/// Fewer of them may be an answer: `--`, or `*`.
const ROW: usize = 3;

/// One sign and nothing else, often enough: `...`, `…`, `---`. With spaces between, it may be Morse.
fn is_row(text: &str) -> bool {
    let mut signs = text.chars();
    let Some(first) = signs.next().filter(|sign| ".…-_*".contains(*sign)) else { return false };
    let length = text.chars().take(ROW).count();
    (length == ROW || first == '…') && signs.all(|sign| sign == first)
}

/// Phrases that stand where a text should: a word for it, with the words that go with it or without. The list
/// is closed, since in brackets there may be any answer: `{"answer": 42}`, `(Where is it?)`.
fn holds_a_place(phrase: &str) -> bool {
    let words: Vec<String> = phrase
        .trim_end_matches(['.', ':', '…'])
        .split_whitespace()
        .map(str::to_lowercase)
        .collect();
    let mut words = words.iter().map(String::as_str).peekable();
    words.next_if(|word| ["insert", "write", "put", "enter", "add"].contains(word));
    words.next_if(|word| ["the", "your", "a", "an"].contains(word));
    words.next_if(|word| ["new", "better", "improved", "revised"].contains(word));
    words.next_if(|word| ["instruction", "answer", "response"].contains(word)).is_some() && {
        words.next_if(|word| ["text", "goes"].contains(word));
        words.next_if(|word| *word == "here");
        words.next().is_none()
    }
}
