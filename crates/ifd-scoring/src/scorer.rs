//! Scores of samples in memory.

use std::sync::Arc;

use serde_json::{Value, json};
use tamis_artifact::{
    Fingerprint, NoProgress, ParameterError, PassReport, Progress, Provenance, RowShare,
};
use tamis_dataset::{Content, DatasetError, Encoder, Message, Sample, Template, TextTokenizer};
use tamis_model::CausalLm;

use crate::batches::mean_losses;
use crate::context::direct_context;
use crate::rows::Planner;
use crate::{IfdError, Measure, Measured, SampleScores, ScoreParams};

/// Scores samples with a model.
pub struct IfdScorer<'a> {
    pub(crate) model: &'a dyn CausalLm,
    pub(crate) encoder: Encoder,
    pub(crate) params: ScoreParams,
    /// What stands before a target in the direct term.
    context: Vec<u32>,
}

impl std::fmt::Debug for IfdScorer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IfdScorer")
            .field("params", &self.params)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

impl<'a> IfdScorer<'a> {
    /// Puts a model, its tokenizer and the settings together.
    ///
    /// # Errors
    /// Settings that [`ScoreParams::check`] refuses, a length limit beyond what the model reads, a
    /// tokenizer with ids that the model does not embed, or a chat template that cannot write even
    /// one question and one answer.
    pub fn new(
        model: &'a dyn CausalLm,
        tokenizer: impl Into<Arc<TextTokenizer>>,
        params: ScoreParams,
    ) -> Result<Self, IfdError> {
        let params = params.check()?;
        let (tokenizer, shape) = (tokenizer.into(), model.shape());
        if params.max_length > shape.max_positions {
            let expected = format!("at most {}, what the model reads", shape.max_positions);
            return Err(ParameterError::new("max_length", params.max_length, expected).into());
        }
        if tokenizer.max_id() as usize >= shape.vocab_size {
            let expected = format!("below {}, the rows of the model's embedding", shape.vocab_size);
            return Err(ParameterError::new(
                "the tokenizer's highest id",
                tokenizer.max_id(),
                expected,
            )
            .into());
        }
        let context = direct_context(&tokenizer, &params)?;
        let encoder = Encoder::new(tokenizer, params.template.clone(), params.encoding())?;
        check_template(&encoder)?;
        Ok(Self { model, encoder, params, context })
    }

    /// The settings.
    pub fn params(&self) -> &ScoreParams {
        &self.params
    }

    /// The encoder that puts samples into the template.
    pub fn encoder(&self) -> &Encoder {
        &self.encoder
    }

    /// Everything but the rows that decides the terms of a sample. How terms become a score is left out: any ratio can be
    /// made of the same terms.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn provenance(&self) -> Result<Provenance, IfdError> {
        let settings = json!({
            "shard_rows": self.params.shard_rows,
            "token_budget": self.params.token_budget,
            "scoring": self.settings(),
        });
        let provenance = Provenance::new()
            .encoder(Fingerprint::from(self.encoder.description()))
            .model(self.model.fingerprint()?);
        Ok(provenance.settings(&settings)?)
    }

    /// The same without what decides only in what pieces rows are run: names the scorer where samples are scored in memory.
    ///
    /// # Errors
    /// Weights that cannot be read.
    pub fn identity(&self) -> Result<Fingerprint, IfdError> {
        let provenance = Provenance::new()
            .encoder(Fingerprint::from(self.encoder.description()))
            .model(self.model.fingerprint()?);
        Ok(provenance.settings(&self.settings())?.fingerprint())
    }

    /// What decides the terms beside model and encoder, but for their rounding.
    fn settings(&self) -> Value {
        let params = &self.params;
        json!({
            "measures": params.measures,
            "direct": params.direct,
            "direct_context": self.context,
            "request": params.measures.r_ifd.then_some(&params.request),
            "compute_type": format!("{:?}", self.model.shape().kind),
        })
    }

    /// Scores of samples in memory, in their order.
    ///
    /// All terms of all samples share the batches, and a term that two of them have in common (the
    /// same answer under two instructions has one direct term) is run once.
    ///
    /// # Errors
    /// What the model reports; a translation without a language to translate into, or content that
    /// is none where the template is for translations. A single sample that the template or the
    /// tokenizer cannot cope with is no error but has a [`Reason`](tamis_dataset::Reason).
    pub fn score(&self, samples: &[Sample]) -> Result<Vec<SampleScores>, IfdError> {
        Ok(self.score_counted(samples)?.0)
    }

    /// The same, and what was run for it.
    ///
    /// # Errors
    /// As [`IfdScorer::score`].
    pub fn score_counted(
        &self,
        samples: &[Sample],
    ) -> Result<(Vec<SampleScores>, PassReport), IfdError> {
        self.watched(samples, &mut NoProgress)
    }

    /// The same; `progress` is told rows. Texts are run in the order of their lengths, so rows are told by their share.
    pub(crate) fn watched(
        &self,
        samples: &[Sample],
        progress: &mut dyn Progress,
    ) -> Result<(Vec<SampleScores>, PassReport), IfdError> {
        let (plan, places) = self.planner().plan(samples)?;
        let rows = &plan.rows;
        let mut report = PassReport {
            rows: samples.len(),
            texts: rows.len(),
            tokens: rows.iter().map(|row| row.inputs()).sum(),
            targets: rows.iter().map(|row| row.targets()).sum(),
            ..PassReport::default()
        };
        let mut told = RowShare::new(progress, samples.len(), report.tokens);
        let losses = mean_losses(self.model, rows, self.params.token_budget, |members| {
            told.done(members.iter().map(|&m| rows[m].inputs()).sum());
        })?;
        told.finish();
        let scores: Vec<SampleScores> = samples
            .iter()
            .zip(places)
            .map(|(sample, [answer, instruction])| SampleScores {
                id: sample.id.clone(),
                index: sample.index,
                answer: answer.terms(rows, &losses),
                instruction: instruction.terms(rows, &losses),
                ratio: self.params.ratio,
            })
            .collect();
        let none = |scores: &&SampleScores| {
            let value = |measure| matches!(scores.measure(measure), Measured::Value(_));
            !Measure::ALL.into_iter().any(value)
        };
        report.skipped = scores.iter().filter(none).count();
        Ok((scores, report))
    }

    pub(crate) fn planner(&self) -> Planner<'_> {
        Planner { encoder: &self.encoder, params: &self.params, context: &self.context }
    }
}

/// Refuses a chat template that fails whatever it is given: later its failures are the samples' own,
/// and all of them would silently be without a score.
fn check_template(encoder: &Encoder) -> Result<(), IfdError> {
    if *encoder.template() != Template::Chat {
        return Ok(());
    }
    // Some insist on a system message.
    let plain: &[&str] = &["user", "assistant"];
    let attempts = [plain, &["system", "user", "assistant"]].map(|roles| {
        let messages = roles.iter().map(|role| Message::new(*role, "a")).collect();
        encoder.render(&Sample { id: "".into(), index: 0, content: Content::Chat { messages } })
    });
    match attempts {
        [Err(DatasetError::Render { reason, .. }), Err(_)] => {
            Err(IfdError::ChatTemplate { reason })
        }
        [Err(error), Err(_)] => Err(error.into()),
        _ => Ok(()),
    }
}
