//! What the program `reflect` consists of: its flags, and how its findings are shown.

mod flags;
mod found;

pub use flags::Flags;
pub use found::Found;
