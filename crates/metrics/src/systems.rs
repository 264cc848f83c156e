//! Groups of systems on one test set.

use crate::{Aggregate, MetricsError};

/// Systems with statistics of the same segments: the outputs of one method after trainings with
/// different seeds, for example.
pub(crate) struct Systems<'a, A: Aggregate> {
    metric: &'a A,
    systems: Vec<&'a [A::Stats]>,
}

impl<'a, A: Aggregate> Systems<'a, A> {
    /// # Errors
    /// No system, different numbers of segments, or fewer than two of them.
    pub(crate) fn new<S: AsRef<[A::Stats]>>(
        metric: &'a A,
        systems: &'a [S],
        which: &'static str,
    ) -> Result<Self, MetricsError> {
        let systems: Vec<&[A::Stats]> = systems.iter().map(AsRef::as_ref).collect();
        let Some(first) = systems.first() else {
            return Err(MetricsError::NoSystems { which });
        };
        for (n, system) in systems.iter().enumerate() {
            if system.len() != first.len() {
                return Err(MetricsError::Length {
                    what: format!("segments of system {n} (from 0) of the {which} group"),
                    found: system.len(),
                    other: "segments of its first system".to_owned(),
                    expected: first.len(),
                });
            }
        }
        if first.len() < 2 {
            return Err(MetricsError::TooFew { what: "segments", found: first.len() });
        }
        Ok(Self { metric, systems })
    }

    /// Two groups of the same segments.
    ///
    /// # Errors
    /// As [`new`](Self::new), or different numbers of segments.
    pub(crate) fn pair<S: AsRef<[A::Stats]>>(
        metric: &'a A,
        first: &'a [S],
        second: &'a [S],
    ) -> Result<[Self; 2], MetricsError> {
        let first = Self::new(metric, first, "first")?;
        let second = Self::new(metric, second, "second")?;
        if first.segments() != second.segments() {
            return Err(MetricsError::Length {
                what: "segments of the second system".to_owned(),
                found: second.segments(),
                other: "segments of the first system".to_owned(),
                expected: first.segments(),
            });
        }
        Ok([first, second])
    }

    pub(crate) fn segments(&self) -> usize {
        self.systems[0].len()
    }

    pub(crate) fn systems(&self) -> &[&'a [A::Stats]] {
        &self.systems
    }

    /// The mean over the systems of the score of the whole test set.
    ///
    /// # Errors
    /// [`MetricsError::NonFinite`]
    pub(crate) fn score(&self) -> Result<f64, MetricsError> {
        let score = self.mean(self.systems.iter().map(|segments| crate::total(segments)));
        finite(score)
    }

    /// The same of a test set in which every segment is so many times.
    pub(crate) fn resampled(&self, times: &[u32]) -> f64 {
        self.mean(self.systems.iter().map(|segments| {
            let mut sum = A::Stats::default();
            for (&segment, &times) in segments.iter().zip(times) {
                for _ in 0..times {
                    sum += segment;
                }
            }
            sum
        }))
    }

    /// The mean score of systems with these sums.
    pub(crate) fn mean(&self, sums: impl Iterator<Item = A::Stats>) -> f64 {
        sums.map(|sum| self.metric.score(&sum)).sum::<f64>() / self.systems.len() as f64
    }
}

fn finite(value: f64) -> Result<f64, MetricsError> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(MetricsError::NonFinite { what: "the score of the test set".to_owned(), value })
    }
}
