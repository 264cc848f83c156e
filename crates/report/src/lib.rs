#![doc = include_str!("../README.md")]

mod clock;
mod environment;
mod error;
mod files;
mod finite;
mod html;
mod jsonl;
mod mix;
mod ordered;
mod page;
#[cfg(feature = "parquet")]
mod parquet_table;
mod pca;
mod plot;
mod run;
mod selection;
mod stage;
mod stats;
mod table;
mod text;

pub use clock::rfc3339;
pub use environment::{Environment, peak_memory_bytes};
pub use error::ReportError;
pub use files::FileRecord;
pub use finite::{NonFiniteCell, find_non_finite};
pub use jsonl::write_jsonl;
pub use ordered::Ordered;
pub use page::{Report, Section, Tile};
#[cfg(feature = "parquet")]
pub use parquet_table::write_parquet;
pub use pca::{Plane, pca_2d, principal_plane};
pub use plot::{Bars, Histogram, LinePlot, Plot, Scale, Scatter};
pub use run::RunRecord;
pub use selection::{
    Example, Examples, Lengths, Map, ScoreColumn, SelectionReport, best_and_worst, run_section,
};
pub use stage::{StageRecord, StageTimer};
pub use stats::Summary;
pub use table::{Align, Table};
pub use text::{clip, format_bytes, format_number, format_seconds};
