//! Tests of the public interface on the model folders in `tests/fixtures`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod errors;
mod generation;
mod invariance;
mod layouts;
mod loss;
mod model;
mod options;
mod parity;
mod saving;
mod shared;
mod support;
mod taps;
mod tensor_file;
