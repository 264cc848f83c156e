#![doc = include_str!("../README.md")]

mod answers;
mod batch;
mod chat;
#[cfg(feature = "parquet")]
mod columns;
mod dataset;
mod detect;
mod encode;
mod encodings;
mod error;
mod export;
mod field;
mod format;
mod index;
mod open;
mod outcome;
mod params;
mod prompt;
mod rendered;
mod rows;
mod sample;
mod scan;
mod schema;
mod source;
#[cfg(feature = "parquet")]
mod spans;
mod template;
mod tokenizer;
mod write;

pub use answers::Answers;
pub use batch::plan_batches;
pub use dataset::Dataset;
pub use encode::{Encoded, Encoder};
pub use encodings::Encodings;
pub use error::{DatasetError, Reject};
pub use export::{Exported, Exporter, TrainerFormat, write_dataset_info};
pub use format::{Format, FormatNameError};
pub use outcome::{Outcome, Reason, Skipped};
pub use params::{EncodeOptions, Fields, OnError, ReadOptions, Truncation};
pub use rendered::Rendered;
pub use sample::{Content, Message, Sample, SampleId};
pub use source::{Concat, Source, Subset, check_source, ids_of, read_at, read_rows};
pub use template::Template;
pub use tokenizer::TextTokenizer;
