//! Tests of the public interface.
#![allow(clippy::unwrap_used, clippy::panic, clippy::format_collect)]

#[cfg(unix)]
mod access;
mod answers;
mod batches;
mod chat;
#[cfg(feature = "parquet")]
mod containers;
mod encoding;
mod export;
mod formats;
mod ids;
#[cfg(feature = "parquet")]
mod parquet;
mod prompts;
mod refusals;
mod sources;
mod support;
mod templates;
mod writing;
