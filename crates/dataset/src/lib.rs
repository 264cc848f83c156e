#![doc = include_str!("../README.md")]

mod batch;
mod chat;
#[cfg(feature = "parquet")]
mod columns;
mod dataset;
mod detect;
mod encode;
mod error;
mod export;
mod field;
mod format;
mod index;
mod open;
mod outcome;
mod params;
mod prompt;
mod rows;
mod sample;
mod scan;
mod schema;
mod selection;
mod template;
mod tokenizer;
mod write;

pub use batch::plan_batches;
pub use dataset::Dataset;
pub use encode::{Encoded, Encoder};
pub use error::{DatasetError, Reject};
pub use export::{Exported, Exporter, TrainerFormat, write_dataset_info};
pub use format::Format;
pub use outcome::{Outcome, Unscorable};
pub use params::{Answers, EncodeOptions, Fields, OnError, ReadOptions, Truncation};
pub use sample::{Content, Message, Sample, SampleId};
pub use selection::{Decision, Selection, Selector};
pub use template::{Rendered, Template};
pub use tokenizer::TextTokenizer;
