//! The key: where it comes from, and how it stays unseen.

use std::env::{self, VarError};
use std::fmt;

use tamis_artifact::ParameterError;
use ureq::http::HeaderValue;

use super::address::Address;
use crate::ReflectionError;

/// The variable that the programs of `OpenAI` themselves take the key from.
const DEFAULT_VARIABLE: &str = "OPENAI_API_KEY";
/// So many characters in a row that are also in the key are taken for a piece of it.
const PIECE: usize = 8;
const MASK: &str = "[key]";

/// So many letters and digits may be a key that was given in place of a name.
const KEY_LENGTH: usize = 20;

/// Where the key comes from.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The environment variable `OPENAI_API_KEY`; for a server on this machine none, so that a key is
    /// not sent where nobody asked for it. A server elsewhere that is reached without encryption is
    /// refused: name its variable, or say that it needs no key.
    #[default]
    Default,
    /// The environment variable of this name: letters, digits and `_`, not beginning with a digit. Anything
    /// else is refused without being repeated, since it may be the key itself.
    Variable(String),
    /// No key is sent.
    None,
}

impl fmt::Debug for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("Default"),
            Self::None => f.write_str("None"),
            Self::Variable(name) => f.debug_tuple("Variable").field(&shown(name)).finish(),
        }
    }
}

/// Whether a text can name a variable.
fn is_name(text: &str) -> bool {
    !text.starts_with(|first: char| first.is_ascii_digit())
        && !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The name of a variable, but nothing that may be a key. Some keys would do as names: those are long, and mix
/// what names do not.
fn shown(name: &str) -> &str {
    let small = name.bytes().any(|byte| byte.is_ascii_lowercase());
    let other = name.bytes().any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let is_strange = name.len() >= KEY_LENGTH && small && other;
    if is_name(name) && !is_strange { name } else { "(not shown, since it may be a key)" }
}

impl KeySource {
    /// The key for `address`.
    pub(super) fn key(&self, address: &Address) -> Result<Option<Secret>, ReflectionError> {
        match self {
            Self::None => Ok(None),
            Self::Variable(variable) => Secret::read(variable, address).map(Some),
            Self::Default if address.is_local() => Ok(None),
            Self::Default if !address.is_encrypted() => {
                let expected = "https, or a key source that is named: the default key is not sent \
                                without encryption";
                Err(ParameterError::new("base_url", address, expected).into())
            }
            Self::Default => Secret::read(DEFAULT_VARIABLE, address).map(Some),
        }
    }
}

/// A key. It can be put in a header and be blotted out of a text, and nothing shows it.
#[derive(Clone)]
pub(super) struct Secret {
    text: String,
    variable: String,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("variable", &self.variable).finish_non_exhaustive()
    }
}

impl Secret {
    fn read(variable: &str, address: &Address) -> Result<Self, ReflectionError> {
        let bad = |reason| ReflectionError::BadKey { variable: variable.to_owned(), reason };
        let absent = || ReflectionError::NoKey {
            address: address.to_string(),
            variable: shown(variable).to_owned(),
        };
        if !is_name(variable) {
            let found = "no name of an environment variable (not shown, since it may be the key)";
            let expected =
                "the name of the environment variable that holds the key: letters, digits and _";
            return Err(ParameterError::new("key", found, expected).into());
        }
        let text = match env::var(variable) {
            Ok(text) => text,
            Err(VarError::NotPresent) => return Err(absent()),
            Err(VarError::NotUnicode(_)) => return Err(bad("it is not UTF-8")),
        };
        // A line end comes along easily when the key is read from a file.
        let text = text.trim();
        if text.is_empty() {
            return Err(absent());
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("keys are visible ASCII characters without spaces"));
        }
        Ok(Self { text: text.to_owned(), variable: variable.to_owned() })
    }

    /// The variable that it is from.
    pub(super) fn variable(&self) -> &str {
        &self.variable
    }

    /// The value of the `Authorization` header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.text)).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// `text` without the key or any piece of it that is long enough to matter.
    pub(super) fn blot(&self, text: &str) -> String {
        let (bytes, key) = (text.as_bytes(), self.text.as_bytes());
        let piece = PIECE.min(key.len());
        let mut hidden = vec![false; bytes.len()];
        for (start, window) in bytes.windows(piece).enumerate() {
            if key.windows(piece).any(|part| part == window) {
                hidden[start..start + piece].fill(true);
            }
        }
        // Keys are ASCII, so every hidden byte is a character of its own.
        let mut clean = String::with_capacity(text.len());
        for (place, letter) in text.char_indices() {
            if !hidden[place] {
                clean.push(letter);
            } else if place == 0 || !hidden[place - 1] {
                clean.push_str(MASK);
            }
        }
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Secret {
        Secret { text: "sk-0123456789abcdef".to_owned(), variable: "KEY".to_owned() }
    }

    #[test]
    fn shows_nothing() {
        let (shown, header) = (format!("{:#?}", secret()), format!("{:?}", secret().header()));
        assert!(!shown.contains("0123") && !header.contains("0123"), "{shown} {header}");
    }

    #[test]
    fn blots_out_the_key_and_its_pieces() {
        let blot = |text: &str| secret().blot(text);
        assert_eq!(blot("bad key sk-0123456789abcdef, é"), "bad key [key], é");
        assert_eq!(blot("sk-01234567***"), "[key]***");
        assert_eq!(blot("…9abcdef 89abcdef"), "…9abcdef [key]");
        assert_eq!(blot("sk-0123 and more"), "sk-0123 and more");
        assert_eq!(blot(""), "");
        let short = Secret { text: "abc".to_owned(), variable: "KEY".to_owned() };
        assert_eq!(short.blot("xabcabcx"), "x[key]x");
    }
}
