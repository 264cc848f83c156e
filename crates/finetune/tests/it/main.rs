//! Integration tests: the optimizer alone, the schedules, the training loop on a tiny Llama, and
//! parity with `PyTorch`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod adamw;
mod common;
mod parity;
mod settings;
mod training;
