//! Text as other programs want it.

/// Text in one line, for files of one segment a line: any white space becomes one space.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
