//! Influence through two stages of training.

mod convex;
mod retraining;
