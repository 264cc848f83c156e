#![doc = include_str!("../README.md")]

mod direction;
mod error;
mod estimate;
mod features;
mod score;
mod warm;

pub use direction::Direction;
pub use error::LessError;
pub use features::LoraFeatures;
pub use score::{Directions, LessScores, target_direction};
pub use warm::{FeatureParams, WarmCheckpoint};
