//! What `retrieve` needs around the methods themselves: its flags, and the scores by each method.

mod flags;
mod scores;

pub use flags::{By, Flags};
pub use scores::{by_chance, by_hidden_states, by_words};
