//! The parts of the `lds` program: the bank of retrainings, the strategies, the results.

mod bank;
mod flags;
mod results;
mod scorer;
mod strategy;

pub use bank::{Bank, Retraining, half};
pub use flags::Flags;
pub use results::{Results, Scored, write};
pub use scorer::{Scorer, Scores};
pub use strategy::Strategy;
