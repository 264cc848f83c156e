#![doc = include_str!("../README.md")]

mod capture;
mod dense;
mod error;
mod estimate;
mod flat;
mod labels;
mod norms;
mod pack;
mod packed;
mod pass;
mod planes;
mod projection;
mod reducer;
mod row_type;
mod seeded;
mod shard;
mod sparse;
mod store;
mod trace;
mod vectors;

pub use capture::Capture;
pub use error::GradientError;
pub use estimate::SHORT_TEXT;
pub use flat::{FlatProjection, FlatSpec};
pub use norms::SquaredNorms;
pub use packed::{PackedRows, PackedShard};
pub use pass::{GradientPass, PassParams, Sink};
pub use projection::{Projection, ProjectionSpec, Sides};
pub use reducer::Reducer;
pub use row_type::RowType;
pub use seeded::{Entries, random_matrix};
pub use shard::{RowInfo, RowShard};
pub use store::{RowStore, RowWriter};
pub use trace::{BatchTrace, Labels, LayerTrace, gradient_columns, gradient_size, trace_batch};
pub use vectors::GradientVectors;
