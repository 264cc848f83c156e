#![doc = include_str!("../README.md")]

mod adamw;
mod error;
mod observer;
mod order;
mod params;
mod schedule;
mod trainer;
mod weights;

pub use adamw::{AdamW, AdamWParams, Moments};
pub use error::FinetuneError;
pub use observer::{Observer, Silent, StepRecord};
pub use order::epoch_order;
pub use params::{Decay, TrainParams};
pub use schedule::{Schedule, warmup_steps};
pub use trainer::{EpochRecord, TrainReport, Trainer};
