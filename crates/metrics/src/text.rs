//! Passes over a line of text that tokenisers are made of.
//!
//! Scores are only comparable if every program takes the same characters for space. The programs
//! that published scores come from are written in Python, whose idea of it is [`is_space`].

use std::collections::HashMap;

/// Unicode's `White_Space`, and the four separators of ASCII (file, group, record, unit) that
/// Python's `str.split` takes for space besides.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// What lies between space.
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Words with single blanks between them.
pub(crate) fn respaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in words(text) {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
    }
    out
}

/// Blanks on both sides of every character of a class.
pub(crate) fn surround(text: &str, class: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for c in text.chars() {
        if class(c) {
            out.extend([' ', c, ' ']);
        } else {
            out.push(c);
        }
    }
    out
}

/// Where blanks go around a pair of characters.
#[derive(Clone, Copy)]
pub(crate) enum Blanks {
    /// `a b `: the second character stands alone.
    AroundSecond,
    /// ` a b`: the first character stands alone.
    AroundFirst,
}

/// Sets the pairs of neighbours of two classes apart, left to right. Pairs do not overlap: a
/// character that was the second of a pair is not the first of the next.
pub(crate) fn part_pairs(
    text: &str,
    first: impl Fn(char) -> bool,
    second: impl Fn(char) -> bool,
    blanks: Blanks,
) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut rest = text.chars().peekable();
    while let Some(a) = rest.next() {
        match rest.next_if(|&b| first(a) && second(b)) {
            None => out.push(a),
            Some(b) => match blanks {
                Blanks::AroundSecond => out.extend([a, ' ', b, ' ']),
                Blanks::AroundFirst => out.extend([' ', a, ' ', b]),
            },
        }
    }
    out
}

/// The four entities of XML that corpora are littered with, as the characters they stand for, each
/// in its turn: `&amp;lt;` ends as `<`.
pub(crate) fn unescape(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
}

/// Sets punctuation of Western languages apart, but neither `.` and `,` between digits nor a dash
/// that does not follow a digit nor the apostrophe (`mteval-v13a.pl`).
pub(crate) fn part_western(text: &str) -> String {
    let text = surround(text, is_western_mark);
    part_stops(&text)
}

/// ASCII punctuation and the blank, without `'`, `,`, `-` and `.`.
pub(crate) fn is_western_mark(c: char) -> bool {
    matches!(c, ' '..='&' | '('..='+' | '/' | ':'..='@' | '['..='`' | '{'..='~')
}

/// The part of [`part_western`] about `.`, `,` and `-`.
pub(crate) fn part_stops(text: &str) -> String {
    let digit = |c: char| c.is_ascii_digit();
    let stop = |c: char| matches!(c, '.' | ',');
    let text = part_pairs(text, |c| !digit(c), stop, Blanks::AroundSecond);
    let text = part_pairs(&text, stop, |c| !digit(c), Blanks::AroundFirst);
    part_pairs(&text, digit, |c| c == '-', Blanks::AroundSecond)
}

/// Numbers for words: equal words have equal numbers.
#[derive(Default)]
pub(crate) struct Numbering<'a>(HashMap<&'a str, u32>);

impl<'a> Numbering<'a> {
    pub(crate) fn of(&mut self, words: impl IntoIterator<Item = &'a str>) -> Vec<u32> {
        let mut number = |word| {
            let next = self.0.len() as u32;
            *self.0.entry(word).or_insert(next)
        };
        words.into_iter().map(&mut number).collect()
    }
}
