//! What `gdig` needs around the method itself: its flags, and its findings as lines and as a page.

mod flags;
mod found;

pub use flags::{Flags, LabelKind, LossKind, ScoreKind};
pub use found::{Found, Line};
