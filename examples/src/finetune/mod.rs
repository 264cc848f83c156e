//! What `finetune` needs around the training itself: its flags, its data and its page.

mod data;
mod flags;
mod page;

pub use data::{left_out, open, read};
pub use flags::{Flags, WeightsKind};
pub use page::page;
