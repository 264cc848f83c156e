//! How text is generated, and what comes out.

use serde::{Deserialize, Serialize};
use tamis_dataset::plan_batches;

use super::forward::room;
use super::{beam, walk};
use crate::{CausalLm, ModelError, Tap};

/// How the next token is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Strategy {
    /// The most probable token.
    #[default]
    Greedy,
    /// A random one.
    Sample {
        /// Divides the logits: above 0; below 1 sharpens, above 1 flattens the distribution.
        temperature: f64,
        /// Only the most probable tokens that together have at least this probability (nucleus
        /// sampling, arXiv 1904.09751): above 0; 1 keeps all.
        top_p: f64,
        /// Only this many of the most probable tokens; 0 keeps all.
        top_k: usize,
        /// Decides the draws. Each prompt has its own stream, keyed by (seed, its place in the
        /// list) or as [`generate_streams`](Generator::generate_streams) is told, so that batches
        /// do not matter.
        seed: u64,
    },
    /// Beam search: the most probable continuation among those that `beams` parallel hypotheses
    /// lead to.
    Beam {
        /// Hypotheses kept, at least 1.
        beams: usize,
        /// Hypotheses are compared by log-probability ÷ lengthᵖ, the stop token counted; p above 0
        /// favours long ones, 0 compares log-probabilities.
        length_penalty: f64,
        /// Stop a prompt as soon as `beams` hypotheses are complete, rather than when no running
        /// one is better than the worst of them.
        early_stopping: bool,
    },
}

/// How to generate; [`check`](GenerateParams::check) turns it into a [`Generator`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerateParams {
    /// Most tokens after a prompt; fewer where the model's positions end earlier. Default 128.
    pub max_new_tokens: usize,
    /// How the next token is chosen. Default greedy.
    pub strategy: Strategy,
    /// Tokens that end a text, such as the end-of-sequence token; they are not part of the result.
    /// Default none.
    pub stop: Vec<u32>,
    /// Tokens, prompts and continuations, that are kept for one batch (a beam counts as a row).
    /// Bounds memory, changes nothing else. Default 16,384.
    pub token_budget: usize,
}

impl Default for GenerateParams {
    fn default() -> Self {
        Self {
            max_new_tokens: 128,
            strategy: Strategy::Greedy,
            stop: Vec::new(),
            token_budget: 16_384,
        }
    }
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model gave a stop token.
    Stop,
    /// It reached `max_new_tokens`, or the end of the model's positions.
    Length,
}

/// What was generated for one prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// The new tokens, without the stop token.
    pub ids: Vec<u32>,
    /// Why there are no more.
    pub finish: Finish,
    /// Natural logarithm of the probability that the model gives them, the stop token counted and
    /// without temperature.
    pub log_prob: f64,
}

/// Generates; made by [`GenerateParams::check`].
#[derive(Clone, Debug)]
pub struct Generator {
    params: GenerateParams,
}

impl GenerateParams {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`ModelError::Option`] for the first one outside its range.
    pub fn check(self) -> Result<Generator, ModelError> {
        at_least_one("max_new_tokens", self.max_new_tokens)?;
        at_least_one("token_budget", self.token_budget)?;
        match self.strategy {
            Strategy::Greedy => {}
            Strategy::Sample { temperature, top_p, .. } => {
                let above = temperature.is_finite() && temperature > 0.0;
                within("temperature", &temperature, above, "a finite number above 0")?;
                within("top_p", &top_p, top_p > 0.0 && top_p <= 1.0, "above 0, at most 1")?;
            }
            Strategy::Beam { beams, length_penalty, .. } => {
                at_least_one("beams", beams)?;
                let finite = length_penalty.is_finite();
                within("length_penalty", &length_penalty, finite, "a finite number")?;
            }
        }
        Ok(Generator { params: self })
    }
}

