//! A teacher in this process.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use tamis_artifact::ParameterError;
use tamis_dataset::{Content, EncodeOptions, Encoder, Sample, SampleId, Template, plan_batches};
use tamis_model::{
    CausalLm, DecodingStrategy, GenerateParams, Generated, LoadOptions, Model, NoTap,
};

use super::chat::{ChatRequest, Finish, Reply, Usage};
use super::no_reply::NoReply;
use super::{Answered, Teacher, answers};
use crate::ReflectionError;

/// How a model becomes a teacher; [`load`](Self::load) turns it into a [`LocalTeacher`].
#[derive(Clone, Debug)]
pub struct LocalParams {
    /// Hugging Face folder with the weights, the tokenizer and its chat template.
    pub model: PathBuf,
    /// Device and number format.
    pub load: LoadOptions,
    /// Tokens that end a reply, such as `<|im_end|>`. None for those that the folder names: the
    /// tokenizer's end-of-sequence token and `eos_token_id` of `generation_config.json`.
    pub stop: Vec<String>,
    /// Tokens, prompts and replies, in memory at a time. Bounds memory and decides how many requests
    /// are told of at a time, changes nothing else.
    pub token_budget: usize,
}

impl LocalParams {
    /// The model in `folder`, on the first GPU if there is one, in 32 bits, 16,384 tokens at a time.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let load = LoadOptions::default();
        Self { model: folder.into(), load, stop: Vec::new(), token_budget: 16_384 }
    }

    /// Checks the settings and loads the model.
    ///
    /// # Errors
    /// [`ReflectionError::Parameter`] for a budget of 0, a token that does not exist, or nothing that
    /// would end a reply; [`ReflectionError::Local`] for a folder that is no model, or that has no
    /// chat template.
    pub fn load(self) -> Result<LocalTeacher, ReflectionError> {
        ParameterError::at_least("token_budget", self.token_budget, 1)?;
        let model = Model::open_with(&self.model, &self.load).map_err(local)?;
        let tokenizer = model.tokenizer().map_err(local)?;
        let encoder = model.encoder(Template::Chat, EncodeOptions::default()).map_err(local)?;
        let mut stop = Vec::new();
        for token in &self.stop {
            let id = tokenizer.token_id(token);
            let unknown = || ParameterError::new("stop", token, "a token of the model's tokenizer");
            stop.push(id.ok_or_else(unknown)?);
        }
        if stop.is_empty() {
            stop = model.ends().map_err(local)?;
        }
        if stop.is_empty() {
            let expected = "a token that ends replies: the model's folder names none";
            return Err(ParameterError::new("stop", "empty", expected).into());
        }
        let vocabulary = model.shape().vocab_size;
        if tokenizer.max_id() as usize >= vocabulary {
            let found = format!("a tokenizer with ids up to {}", tokenizer.max_id());
            return Err(ParameterError::new(
                "model",
                found,
                format!("ids below {vocabulary}, as the model has"),
            )
            .into());
        }
        let identity = json!({
            "kind": "local",
            "model": model.fingerprint().map_err(local)?,
            // The chat template is in it.
            "tokenizer": tokenizer.fingerprint(),
            "stop": stop,
        });
        let max_positions = model.shape().max_positions;
        Ok(LocalTeacher {
            model: Mutex::new(model),
            encoder,
            stop,
            token_budget: self.token_budget,
            max_positions,
            identity,
        })
    }
}

/// Answers with a model in this process; made by [`LocalParams::load`].
///
/// Requests go through the model in batches of like length; each batch is told before the next is
/// begun. A reply depends on its request only, not on the others: the most probable tokens at
/// temperature 0, otherwise draws from a stream of random numbers that the request itself decides. (Up to
/// rounding, which may decide between near ties.) A request that leaves the model no room for a token
/// has [`NoReply::PromptTooLong`]; one that leaves less than its longest length ends with
/// [`Finish::Length`] where the room ends.
pub struct LocalTeacher {
    /// One call at a time: a model may be sent between threads, but not shared.
    model: Mutex<Model>,
    encoder: Encoder,
    stop: Vec<u32>,
    token_budget: usize,
    max_positions: usize,
    identity: Value,
}

impl fmt::Debug for LocalTeacher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalTeacher").field("identity", &self.identity).finish_non_exhaustive()
    }
}

/// Requests that one call of the generator can serve.
struct Group {
    max_tokens: u32,
    strategy: DecodingStrategy,
    /// Places among all requests, prompts, and streams of random numbers.
    members: Vec<(usize, Vec<u32>, u64)>,
}

