//! The scorer in a pipeline: all measures asked for, in one pass.

use tamis_artifact::Fingerprint;
use tamis_dataset::{Reason, Sample};
use tamis_selection::{BoxError, RowScores, Score, ScoredRow, Scores};

use crate::{IfdScorer, Measure, Measured, Measures, SampleScores};

impl Measures {
    /// The scores that follow from what is computed.
    pub fn columns(self) -> Vec<Measure> {
        let asked = |measure: &Measure| match measure {
            Measure::PplCond => self.ppl || self.ifd,
            Measure::PplDirect | Measure::Ifd => self.ifd,
            Measure::RIfd => self.r_ifd,
        };
        Measure::ALL.into_iter().filter(asked).collect()
    }
}

impl SampleScores {
    /// Scores of a pool as columns: those measures that any sample was scored for.
    pub fn columns(samples: &[Self]) -> Scores {
        let asked = |measure: &Measure| {
            samples.iter().any(|sample| sample.measure(*measure) != Measured::NotAsked)
        };
        let columns: Vec<Measure> = Measure::ALL.into_iter().filter(asked).collect();
        let score = |measured| match measured {
            Measured::Value(value) => Score::Value(value),
            Measured::Unscorable(reason) => Score::Missing(reason),
            Measured::NotAsked => Score::Missing(Reason::Other("it was not asked for".to_owned())),
        };
        let row = |sample: &Self| ScoredRow {
            id: sample.id.clone(),
            index: sample.index,
            scores: columns.iter().map(|&measure| score(sample.measure(measure))).collect(),
        };
        let rows = samples.iter().map(row).collect();
        let columns = columns.into_iter().map(|measure| measure.name().to_owned()).collect();
        Scores { columns, rows, resumed: 0 }
    }
}

/// Columns `ppl_cond`, `ppl_direct`, `ifd` and `r_ifd`, those that the [`Measures`] ask for.
impl tamis_selection::Scorer for IfdScorer<'_> {
    fn columns(&self) -> Vec<String> {
        self.params().measures.columns().iter().map(|measure| measure.name().to_owned()).collect()
    }

    fn fingerprint(&self) -> Result<Fingerprint, BoxError> {
        let of_terms = self.provenance()?;
        // The form of the ratio decides scores, though not the terms.
        Ok(of_terms.made_from("ratio", Fingerprint::of(&self.params().ratio)?).fingerprint())
    }

    fn score(&self, rows: &[Sample]) -> Result<Vec<RowScores>, BoxError> {
        let columns = self.params().measures.columns();
        let score = |measured| match measured {
            Measured::Value(value) => Ok(Score::Value(value)),
            Measured::Unscorable(reason) => Ok(Score::Missing(reason)),
            Measured::NotAsked => Err("a measure was not asked for".into()),
        };
        let row = |scores: &crate::SampleScores| {
            columns.iter().map(|&measure| score(scores.measure(measure))).collect()
        };
        IfdScorer::score(self, rows)?.iter().map(row).collect()
    }
}
