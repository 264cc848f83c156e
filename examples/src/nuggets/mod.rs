//! What `nuggets` needs around the method itself: its flags, its anchors, and its findings as lines
//! and as a page.

mod anchors;
mod flags;
mod found;

pub use anchors::anchors;
pub use flags::{Flags, TiesKind};
pub use found::{Found, Line};