impl LocalTeacher {
    /// The tokens of a request up to the cue to answer.
    fn prompt(&self, place: usize, request: &ChatRequest) -> Result<Vec<u32>, ReflectionError> {
        if request.messages.last().is_some_and(tamis_dataset::Message::is_assistant) {
            return Err(ParameterError::new(
                "messages",
                "a last turn of the assistant",
                "a turn to answer",
            )
            .into());
        }
        let sample = Sample {
            id: SampleId::from(format!("request {place}")),
            index: place,
            content: Content::Chat { messages: request.messages.clone() },
        };
        self.encoder.prompt(&sample).map_err(local)
    }

    /// The stream that a request draws from.
    fn stream(&self, request: &ChatRequest) -> Result<u64, ReflectionError> {
        let key = answers::key(&self.identity, request);
        u64::from_str_radix(&key[..16], 16).map_err(local)
    }

    fn generate(
        &self,
        group: &Group,
        numbers: &[usize],
    ) -> Result<Vec<Generated>, ReflectionError> {
        let params = GenerateParams {
            max_new_tokens: group.max_tokens as usize,
            strategy: group.strategy,
            stop: self.stop.clone(),
            // The batches are made here.
            token_budget: usize::MAX,
        };
        let generator = params.check().map_err(local)?;
        let members = || numbers.iter().map(|&number| &group.members[number]);
        let prompts: Vec<Vec<u32>> = members().map(|(_, prompt, _)| prompt.clone()).collect();
        let streams: Vec<u64> = members().map(|&(.., stream)| stream).collect();
        // Nothing that the model keeps changes while it answers.
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        generator
            .generate_streams(&*model, &prompts, &streams, &mut NoTap, &mut |_| {})
            .map_err(local)
    }

    fn outcome(
        &self,
        prompt: &[u32],
        generated: &Generated,
    ) -> Result<Result<Reply, NoReply>, ReflectionError> {
        let finish = match generated.finish {
            tamis_model::Finish::Stop => Finish::Stop,
            tamis_model::Finish::Length => Finish::Length,
        };
        let usage = Usage {
            prompt_tokens: prompt.len() as u64,
            completion_tokens: generated.ids.len() as u64,
        };
        let text = self.encoder.tokenizer().decode(&generated.ids).map_err(local)?;
        if text.trim().is_empty() {
            return Ok(Err(NoReply::Empty { finish, usage, attempts: 1 }));
        }
        Ok(Ok(Reply { text, finish, usage, cached: false }))
    }
}

impl Teacher for LocalTeacher {
    fn identity(&self) -> Value {
        self.identity.clone()
    }

    fn ask(
        &self,
        requests: &[ChatRequest],
        done: &mut Answered<'_>,
    ) -> Result<(), ReflectionError> {
        let mut groups: Vec<Group> = Vec::new();
        for (place, request) in requests.iter().enumerate() {
            request.check()?;
            let prompt = self.prompt(place, request)?;
            if prompt.len() >= self.max_positions {
                let reason = format!(
                    "{} tokens, and the model reads at most {} with the reply",
                    prompt.len(),
                    self.max_positions
                );
                done(place, Err(NoReply::PromptTooLong { reason }))?;
                continue;
            }
            let (max_tokens, strategy) = (request.max_tokens, strategy(request));
            let member = (place, prompt, self.stream(request)?);
            let like =
                |group: &&mut Group| group.max_tokens == max_tokens && group.strategy == strategy;
            match groups.iter_mut().find(like) {
                Some(group) => group.members.push(member),
                None => groups.push(Group { max_tokens, strategy, members: vec![member] }),
            }
        }
        for group in &groups {
            let size = |(_, prompt, _): &(usize, Vec<u32>, u64)| {
                (prompt.len() + group.max_tokens as usize).min(self.max_positions)
            };
            let sizes: Vec<usize> = group.members.iter().map(size).collect();
            for numbers in plan_batches(&sizes, self.token_budget).map_err(local)? {
                let texts = self.generate(group, &numbers)?;
                let mut told = Ok(());
                for (number, generated) in numbers.into_iter().zip(&texts) {
                    let (place, prompt, _) = &group.members[number];
                    // The whole batch is there: a cache keeps it even if the caller has failed.
                    told = told.and(done(*place, self.outcome(prompt, generated)?));
                }
                told?;
            }
        }
        Ok(())
    }
}

fn strategy(request: &ChatRequest) -> DecodingStrategy {
    if request.temperature > 0.0 {
        // The request's own seed is in the number of its stream.
        let (temperature, top_p) = (request.temperature, request.top_p);
        DecodingStrategy::Sample { temperature, top_p, top_k: 0, seed: 0 }
    } else {
        DecodingStrategy::Greedy
    }
}

fn local(error: impl Error + Send + Sync + 'static) -> ReflectionError {
    ReflectionError::Local(Box::new(error))
}
