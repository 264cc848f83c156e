//! Integration tests: the optimizer alone, the schedules, the training loop on a tiny Llama, adapters,
//! checkpoints, and parity with `PyTorch` and PEFT.
#![allow(clippy::unwrap_used, clippy::panic)]

mod adamw;
mod common;
mod damage;
mod layouts;
mod lora;
mod masters;
mod parity;
mod peft;
mod recompute;
mod resume;
mod run;
mod saved;
mod settings;
mod sources;
mod training;
mod validation;
