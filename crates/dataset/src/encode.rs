//! From a sample to token ids and the mask of those to learn.

use std::sync::Arc;

use rayon::prelude::*;
use serde_json::{Value, json};

use crate::answers::Answers;
use crate::error::DatasetError;
use crate::outcome::{Outcome, Reason};
use crate::params::{EncodeOptions, Truncation};
use crate::rendered::Rendered;
use crate::sample::{Sample, SampleId};
use crate::template::{Surroundings, Template};
use crate::tokenizer::TextTokenizer;

/// A sample as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// The sample's id.
    pub id: SampleId,
    /// Its 0-based row in the file.
    pub index: usize,
    /// Its tokens, special tokens included.
    pub ids: Vec<u32>,
    /// `supervised[t]`: token `t` is a target, predicted from the tokens before it. As long as `ids`; never true for the
    /// first token, and true at least once.
    pub supervised: Vec<bool>,
    /// Whether tokens were cut from the end.
    pub truncated: bool,
}

impl Encoded {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Always false: a sample without tokens is unscorable.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The number of target tokens.
    pub fn targets(&self) -> usize {
        self.supervised.iter().filter(|&&target| target).count()
    }
}

/// Renders samples with a template and tokenizes them.
///
/// The whole text is tokenized once. A token is a target if the byte it begins with lies in text to be learned; so a token
/// that begins in the prompt and reaches into the answer is not one, and nothing is ever found by searching or by
/// tokenizing parts. Special tokens written out in a sample's text become those tokens, as with the tokenizer's Python
/// interface.
#[derive(Clone, Debug)]
pub struct Encoder {
    tokenizer: Arc<TextTokenizer>,
    template: Template,
    options: EncodeOptions,
}

impl Encoder {
    /// Puts tokenizer, template and options together.
    ///
    /// # Errors
    /// [`DatasetError::Parameter`] for a length limit below 2; [`DatasetError::Tokenizer`] if the template is
    /// [`Template::Chat`] and the tokenizer has none.
    pub fn new(
        tokenizer: impl Into<Arc<TextTokenizer>>,
        template: Template,
        options: EncodeOptions,
    ) -> Result<Encoder, DatasetError> {
        options.check()?;
        let tokenizer = tokenizer.into();
        if template == Template::Chat && !tokenizer.has_chat_template() {
            return Err(DatasetError::Tokenizer {
                file: tokenizer.path().to_owned(),
                reason: "there is no chat template beside it; choose another template".to_owned(),
            });
        }
        Ok(Encoder { tokenizer, template, options })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    /// The template.
    pub fn template(&self) -> &Template {
        &self.template
    }

    /// The options.
    pub fn options(&self) -> &EncodeOptions {
        &self.options
    }

    /// Everything that decides the tokens of a sample, for manifests: equal descriptions give equal encodings.
    pub fn description(&self) -> Value {
        let mut description = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "tokenizer": self.tokenizer.fingerprint(),
            "template": self.template.name(),
            "target_language": self.target_language(),
            "max_length": self.options.max_length,
            "truncation": self.options.truncation,
            "append_eos": self.options.append_eos,
        });
        // Named where it is not the rule, so that what was made before there was a choice is still known.
        if self.options.answers != Answers::All {
            description["answers"] = json!(self.options.answers);
        }
        description
    }

    fn target_language(&self) -> Option<&str> {
        match &self.template {
            Template::Translation { target_language } => Some(target_language),
            _ => self.options.target_language.as_deref(),
        }
    }

    /// The text of a sample and which parts of it are learned.
    ///
    /// # Errors
    /// [`DatasetError::Render`] if the content does not fit the template.
    pub fn render(&self, sample: &Sample) -> Result<Rendered, DatasetError> {
        self.template
            .render(&sample.content, self.surroundings())
            .map_err(|reason| self.refusal(sample, reason))
    }

    pub(crate) fn refusal(&self, sample: &Sample, reason: String) -> DatasetError {
        DatasetError::Render {
            id: sample.id.clone(),
            index: sample.index,
            template: self.template.name(),
            reason,
        }
    }

    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            target_language: self.target_language(),
            eos: self.tokenizer.eos_text(),
            chat: self.tokenizer.chat(),
            answers: self.options.answers,
        }
    }

    /// The tokens of a sample and which of them are targets, or why it has none.
    pub fn encode(&self, sample: &Sample) -> Outcome<Encoded> {
        match self.encoded(sample) {
            Ok(encoded) => Outcome::Scored(encoded),
            Err(reason) => {
                Outcome::Unscorable { id: sample.id.clone(), index: sample.index, reason }
            }
        }
    }

    fn encoded(&self, sample: &Sample) -> Result<Encoded, Reason> {
        if self.options.answers.are_blank(&sample.content) {
            return Err(Reason::EmptyTarget);
        }
        let rendered =
            self.template.render(&sample.content, self.surroundings()).map_err(Reason::Refused)?;
        let (mut ids, mut supervised) = self.tokens(&rendered).map_err(Reason::Untokenizable)?;
        // Nothing predicts the first token.
        if let Some(first) = supervised.first_mut() {
            *first = false;
        }

        let limit = self.options.max_length;
        let truncated = ids.len() > limit;
        if truncated {
            let (kept, cut) = supervised.split_at(limit);
            let loses = cut.contains(&true);
            let fatal = match self.options.truncation {
                Truncation::RejectCut => loses,
                Truncation::KeepPrefix => loses && !kept.contains(&true),
            };
            if fatal {
                return Err(Reason::TargetTruncated);
            }
            ids.truncate(limit);
            supervised.truncate(limit);
        }
        if !supervised.contains(&true) {
            return Err(Reason::TooFewTokens);
        }
        Ok(Encoded { id: sample.id.clone(), index: sample.index, ids, supervised, truncated })
    }

    /// Encodes many samples on the threads of rayon's pool; the outcomes come in the order of the samples.
    pub fn encode_all(&self, samples: &[Sample]) -> Vec<Outcome<Encoded>> {
        samples.par_iter().map(|sample| self.encode(sample)).collect()
    }

    /// Ids and mask of the whole text, end-of-sequence token included.
    fn tokens(&self, rendered: &Rendered) -> Result<(Vec<u32>, Vec<bool>), String> {
        // A chat template writes the special tokens itself.
        let chat = self.template == Template::Chat;
        let encoding = self.tokenizer.encoding(&rendered.text, !chat)?;
        let mut ids = encoding.get_ids().to_vec();
        let offsets = encoding.get_offsets();
        let mut supervised = mask(offsets, rendered);
        if chat {
            return Ok((ids, supervised));
        }
        if let Some(eos) = self.tokenizer.eos_id() {
            let ends_with_eos = ids.last() == Some(&eos);
            let ends_with_target =
                rendered.targets.last().is_some_and(|target| target.end == rendered.text.len());
            if self.options.append_eos && ends_with_target {
                if ends_with_eos {
                    // The tokenizer put it there, or the text ends with it.
                    supervised.pop();
                } else {
                    ids.push(eos);
                }
                supervised.push(true);
            } else if !self.options.append_eos
                && ends_with_eos
                && offsets.last().is_some_and(|(start, end)| start == end)
            {
                ids.pop();
                supervised.pop();
            }
        }
        Ok((ids, supervised))
    }
}

/// A token is a target if its first byte lies in a target. Tokens that stand for no text have empty offsets.
fn mask(offsets: &[(usize, usize)], rendered: &Rendered) -> Vec<bool> {
    offsets
        .iter()
        .map(|&(start, end)| {
            start < end && rendered.targets.iter().any(|target| target.contains(&start))
        })
        .collect()
}
