//! Flags of programs that ask a model to write, wherever it runs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{ArgGroup, Args};
use serde::Serialize;
use tamis::model::{DType, DeviceSpec, LoadOptions};
use tamis::reflection::teacher::{Cached, KeySource, LocalParams, OpenAiParams, Prices, Recorded};
use tamis::reflection::{Decoding, Prompts, Teacher};

/// Who answers, how, and at what price.
#[derive(Args, Clone, Debug, Serialize)]
#[command(group = ArgGroup::new("who").required(true).args(["server", "local", "recorded"]))]
pub struct TeacherFlags {
    /// OpenAI-compatible server: everything before /chat/completions, such as
    /// `http://127.0.0.1:8000/v1`
    #[arg(long, value_name = "URL", requires = "server_model")]
    pub server: Option<String>,
    /// Its model, as the server calls it
    #[arg(long, value_name = "NAME", requires = "server")]
    pub server_model: Option<String>,
    /// Name that stands for the server in caches and journals in place of its address, for one whose
    /// address changes while its answers do not
    #[arg(long, value_name = "NAME", requires = "server")]
    pub server_label: Option<String>,
    /// Environment variable with the key [default: `OPENAI_API_KEY`; none for a server on this machine]
    #[arg(long, value_name = "VARIABLE", requires = "server")]
    pub key_env: Option<String>,
    /// Instead of a server: Hugging Face folder of a model with a chat template
    #[arg(long, value_name = "DIR")]
    pub local: Option<PathBuf>,
    /// Where that model runs: auto, cpu or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto", requires = "local")]
    pub local_device: DeviceSpec,
    /// Number type of its weights and activations: f32, f16, bf16 or f64
    #[arg(long, value_name = "DTYPE", default_value = "f32", requires = "local")]
    pub local_dtype: DType,
    /// Instead of a server: the answers.jsonl of an earlier run, whose replies are repeated
    #[arg(long, value_name = "FILE")]
    pub recorded: Option<PathBuf>,
    /// Folder with prompts to use in place of the built-in ones
    #[arg(long, value_name = "DIR")]
    pub prompts: Option<PathBuf>,

    /// Longest reply in tokens
    #[arg(long, value_name = "TOKENS")]
    pub max_tokens: Option<u32>,
    /// 0 for the most probable reply; above, replies are drawn
    #[arg(long, default_value_t = 0.0)]
    pub temperature: f64,
    /// Draw only among the most probable tokens with this much probability together
    #[arg(long, default_value_t = 1.0)]
    pub top_p: f64,
    /// Seed of the draws, for models that take one
    #[arg(long, value_name = "SEED")]
    pub reply_seed: Option<u64>,

    /// Requests under way at a time
    #[arg(long, default_value_t = 8, requires = "server")]
    pub concurrency: usize,
    /// Most requests in a minute [default: no limit]
    #[arg(long, requires = "server")]
    pub requests_per_minute: Option<f64>,
    /// Longest time for one attempt, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "server")]
    pub timeout: u64,
    /// How often a request is sent at most
    #[arg(long, default_value_t = 6, requires = "server")]
    pub attempts: u32,
    /// So many requests in a row without a reply end the program
    #[arg(long, default_value_t = 20, requires = "server")]
    pub failures: u32,
    /// Longest wait before a request is sent again, in seconds: a server that asks for more ends the
    /// program
    #[arg(long, value_name = "SECONDS", default_value_t = 120, requires = "server")]
    pub longest_wait: u64,
    /// Price of a million tokens of prompts, for the sum at the end
    #[arg(long, value_name = "PRICE", requires = "price_completion")]
    pub price_prompt: Option<f64>,
    /// Price of a million tokens of replies
    #[arg(long, value_name = "PRICE", requires = "price_prompt")]
    pub price_completion: Option<f64>,
}

impl TeacherFlags {
    /// The teacher, whose replies are kept in `answers.jsonl` in `out` and never asked for twice.
    ///
    /// # Errors
    /// A setting out of range, a key that is missing, a model that cannot be loaded, a file of
    /// answers that is something else.
    pub fn open(&self, out: &Path) -> Result<Cached<Box<dyn Teacher>>> {
        let teacher: Box<dyn Teacher> = match (&self.server, &self.local, &self.recorded) {
            (Some(url), ..) => Box::new(self.client(url).check()?),
            (None, Some(folder), _) => {
                let load = LoadOptions {
                    device: self.local_device,
                    kind: self.local_dtype,
                    ..LoadOptions::default()
                };
                let params = LocalParams { load, ..LocalParams::new(folder) };
                Box::new(params.load().context("loading the model that answers")?)
            }
            (None, None, Some(file)) => Box::new(Recorded::open(file)?),
            (None, None, None) => bail!("give one of --server, --local and --recorded"),
        };
        let prices = match (self.price_prompt, self.price_completion) {
            (Some(prompt), Some(completion)) => Some(Prices { prompt, completion }),
            _ => None,
        };
        Ok(Cached::open(teacher, out.join("answers.jsonl"), prices)?)
    }

    fn client(&self, url: &str) -> OpenAiParams {
        OpenAiParams {
            base_url: url.to_owned(),
            model: self.server_model.clone().unwrap_or_default(),
            key: self.key_env.clone().map_or(KeySource::Default, KeySource::Variable),
            label: self.server_label.clone(),
            concurrency: self.concurrency,
            requests_per_minute: self.requests_per_minute,
            timeout: Duration::from_secs(self.timeout),
            attempts: self.attempts,
            failures: self.failures,
            longest_wait: Duration::from_secs(self.longest_wait),
            ..OpenAiParams::default()
        }
    }

    /// How it is to write; `longest` if no length was given.
    pub fn decoding(&self, longest: u32) -> Decoding {
        Decoding {
            max_tokens: self.max_tokens.unwrap_or(longest),
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.reply_seed,
        }
    }

    /// What it is told.
    ///
    /// # Errors
    /// The file and line of a prompt that cannot be used.
    pub fn prompts(&self) -> Result<Prompts> {
        match &self.prompts {
            Some(folder) => Ok(Prompts::from_dir(folder)?),
            None => Ok(Prompts::built_in()?),
        }
    }
}
