//! What a metric is to the tests of this crate: statistics of segments, and a score of their sum.

use std::ops::AddAssign;

use rayon::prelude::*;

use crate::MetricsError;

/// Statistics that can be added. Implemented for everything that fits.
pub trait Statistics: Copy + Default + AddAssign + Send + Sync {}

impl<T: Copy + Default + AddAssign + Send + Sync> Statistics for T {}

/// A score that depends on a set of segments only through the sum of their statistics.
///
/// This is all that resampling needs: statistics are made once, and the score of any resampled test
/// set costs a sum.
pub trait Aggregate: Sync {
    /// What is summed up. The default is the sum of nothing.
    type Stats: Statistics;

    /// The score of a sum of statistics.
    fn score(&self, stats: &Self::Stats) -> f64;

    /// The score of all segments together.
    fn corpus_score(&self, segments: &[Self::Stats]) -> f64 {
        self.score(&total(segments))
    }
}

/// Compares text with references.
///
/// ```
/// use tamis_metrics::{Aggregate, BleuParams, Metric};
///
/// # fn main() -> Result<(), tamis_metrics::MetricsError> {
/// let bleu = BleuParams::default().check()?;
/// let hypotheses = ["The cat sat on the mat.", "Hello there!"];
/// let references = ["The cat sat on a mat.", "Hello there!"];
/// let segments = bleu.segments(&hypotheses, &[&references])?;
/// assert_eq!(format!("{:.2}", bleu.corpus_score(&segments)), "53.90");
/// assert_eq!(format!("{:.2}", bleu.segment_score(&segments[0])), "48.89");
/// # Ok(())
/// # }
/// ```
pub trait Metric: Aggregate {
    /// Its name, as `chrF2++`.
    fn name(&self) -> String;

    /// Everything the score depends on, in the style of sacreBLEU (Post, 2018), with the version of
    /// this crate, for example `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:tamis-0.1.0`.
    fn signature(&self, references: usize) -> String;

    /// Statistics of one segment against its references.
    fn segment(&self, hypothesis: &str, references: &[&str]) -> Self::Stats;

    /// The score of a single segment, where it differs from that of a corpus of one segment.
    fn segment_score(&self, stats: &Self::Stats) -> f64 {
        self.score(stats)
    }

    /// Statistics of all segments, computed in parallel. `references` are one or more translations of
    /// the whole test set, each with one line for each hypothesis.
    ///
    /// # Errors
    /// [`MetricsError::NoReferences`], or [`MetricsError::Length`] if a reference has another number of
    /// lines than there are hypotheses.
    fn segments<H, R>(
        &self,
        hypotheses: &[H],
        references: &[&[R]],
    ) -> Result<Vec<Self::Stats>, MetricsError>
    where
        H: AsRef<str> + Sync,
        R: AsRef<str> + Sync,
    {
        if references.is_empty() {
            return Err(MetricsError::NoReferences);
        }
        for lines in references {
            if lines.len() != hypotheses.len() {
                return Err(MetricsError::Length {
                    what: "hypotheses".to_owned(),
                    found: hypotheses.len(),
                    other: "references".to_owned(),
                    expected: lines.len(),
                });
            }
        }
        let segment = |(n, hypothesis): (usize, &H)| {
            let of_it: Vec<&str> = references.iter().map(|lines| lines[n].as_ref()).collect();
            self.segment(hypothesis.as_ref(), &of_it)
        };
        Ok(hypotheses.par_iter().enumerate().map(segment).collect())
    }
}

/// The sum of statistics.
pub fn total<S: Statistics>(segments: &[S]) -> S {
    let mut sum = S::default();
    for &segment in segments {
        sum += segment;
    }
    sum
}

/// The end of every signature.
pub(crate) const VERSION: &str = concat!("version:tamis-", env!("CARGO_PKG_VERSION"));
