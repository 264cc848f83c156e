//! What selections can be compared by without a model: the lengths of their texts, and how often they repeat
//! themselves.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::MetricsError;

/// How long the texts of a set are, in any unit.
///
/// ```
/// let lengths = tamis_metrics::LengthSummary::of(&[4, 8, 6, 2]).unwrap();
/// assert_eq!((lengths.total, lengths.mean, lengths.median), (20, 5.0, 5.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LengthSummary {
    /// How many texts.
    pub count: usize,
    /// All together.
    pub total: usize,
    /// Arithmetic mean.
    pub mean: f64,
    /// The shortest.
    pub min: usize,
    /// Of 5 % of the texts, interpolated between neighbours as numpy does by default; so are the next three.
    pub p05: f64,
    /// Of half of the texts.
    pub median: f64,
    /// Of 95 % of the texts.
    pub p95: f64,
    /// The longest.
    pub max: usize,
}

impl LengthSummary {
    /// # Errors
    /// [`MetricsError::TooFew`] for no lengths.
    pub fn of(lengths: &[usize]) -> Result<Self, MetricsError> {
        let mut sorted = lengths.to_vec();
        sorted.sort_unstable();
        let (Some(&min), Some(&max)) = (sorted.first(), sorted.last()) else {
            return Err(MetricsError::TooFew { what: "lengths", found: 0 });
        };
        let quantile = |share: f64| {
            let place = share * (sorted.len() - 1) as f64;
            let (low, high) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            low as f64 + (high - low) as f64 * place.fract()
        };
        let total = sorted.iter().sum();
        Ok(Self {
            count: sorted.len(),
            total,
            mean: total as f64 / sorted.len() as f64,
            min,
            p05: quantile(0.05),
            median: quantile(0.5),
            p95: quantile(0.95),
            max,
        })
    }
}

/// How often the texts of a set repeat one before them.
///
/// ```
/// let found = tamis_metrics::TextDuplicates::of(["Add 2 and 3.", "add 2 and 3", "Add 2 and 3."]);
/// assert_eq!((found.exact, found.alike), (1, 2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextDuplicates {
    /// Texts that equal one before them, character by character.
    pub exact: usize,
    /// Texts that equal one before them in letters and digits, whatever their case, punctuation and space;
    /// exact duplicates among them.
    pub alike: usize,
}

impl TextDuplicates {
    /// Counts them. A text without letters or digits is alike only to its exact duplicates.
    pub fn of<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Self {
        let (mut exact, mut alike) = (HashSet::new(), HashSet::new());
        let mut found = Self::default();
        for text in texts {
            let text = text.as_ref();
            let words: Vec<String> = text
                .split(|letter: char| !letter.is_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(str::to_lowercase)
                .collect();
            let words = if words.is_empty() { text.to_owned() } else { words.join(" ") };
            found.alike += usize::from(!alike.insert(words));
            found.exact += usize::from(!exact.insert(text.to_owned()));
        }
        found
    }
}

/// What two sets have in common.
///
/// ```
/// let overlap = tamis_metrics::Overlap::of(["a", "b", "c"], ["b", "c", "d", "e"]);
/// assert_eq!((overlap.common, overlap.jaccard), (2, 0.4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Overlap {
    /// Items in both.
    pub common: usize,
    /// Those over the items in either (Jaccard): 1 for equal sets, 0 for sets without a common item. Of two
    /// empty sets: 1.
    pub jaccard: f64,
}

impl Overlap {
    /// Counts; an item named twice in one set counts once.
    pub fn of<T: Eq + std::hash::Hash>(
        first: impl IntoIterator<Item = T>,
        second: impl IntoIterator<Item = T>,
    ) -> Self {
        let first: HashSet<T> = first.into_iter().collect();
        let second: HashSet<T> = second.into_iter().collect();
        let common = first.intersection(&second).count();
        let either = first.len() + second.len() - common;
        let jaccard = if either == 0 { 1.0 } else { common as f64 / either as f64 };
        Self { common, jaccard }
    }
}
