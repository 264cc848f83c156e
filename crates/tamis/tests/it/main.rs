//! Projects of their own, outside of the workspace, that depend on `tamis` as the README says.

#![allow(clippy::unwrap_used, clippy::panic)]

mod outside;
mod project;
