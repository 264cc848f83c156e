//! What `trace_pretraining` needs around the method itself: its flags, one of its two stages, and its
//! findings as lines and as a page.

mod flags;
mod found;
mod stage;

pub use flags::{By, Flags};
pub use found::{Found, Line};
pub use stage::Stage;
