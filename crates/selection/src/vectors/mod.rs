//! Rows of numbers, wherever they are.

mod arrays;
mod source;
mod subset;

pub use source::{Vectors, VectorsError};
pub use subset::{NoSuchRow, Subset};

/// The release of ndarray whose arrays are [`Vectors`].
pub use ndarray;
