//! What programs share that choose data for tasks with examples: their flags, and what they found as
//! lines and as a page.

mod flags;
mod found;
mod page;

pub use flags::{TargetFlags, TargetSet};
pub use found::{Found, Line};
