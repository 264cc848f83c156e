//! What a caller can choose about scoring.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::{Answers, EncodeOptions, Encoder, Template, Truncation};

use crate::IfdError;

/// The request to guess an instruction from its answer, which takes the place of `{response}`.
pub const DEFAULT_REQUEST: &str = "Here is an answer that was written to an instruction. Guess the \
    instruction, together with any input it came with.\n\nAnswer:\n{response}\n\nWhat was the instruction?";

/// Stands for the answer in [`ScoreParams::request`].
pub(crate) const PLACE: &str = "{response}";

/// What is computed of a sample. Each needs its own forward passes, of which only those are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measures {
    /// Perplexity of the answer after its instruction: one forward pass.
    pub ppl: bool,
    /// Instruction-following difficulty: two, of which `ppl` is one.
    pub ifd: bool,
    /// The reverse, how hard the instruction is to guess from the answer: two more.
    pub r_ifd: bool,
}

impl Measures {
    /// All of them.
    pub const ALL: Self = Self { ppl: true, ifd: true, r_ifd: true };
    /// IFD, and with it the perplexity.
    pub const IFD: Self = Self { ppl: true, ifd: true, r_ifd: false };
}

/// How the two terms of a sample become one number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ratio {
    /// exp(L(y|x) − L(y)), the ratio of the perplexities.
    #[default]
    Perplexity,
    /// L(y|x) / L(y), the ratio of the mean losses, as the first code of the method has it.
    Loss,
}

/// What stands before the target in the direct term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectContext {
    /// The token that the tokenizer puts at the beginning of a text; if it puts none, the first
    /// target has nothing before it and is left out of both terms.
    #[default]
    Begin,
    /// The same, then the template's cue to answer (`### Response:`, `ASSISTANT:`).
    Cue,
}

/// How samples are scored. Everything here but `ratio` decides the stored numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreParams {
    /// How a sample becomes text.
    pub template: Template,
    /// The most tokens a text may have; the model must read as many. Default 1024.
    pub max_length: usize,
    /// What happens to longer ones.
    pub truncation: Truncation,
    /// The language that translation rows are translated into, for templates that do not say it.
    pub target_language: Option<String>,
    /// What is computed. Default: IFD.
    pub measures: Measures,
    /// What stands before the target in the direct term.
    pub direct: DirectContext,
    /// How the terms become one number.
    pub ratio: Ratio,
    /// The request to guess the instruction; `{response}` in it stands for the answer.
    pub request: String,
    /// Padded tokens of one batch, at most. Default 1024, measured to be best on a small CPU; a GPU
    /// wants many more.
    pub token_budget: usize,
    /// Samples of one shard: what is sorted by length together, written together, and redone if
    /// the scoring is interrupted. Default 512.
    pub shard_rows: usize,
}

impl Default for ScoreParams {
    fn default() -> Self {
        Self {
            template: Template::Alpaca,
            max_length: 1024,
            truncation: Truncation::default(),
            target_language: None,
            measures: Measures::IFD,
            direct: DirectContext::default(),
            ratio: Ratio::default(),
            request: DEFAULT_REQUEST.to_owned(),
            token_budget: 1024,
            shard_rows: 512,
        }
    }
}

impl ScoreParams {
    /// IFD with the template, the length limit and the target language of `encoder`: the texts that other stages see.
    pub fn like(encoder: &Encoder) -> Self {
        Self {
            template: encoder.template().clone(),
            max_length: encoder.options().max_length,
            target_language: encoder.options().target_language.clone(),
            ..Self::default()
        }
    }

    /// Refuses what cannot be honoured.
    ///
    /// # Errors
    /// [`IfdError::Parameter`]: a size of zero, no measure, a request without exactly one
    /// `{response}`, r-IFD with the translation template (which has no place for the request), or
    /// a cue where the template has none.
    pub fn check(self) -> Result<Self, IfdError> {
        for (name, value, least) in [
            ("token_budget", self.token_budget, 1),
            ("shard_rows", self.shard_rows, 1),
            ("max_length", self.max_length, 2),
        ] {
            ParameterError::at_least(name, value, least)?;
        }
        let Measures { ppl, ifd, r_ifd } = self.measures;
        if !(ppl || ifd || r_ifd) {
            return Err(ParameterError::new(
                "measures",
                "empty",
                "at least one of ppl, ifd and r_ifd",
            )
            .into());
        }
        let places = self.request.matches(PLACE).count();
        if r_ifd && places != 1 {
            let found = format!("a text with {places} times {PLACE}");
            return Err(
                ParameterError::new("request", found, format!("exactly one {PLACE}")).into()
            );
        }
        let template = self.template.name();
        if r_ifd && matches!(self.template, Template::Translation { .. }) {
            let expected = "alpaca, vicuna, none or chat where r_ifd is asked for: it has no place \
                            for another request";
            return Err(ParameterError::new("template", template, expected).into());
        }
        if self.direct == DirectContext::Cue && self.cue().is_none() {
            let expected = "alpaca or vicuna where the cue to answer is kept before the direct \
                            term: no other has a fixed one";
            return Err(ParameterError::new("template", template, expected).into());
        }
        Ok(self)
    }

    /// What the template writes straight before an answer.
    pub(crate) fn cue(&self) -> Option<&'static str> {
        match self.template {
            Template::Alpaca => Some("### Response:"),
            Template::Vicuna => Some("ASSISTANT:"),
            Template::None | Template::Translation { .. } | Template::Chat => None,
        }
    }

    /// How samples become tokens: of several answers the last is scored, and nothing is added after it.
    pub(crate) fn encoding(&self) -> EncodeOptions {
        EncodeOptions {
            max_length: self.max_length,
            truncation: self.truncation,
            answers: Answers::Last,
            append_eos: false,
            target_language: self.target_language.clone(),
        }
    }
}
