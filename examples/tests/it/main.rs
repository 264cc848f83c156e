//! `gdig` from outside: its command line, the files it writes, and what it does when it is
//! interrupted or given something wrong.
//!
//! The program is run as a user runs it, on a complete but tiny model (two layers, one token a
//! byte), so a run takes a fraction of a second.

#![allow(clippy::unwrap_used, clippy::panic)]

mod bad_data;
mod bad_flags;
mod bad_model;
mod choices;
mod disk;
mod kill;
mod outputs;
mod pools;
mod program;
mod rerun;
