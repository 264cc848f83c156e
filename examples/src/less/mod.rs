//! What `less` needs beside the libraries: its flags and the warm-up.

mod flags;
mod warmup;

pub use flags::{Flags, Spread};
pub use warmup::{Warmup, warm_up};
