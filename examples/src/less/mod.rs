//! What `less` needs beside the libraries: its flags, the warm-up, and its outputs.

mod flags;
mod found;
mod warmup;

pub use flags::{Flags, Named, Spread};
pub use found::{Found, Line};
pub use warmup::{Warmup, warm_up};
