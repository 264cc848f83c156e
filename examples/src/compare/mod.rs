//! Beside the library calls of `compare`: its flags, its input and its tables.

mod flags;
mod found;
mod pool;
mod set;

pub use flags::{Flags, Named};
pub use found::{Found, Measured};
pub use pool::{Pool, Texts};
pub use set::Set;
