#![doc = include_str!("../README.md")]

mod assign;
mod error;
mod even;
mod kmeans;
mod params;
mod points;
mod resample;
mod rows;
mod seeding;
mod update;

pub use error::ClusteringError;
pub use even::EvenDraw;
pub use kmeans::{KMeans, KMeansFit};
pub use params::{KMeansParams, Metric};
pub use resample::{Resample, Within};
