#![doc = include_str!("../README.md")]

mod attention;
mod batch;
mod checkpoint;
mod config;
mod decoder;
mod decoder_config;
mod device;
mod error;
mod gpt2;
mod input;
mod layers;
mod lm;
mod load;
mod loss;
mod mapped;
mod options;
mod parameters;
mod pattern;
mod pool;
mod raw;
mod rope;
mod save;
mod tap;

pub use batch::Batch;
pub use device::{Threads, configure_threads, load_cuda};
pub use error::ModelError;
pub use lm::{CausalLm, ModelShape};
pub use load::load;
pub use loss::{Reduction, per_sample_loss, target_log_probs};
pub use options::{Attention, DType, DeviceSpec, LoadOptions};
pub use parameters::Parameters;
pub use pattern::LayerPattern;
pub use pool::{Pool, mean_pooled_hidden};
pub use tap::{LayerId, LayerInfo, NoTap, Tap};
