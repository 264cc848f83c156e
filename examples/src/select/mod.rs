//! What `select` needs around the methods themselves: its flags, candidates joined from data and
//! embeddings, qualities, the strategies, comparison, and its findings as lines
//! and as a page.

mod candidates;
mod choice;
mod compare;
mod embed;
mod flags;
mod found;
mod page;
mod quality;
mod random;
mod request;

pub use candidates::{Candidate, Candidates};
pub use choice::{Choice, Picked};
pub use compare::{Compared, Figure, Measured, compare};
pub use embed::embed;
pub use flags::{Flags, PoolKind, Strategy};
pub use found::{Found, Line};
pub use quality::{quality_of_rows, read_quality};
pub use request::Request;
