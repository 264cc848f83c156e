#![doc = include_str!("../README.md")]

mod command;
mod error;
mod evolution;
mod folder;
mod journal;
mod params;
mod pick;
mod seams;
mod session;
mod strategy;
mod times;
#[cfg(feature = "model")]
mod uncertainty;

pub use command::{Places, TrainCommand};
pub use error::EvolError;
pub use evolution::{Evolution, Picked, Round, Seconds};
pub use folder::hash_folder;
pub use params::{DiverseEvol, EvolParams, Models, Pool};
pub use seams::{Failure, Metrics, Observer, Sight, Silent, Stage, Task, Trainer, View, Viewer};
pub use strategy::{Need, Strategy, Uncertainty};
pub use tamis_kcenter::Metric;
pub use tamis_selection::vectors::{Vectors, VectorsError};
#[cfg(feature = "model")]
pub use uncertainty::{Uncertainties, UncertaintyParams, UncertaintyPass, uncertainties};
