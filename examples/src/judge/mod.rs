//! What the program `judge` consists of: its input, and how its verdicts are shown.

mod input;
mod page;

pub use input::contests;
pub use page::{page, summary};
