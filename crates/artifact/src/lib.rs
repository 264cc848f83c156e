#![doc = include_str!("../README.md")]

mod atomic;
mod error;
mod estimate;
mod fingerprint;
mod folder;
mod hash;
mod journal;
mod ledger;
mod line;
mod manifest;
mod parameter;
mod progress;
mod provenance;
mod random;
mod shard_lines;
mod shards;
mod store;

pub use atomic::{AtomicFile, rename_folder, write_atomic};
pub use error::ArtifactError;
pub use estimate::{Bytes, Estimate};
pub use fingerprint::Fingerprint;
pub use hash::{hash_bytes, hash_file};
pub use ledger::Ledger;
pub use manifest::{Difference, Differences, Manifest};
pub use parameter::ParameterError;
pub use progress::{NoProgress, Progress, RowShare, Stage};
pub use provenance::Provenance;
pub use random::Random;
pub use shard_lines::to_lines;
pub use shards::{PassReport, Shards, run_shards};
pub use store::{Entry, Store, StoreWriter};
