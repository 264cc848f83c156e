//! Influence through two stages of training.

mod convex;
mod leave_one_out;
mod model;
mod retraining;
mod second_order;
