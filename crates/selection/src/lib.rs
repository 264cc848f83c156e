#![doc = include_str!("../README.md")]

mod arrays;
mod subset;
mod vectors;

pub use subset::{NoSuchRow, VectorSubset};
pub use vectors::{Vectors, VectorsError};

/// The release of ndarray whose arrays are [`Vectors`].
pub use ndarray;
