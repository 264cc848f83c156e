//! Words for the variants of an enum.

use crate::MetricsError;

/// The variant of this name, or an error that lists them all.
pub(crate) fn named<T: Copy, const N: usize>(
    what: &'static str,
    word: &str,
    all: [T; N],
    name: fn(T) -> &'static str,
) -> Result<T, MetricsError> {
    all.into_iter().find(|&variant| name(variant) == word).ok_or_else(|| MetricsError::Unknown {
        what,
        found: word.to_owned(),
        expected: all.map(name).join(", "),
    })
}