impl Generator {
    /// The checked settings.
    pub fn params(&self) -> &GenerateParams {
        &self.params
    }

    /// Continues every prompt; results in the order of the prompts. `done` is told after every
    /// batch how many prompts are finished.
    ///
    /// The tap sees every layer in every step; a LoRA adapter is one.
    ///
    /// # Errors
    /// Before anything is generated: a prompt without tokens, with one outside the vocabulary or
    /// so long that the model has no position left. Later: what LibTorch reports.
    pub fn generate(
        &self,
        model: &dyn CausalLm,
        prompts: &[Vec<u32>],
        tap: &mut dyn Tap,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Generated>, ModelError> {
        let places: Vec<u64> = (0..prompts.len() as u64).collect();
        self.generate_streams(model, prompts, &places, tap, done)
    }

    /// As [`generate`](Self::generate), but prompt `i` draws from stream `streams[i]` of the seed: for
    /// results that do not depend on which other prompts are in the list.
    ///
    /// # Errors
    /// Those of [`generate`](Self::generate), and another number of streams than of prompts.
    pub fn generate_streams(
        &self,
        model: &dyn CausalLm,
        prompts: &[Vec<u32>],
        streams: &[u64],
        tap: &mut dyn Tap,
        done: &mut dyn FnMut(usize),
    ) -> Result<Vec<Generated>, ModelError> {
        let shape = model.shape();
        if streams.len() != prompts.len() {
            let (found, expected) = (streams.len().to_string(), prompts.len().to_string());
            return Err(ModelError::BadInput { what: "streams", found, expected });
        }
        let bad = |place: usize, found: String, expected: String| {
            let found = format!("prompt {place} of {found}");
            Err(ModelError::BadInput { what: "prompts", found, expected })
        };
        for (place, prompt) in prompts.iter().enumerate() {
            let longest = shape.max_positions - 1;
            if prompt.is_empty() || prompt.len() > longest {
                return bad(place, format!("{} tokens", prompt.len()), format!("1 to {longest}"));
            }
            if let Some(&id) = prompt.iter().find(|&&id| id as usize >= shape.vocab_size) {
                return bad(place, format!("token id {id}"), format!("below {}", shape.vocab_size));
            }
        }
        let width = match self.params.strategy {
            Strategy::Beam { beams, .. } => beams,
            _ => 1,
        };
        let size = |prompt: &Vec<u32>| prompt.len() + room(&self.params, model, prompt.len());
        let sizes: Vec<usize> =
            prompts.iter().map(|prompt| size(prompt).saturating_mul(width)).collect();
        let mut results: Vec<Option<Generated>> = vec![None; prompts.len()];
        let mut finished = 0;
        let plan = plan_batches(&sizes, self.params.token_budget).map_err(|error| {
            let expected = "at least 1".to_owned();
            ModelError::BadInput { what: "token budget", found: error.to_string(), expected }
        })?;
        for places in plan {
            let part: Vec<&[u32]> = places.iter().map(|&place| &*prompts[place]).collect();
            let texts = if matches!(self.params.strategy, Strategy::Beam { .. }) {
                beam::search(model, &part, &self.params, tap)?
            } else {
                let streams: Vec<u64> = places.iter().map(|&place| streams[place]).collect();
                walk::walk(model, &part, &streams, &self.params, tap)?
            };
            finished += places.len();
            for (place, text) in places.into_iter().zip(texts) {
                results[place] = Some(text);
            }
            done(finished);
        }
        Ok(results.into_iter().flatten().collect())
    }
}

fn at_least_one(what: &'static str, found: usize) -> Result<(), ModelError> {
    within(what, &found, found > 0, "at least 1")
}

fn within(
    what: &'static str,
    found: &dyn ToString,
    inside: bool,
    expected: &'static str,
) -> Result<(), ModelError> {
    if inside {
        return Ok(());
    }
    Err(ModelError::Option { what, found: found.to_string(), expected })
}
