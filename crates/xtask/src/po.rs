//! Message catalogues (`.po` files), as GNU gettext writes them.

use anyhow::{Context, Result, bail};

/// One message and its translation. Obsolete messages (`#~`) and the catalogue's header are left
/// out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Line of its `msgid`, counted from 1.
    pub(crate) line: usize,
    /// The message, in the language of the program.
    pub(crate) message: String,
    /// Its translation; the first one of a message with a plural; empty if there is none.
    pub(crate) translation: String,
    /// Whether it has plural forms.
    pub(crate) plural: bool,
    /// Whether the translation is a guess that nobody has confirmed.
    pub(crate) fuzzy: bool,
}

/// What a quoted line continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Context,
    Message,
    Plural,
    Translation,
    /// `msgstr[1]` and beyond.
    OtherTranslation,
}

/// Reads a catalogue. Errors name the line.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut entry = Entry::default();
    let mut field = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        let starts_new = line.is_empty()
            || ["#", "msgctxt", "msgid ", "msgid\""].iter().any(|start| line.starts_with(start));
        let ended = matches!(field, Some(Field::Translation | Field::OtherTranslation));
        if starts_new && ended {
            finish(&mut entries, std::mem::take(&mut entry));
            field = None;
        }
        if line.starts_with("#~") {
            // The flags above an obsolete message are its own.
            entry = Entry::default();
            continue;
        }
        if let Some(comment) = line.strip_prefix('#') {
            entry.fuzzy |= comment
                .strip_prefix(',')
                .is_some_and(|flags| flags.split(',').any(|flag| flag.trim() == "fuzzy"));
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let quoted = if line.starts_with('"') {
            line
        } else {
            let (keyword, quoted) =
                line.split_at(line.find([' ', '\t', '"']).unwrap_or(line.len()));
            field = Some(match keyword {
                "msgctxt" => Field::Context,
                "msgid" => Field::Message,
                "msgid_plural" => Field::Plural,
                "msgstr" | "msgstr[0]" => Field::Translation,
                _ if keyword.starts_with("msgstr[") => Field::OtherTranslation,
                _ => {
                    bail!("line {number}: expected a msgid, msgstr or quoted text, found `{line}`")
                }
            });
            quoted.trim_start()
        };
        let Some(field) = field else {
            bail!("line {number}: quoted text that belongs to no msgid or msgstr")
        };
        let part = unquote(quoted).with_context(|| format!("line {number}: `{line}`"))?;
        match field {
            Field::Message => {
                if entry.line == 0 {
                    entry.line = number;
                }
                entry.message.push_str(&part);
            }
            Field::Plural => entry.plural = true,
            Field::Translation => entry.translation.push_str(&part),
            Field::Context | Field::OtherTranslation => {}
        }
    }
    finish(&mut entries, entry);
    Ok(entries)
}

/// Keeps an entry that has a message: the header has none.
fn finish(entries: &mut Vec<Entry>, entry: Entry) {
    if !entry.message.is_empty() {
        entries.push(entry);
    }
}

/// The text inside a pair of quotes, with its escapes resolved.
fn unquote(quoted: &str) -> Result<String> {
    let inside = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .context("expected text in double quotes")?;
    let mut text = String::with_capacity(inside.len());
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.push(match characters.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some(plain @ ('"' | '\\')) => plain,
                Some(other) => bail!("unknown escape `\\{other}`"),
                None => bail!("the closing quote is escaped"),
            }),
            '"' => bail!("a quote inside the text is not escaped"),
            _ => text.push(character),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const CATALOGUE: &str = r#"# Translators:
# Somebody, 2024
#, fuzzy
msgid ""
msgstr ""
"Project-Id-Version: x\n"

#: views.py:12
#, python-format
msgid "Delete %(name)s"
msgstr "%(name)s löschen"

msgctxt "month"
msgid "May"
msgstr "Mai"

#, fuzzy, python-format
#| msgid "Old"
msgid "Guessed %s"
msgstr "Geraten %s"
msgid ""
"First \"line\"\n"
"second\tline\\"
msgstr ""
"Erste "
"Zeile"

msgid "%d page"
msgid_plural "%d pages"
msgstr[0] "%d Seite"
msgstr[1] "%d Seiten"

msgid "Untranslated"
msgstr ""

#, fuzzy
#~ msgid "Gone"
#~ msgstr "Fort"

msgid "Last"
msgstr "Letzter""#;

    fn entry(line: usize, message: &str, translation: &str) -> Entry {
        Entry {
            line,
            message: message.into(),
            translation: translation.into(),
            plural: false,
            fuzzy: false,
        }
    }

    #[test]
    fn every_kind_of_entry_is_read() {
        assert_eq!(
            parse(CATALOGUE).unwrap(),
            [
                entry(10, "Delete %(name)s", "%(name)s löschen"),
                entry(14, "May", "Mai"),
                Entry { fuzzy: true, ..entry(19, "Guessed %s", "Geraten %s") },
                entry(21, "First \"line\"\nsecond\tline\\", "Erste Zeile"),
                Entry { plural: true, ..entry(28, "%d page", "%d Seite") },
                entry(33, "Untranslated", ""),
                entry(40, "Last", "Letzter"),
            ]
        );
    }

    #[test]
    fn mistakes_are_reported_with_their_line() {
        for (text, expected) in [
            ("msgid \"a\"\nmsgstr \"b\n", "line 2"),
            ("\n\"lost\"\n", "line 2: quoted text that belongs to no msgid"),
            ("message \"a\"\n", "line 1: expected a msgid"),
            ("msgid \"a\\q\"\n", "unknown escape"),
            ("msgid \"a\"b\"\n", "not escaped"),
            ("msgid \"a\\\"\n", "escaped"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn an_empty_catalogue_has_no_entries() {
        assert_eq!(parse("").unwrap(), []);
        assert_eq!(parse("# only a comment\n").unwrap(), []);
    }
}
