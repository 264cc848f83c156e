//! The programs from outside: their command lines, the files they write, and what they do when they
//! are interrupted or given something wrong.
//!
//! The program is run as a user runs it, on a complete but tiny model (two layers, one token a
//! byte), so a run takes a fraction of a second.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bad_data;
mod bad_flags;
mod bad_model;
mod chat_server;
mod choices;
mod compare;
mod custom_pipeline;
mod disk;
mod diverse_evol;
mod evaluate;
mod exports;
mod finetune;
mod generate;
mod ifd;
mod judge;
mod kill;
mod lds;
mod less;
mod nuggets;
mod outputs;
mod pools;
mod program;
mod reflect;
mod rerun;
mod retrieve;
mod said;
mod select;
mod study;
mod trace_pretraining;
