//! What `gdig` needs around the method itself: its flags, its rows, and its findings as lines and as
//! a page.

mod flags;
mod found;
mod rows;

pub use flags::{Flags, LabelKind, LossKind, ScoreKind};
pub use found::{Found, Line};
pub use rows::{stored_rows, unit_rows};
