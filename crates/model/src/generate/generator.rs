//! Prompts in batches, each handed to the search that the strategy names.

use tamis_dataset::plan_batches;

use super::forward::room;
use super::params::{DecodingStrategy, GenerateParams, Generated};
use super::{beam, walk};
use crate::{CausalLm, ModelError, Tap};

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
            DecodingStrategy::Greedy => {}
            DecodingStrategy::Sample { temperature, top_p, .. } => {
                let above = temperature.is_finite() && temperature > 0.0;
                within("temperature", &temperature, above, "a finite number above 0")?;
                within("top_p", &top_p, top_p > 0.0 && top_p <= 1.0, "above 0, at most 1")?;
            }
            DecodingStrategy::Beam { beams, length_penalty, .. } => {
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
            DecodingStrategy::Beam { beams, .. } => beams,
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
            let texts = if matches!(self.params.strategy, DecodingStrategy::Beam { .. }) {
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
