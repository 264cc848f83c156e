//! Selectors that look at scores, groups or nothing at all.

mod by_score;
mod column;
mod draw;
mod quota;

pub use by_score::{ByScore, Order};
pub use column::ColumnFilter;
pub use draw::Draw;
pub use quota::Quota;
