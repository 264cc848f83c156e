//! Text generation: prompts in, new tokens out.
//!
//! Prompts are read in batches of like length, right-padded; every later step reads one token a
//! row. What is finished leaves the batch, so that no step is spent on padding. A result does not
//! depend on what else is in its batch (up to rounding, which may decide between near ties).

mod beam;
mod forward;
mod generator;
mod params;
mod sample;
mod walk;

pub use generator::Generator;
pub use params::{DecodingStrategy, Finish, GenerateParams, Generated};
