//! What `diverse_evol` is made of: its flags, its pool, training, looking, and its findings.

mod flags;
mod found;
mod pool;
mod telling;
mod trainer;
mod viewer;

pub use flags::{Flags, TrainKind};
pub use found::Found;
pub use pool::Candidates;
pub use telling::Telling;
pub use trainer::AnyTrainer;
pub use viewer::ModelViewer;
