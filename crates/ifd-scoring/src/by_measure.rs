//! One of the scores as a stage of a pipeline.

use serde_json::{Map, Value, json};
use tamis_dataset::Sample;
use tamis_pipeline::{BoxError, Score};

use crate::{IfdError, Measure, Measured, Scorer};

/// A [`Scorer`] of one measure, for `tamis_pipeline::ScoreStage`; made by [`Scorer::by`].
#[derive(Debug)]
pub struct ByMeasure<'a> {
    scorer: &'a Scorer<'a>,
    measure: Measure,
}

impl Scorer<'_> {
    /// The score of this name as a [`tamis_pipeline::Scorer`], whose stages name the model and the settings.
    ///
    /// # Errors
    /// [`IfdError::NotMeasured`] for a measure that the settings do not ask for.
    pub fn by(&self, measure: Measure) -> Result<ByMeasure<'_>, IfdError> {
        let measures = self.params().measures;
        let asked = match measure {
            Measure::PplCond => measures.ppl || measures.ifd,
            Measure::PplDirect | Measure::Ifd => measures.ifd,
            Measure::RIfd => measures.r_ifd,
        };
        if !asked {
            return Err(IfdError::NotMeasured { measure: measure.name() });
        }
        Ok(ByMeasure { scorer: self, measure })
    }
}

impl tamis_pipeline::Scorer for ByMeasure<'_> {
    fn name(&self) -> &str {
        self.measure.name()
    }

    fn description(&self) -> Result<Map<String, Value>, BoxError> {
        let mut fields = self.scorer.description();
        fields.insert("model".to_owned(), json!(self.scorer.model.fingerprint()?));
        fields.insert("ratio".to_owned(), json!(self.scorer.params().ratio));
        Ok(fields)
    }

    fn score(&self, samples: &[Sample]) -> Result<Vec<Score>, BoxError> {
        let scores = self.scorer.score(samples)?;
        let score = |measured| match measured {
            Measured::Value(value) => Score::Value(value),
            Measured::Unscorable(reason) => Score::Missing(reason.to_string()),
            Measured::NotAsked => Score::Missing("it was not asked for".to_owned()),
        };
        Ok(scores.iter().map(|sample| score(sample.measure(self.measure))).collect())
    }
}
