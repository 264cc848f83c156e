//! What the program `evaluate` consists of: its flags, its input, what is measured, and how it is shown.

mod flags;
mod found;
mod input;
mod measure;

pub use flags::Flags;
pub use found::Found;
pub use input::{Input, System};
pub use measure::{Measured, Scored, Significance, Tests, measure, measure_scores};
