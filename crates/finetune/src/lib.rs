#![doc = include_str!("../README.md")]

mod adamw;
mod checkpoint;
mod data;
mod error;
mod lora;
mod metrics;
mod observer;
mod order;
mod params;
mod passes;
mod progress;
mod provenance;
mod recompute;
mod schedule;
mod seeded;
mod session;
mod subject;
mod tensor_file;
mod trainer;
mod validation;
mod weights;
mod window;

pub use adamw::{AdamW, AdamWParams, Moments};
pub use checkpoint::{CheckpointParams, Checkpoints, Every, NotADistance, SavedCheckpoint};
pub use error::FinetuneError;
pub use lora::{Adapted, Lora, LoraParams, LoraTap};
pub use metrics::MetricsFile;
pub use observer::{EvalRecord, StepRecord, Steps};
pub use order::epoch_order;
pub use params::{Decay, TrainParams};
pub use passes::{Evaluation, evaluate};
pub use schedule::{Schedule, warmup_steps};
pub use trainer::{EpochRecord, FineTuner, Job, TrainReport};
pub use validation::EvalParams;
