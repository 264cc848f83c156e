//! What `ifd` needs around the method itself: its flags, groups of rows, and its findings as lines
//! and as a page.

mod flags;
mod found;
mod groups;

pub use flags::{BaseKind, DirectKind, Flags, MeasureKind, RatioKind, TruncationKind};
pub use found::{Found, Line};
pub use groups::groups;
