//! Choices with a name: how they are written and read.

use crate::KCenterError;

/// The variant of this name, or an error that lists them all.
pub(crate) fn named<T: Copy, const N: usize>(
    what: &'static str,
    word: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, KCenterError> {
    all.into_iter().find(|&variant| name(variant) == word).ok_or_else(|| KCenterError::Unknown {
        what,
        found: word.to_owned(),
        expected: all.map(name).join(", "),
    })
}
