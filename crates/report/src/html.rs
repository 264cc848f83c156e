//! Text into HTML.

use std::borrow::Cow;
use std::fmt::Write;

/// Makes text safe inside elements and double-quoted attributes, and [`printable`].
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    match printable(&escaped) {
        Cow::Borrowed(_) => escaped,
        Cow::Owned(cleaned) => cleaned,
    }
}

/// Control characters but tabs and line breaks, which HTML does not allow, become U+FFFD; carriage
/// returns go.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n');
    if !text.contains(bad) {
        return Cow::Borrowed(text);
    }
    let clean = text
        .chars()
        .filter(|c| *c != '\r')
        .map(|c| if bad(c) { char::REPLACEMENT_CHARACTER } else { c });
    Cow::Owned(clean.collect())
}

/// Appends formatted HTML. Writing to a `String` cannot fail.
pub(crate) fn push(html: &mut String, markup: std::fmt::Arguments<'_>) {
    let _ = html.write_fmt(markup);
}
