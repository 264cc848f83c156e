//! Cosines of vectors with those of targets.

use ndarray::{Array2, ArrayView2, Axis};
use tamis_dataset::SampleId;

use super::{ScoredCandidate, Target, TargetError, TargetScores, Unscored};

/// Scores that are cosines of vectors: hidden states of a model (RDS+, arXiv 2503.01807) or any other
/// embeddings. Candidates are added some at a time, and only their scores are kept.
#[derive(Clone, Debug)]
pub struct Cosines {
    targets: Vec<Target>,
    /// (width, targets), each column of length 1.
    units: Array2<f32>,
    candidates: Vec<ScoredCandidate>,
    unscored: Vec<Unscored>,
}

impl Cosines {
    /// Targets with their vectors.
    ///
    /// # Errors
    /// No targets, vectors of different widths, or one that is zero or not finite.
    pub fn new(targets: Vec<(Target, Vec<f32>)>) -> Result<Self, TargetError> {
        let width = targets.first().ok_or(TargetError::NoTargets)?.1.len();
        let mut units = Array2::zeros((width, targets.len()));
        for (column, (target, vector)) in targets.iter().enumerate() {
            let length = length(vector.iter().copied());
            if vector.len() != width || !(length.is_finite() && length > 0.0) {
                return Err(TargetError::Vector {
                    what: format!("target `{}` of task `{}`", target.name, target.task),
                    found: vector.len(),
                    length,
                    expected: width,
                });
            }
            for (unit, number) in units.column_mut(column).iter_mut().zip(vector) {
                *unit = (f64::from(*number) / length) as f32;
            }
        }
        let targets = targets.into_iter().map(|(target, _)| target).collect();
        Ok(Self { targets, units, candidates: Vec::new(), unscored: Vec::new() })
    }

    /// Numbers of a vector.
    pub fn width(&self) -> usize {
        self.units.nrows()
    }

    /// Adds candidates by id and row of the pool, with their vectors (candidates, width). One whose
    /// vector is zero will have no scores.
    ///
    /// # Errors
    /// Another number of vectors than of names, another width, or a vector that is not finite.
    pub fn add(
        &mut self,
        names: &[(SampleId, usize)],
        vectors: ArrayView2<'_, f32>,
    ) -> Result<(), TargetError> {
        if vectors.dim() != (names.len(), self.width()) {
            return Err(TargetError::Vectors {
                found: vectors.dim(),
                expected: (names.len(), self.width()),
            });
        }
        let products = vectors.dot(&self.units);
        let rows = vectors.axis_iter(Axis(0)).zip(products.axis_iter(Axis(0)));
        for ((id, index), (vector, products)) in names.iter().zip(rows) {
            let (id, index, length) = (id.clone(), *index, length(vector.iter().copied()));
            if !length.is_finite() {
                let (what, width) = (format!("candidate {id}"), self.width());
                return Err(TargetError::Vector { what, found: width, length, expected: width });
            }
            if length == 0.0 {
                self.unscored.push(Unscored { id, index, reason: "its vector is zero".to_owned() });
                continue;
            }
            let cosine = |product: &f32| (f64::from(*product) / length) as f32;
            let scores = products.iter().map(cosine).collect();
            self.candidates.push(ScoredCandidate { id, index, scores });
        }
        Ok(())
    }

    /// Adds a candidate that has no vector, with the reason.
    pub fn add_unscored(&mut self, unscored: Unscored) {
        self.unscored.push(unscored);
    }

    /// The scores of all candidates that were added.
    ///
    /// # Errors
    /// Those of [`TargetScores::new`].
    pub fn finish(self) -> Result<TargetScores, TargetError> {
        TargetScores::new(self.targets, self.candidates, self.unscored)
    }
}

fn length(vector: impl Iterator<Item = f32>) -> f64 {
    vector.map(|x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}
