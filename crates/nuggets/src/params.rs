//! What a caller can choose about scoring.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::{Answers, EncodeOptions, Template, Truncation};

use crate::NuggetsError;

/// How candidates are scored. All of it decides the stored numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoldenParams {
    /// How a row becomes text, candidates and anchors alike.
    pub template: Template,
    /// The language that translation rows are translated into, for templates that do not say it.
    pub target_language: Option<String>,
    /// What stands between the example and the anchor. `None`: an empty line; with
    /// [`Template::Chat`], which ends its turns itself, nothing.
    pub separator: Option<String>,
    /// The most tokens of a one-shot text, example and anchor together; the model must read as many.
    /// Default 1024. A candidate that does not fit before the longest anchor has no score.
    pub max_length: usize,
    /// Padded tokens of one batch, at most. Default 1024; between 512 and 4,096 it makes little
    /// difference on a small CPU. A GPU wants many more.
    pub token_budget: usize,
    /// Candidates of one shard: what is written together, and redone if the scoring is interrupted.
    /// Default 16: each is read before every anchor, which takes a small CPU seconds.
    pub shard_rows: usize,
}

impl Default for GoldenParams {
    fn default() -> Self {
        Self {
            template: Template::Alpaca,
            target_language: None,
            separator: None,
            max_length: 1024,
            token_budget: 1024,
            shard_rows: 16,
        }
    }
}

impl GoldenParams {
    /// Refuses what cannot be honoured.
    ///
    /// # Errors
    /// [`NuggetsError::Parameter`]: a size of zero, or a length in which no example and anchor fit.
    pub fn check(self) -> Result<Self, NuggetsError> {
        for (name, value, least) in [
            ("token_budget", self.token_budget, 1),
            ("shard_rows", self.shard_rows, 1),
            // An example of two tokens, an anchor's prompt and its answer.
            ("max_length", self.max_length, 4),
        ] {
            ParameterError::at_least(name, value, least)?;
        }
        Ok(self)
    }

    /// The text between example and anchor.
    pub fn separator(&self) -> &str {
        match (&self.separator, &self.template) {
            (Some(separator), _) => separator,
            (None, Template::Chat) => "",
            (None, _) => "\n\n",
        }
    }

    /// How rows become tokens: nothing is added after an answer, of several answers the last counts,
    /// and nothing is cut, since lengths are judged of whole one-shot texts.
    pub(crate) fn encoding(&self) -> EncodeOptions {
        EncodeOptions {
            max_length: usize::MAX,
            truncation: Truncation::RejectCut,
            answers: Answers::Last,
            append_eos: false,
            target_language: self.target_language.clone(),
        }
    }
}
