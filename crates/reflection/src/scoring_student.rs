//! A student that scores with a model in this process.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};
use tamis_dataset::{Reason, Sample, TextTokenizer};
use tamis_ifd_scoring::{IfdScorer, Measured, Measures, ScoreParams};
use tamis_model::CausalLm;

use crate::Student;
use crate::student::Measure;

/// A [`Student`] that is a causal language model, scored by [`tamis_ifd_scoring`].
pub struct ScoringStudent<'a> {
    perplexity: IfdScorer<'a>,
    ifd: IfdScorer<'a>,
    reversed: IfdScorer<'a>,
    identity: Value,
}

impl fmt::Debug for ScoringStudent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScoringStudent").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl<'a> ScoringStudent<'a> {
    /// A student that scores as `params` say, but for [`measures`](ScoreParams::measures): each
    /// decision has only what it needs computed.
    ///
    /// # Errors
    /// What [`IfdScorer::new`] refuses, or weights that cannot be read for their hash.
    pub fn new(
        model: &'a dyn CausalLm,
        tokenizer: impl Into<Arc<TextTokenizer>>,
        params: &ScoreParams,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let tokenizer = tokenizer.into();
        let scorer = |measures| {
            IfdScorer::new(
                model,
                Arc::clone(&tokenizer),
                ScoreParams { measures, ..params.clone() },
            )
        };
        let nothing = Measures { ppl: false, ifd: false, r_ifd: false };
        let all = scorer(Measures::ALL)?;
        let identity = json!({ "scorer": all.identity()?, "ratio": params.ratio });
        Ok(Self {
            perplexity: scorer(Measures { ppl: true, ..nothing })?,
            ifd: scorer(Measures { ifd: true, ..nothing })?,
            reversed: scorer(Measures { r_ifd: true, ..nothing })?,
            identity,
        })
    }
}

impl Student for ScoringStudent<'_> {
    fn identity(&self) -> Value {
        self.identity.clone()
    }

    fn score(
        &mut self,
        measure: Measure,
        samples: &[Sample],
    ) -> Result<Vec<Result<f64, Reason>>, Box<dyn Error + Send + Sync>> {
        let scorer = match measure {
            Measure::Ifd => &self.ifd,
            Measure::ReversedIfd => &self.reversed,
            Measure::Perplexity => &self.perplexity,
        };
        let scores = scorer.score(samples)?;
        scores
            .iter()
            .map(|sample| match measure {
                Measure::Ifd => sample.ifd(),
                Measure::ReversedIfd => sample.r_ifd(),
                Measure::Perplexity => sample.ppl_cond(),
            })
            .map(|score| match score {
                Measured::Value(value) => Ok(Ok(value)),
                Measured::Unscorable(reason) => Ok(Err(reason)),
                Measured::NotAsked => Err(format!("{measure:?} was not asked for").into()),
            })
            .collect()
    }
}
