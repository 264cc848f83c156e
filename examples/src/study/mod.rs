//! The parts of the `study` program: which data, which methods, one cell of the grid, the results.

mod cell;
mod evidence;
mod flags;
mod method;
mod pool;
pub mod results;

pub use cell::{Cell, Grid, NotFinite};
pub use evidence::Evidence;
pub use flags::Flags;
pub use method::{Kind, Method};
pub use pool::{Texts, spoil};
