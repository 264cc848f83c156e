//! `tamis` as a whole: a source of rows through every stage, and projects outside of the workspace.

#![allow(clippy::unwrap_used, clippy::panic)]

mod every_stage;
mod outside;
mod project;
