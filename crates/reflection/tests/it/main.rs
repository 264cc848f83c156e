//! Tests of the public interface.
#![allow(clippy::unwrap_used, clippy::panic)]

mod ablations;
mod decisions;
mod judging;
mod paid;
mod prompts;
mod refusals;
mod replies;
mod resuming;
mod scripted;
mod tallies;
mod teacher;
mod unanswered;
