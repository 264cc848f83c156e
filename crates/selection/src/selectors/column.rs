//! A filter of a named column.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::error::SelectionError;
use crate::filter::Filter;

/// A filter of a column; a bound is written as in `ifd<1` or `r_ifd>=0.2`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnFilter {
    /// The column.
    pub column: String,
    /// What passes.
    pub filter: Filter,
}

impl ColumnFilter {
    /// This filter of this column.
    pub fn new(column: impl Into<String>, filter: Filter) -> Self {
        Self { column: column.into(), filter }
    }
}

impl fmt::Display for ColumnFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.column, self.filter)
    }
}

impl FromStr for ColumnFilter {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        type Make = fn(f64) -> Filter;
        let signs: [(&str, Make); 4] = [
            ("<=", Filter::AtMost),
            (">=", Filter::AtLeast),
            ("<", Filter::Below),
            (">", Filter::Above),
        ];
        let expected = "a score, <, <=, > or >=, and a finite number: ifd<1";
        let wrong = || ParameterError::new("bound", text, expected);
        let split = |&(sign, filter): &(&str, Make)| {
            let (column, bound) = text.split_once(sign)?;
            Some((column.trim(), bound.trim(), filter))
        };
        let (column, bound, filter) = signs.iter().find_map(split).ok_or_else(wrong)?;
        let bound: f64 = bound.parse().map_err(|_| wrong())?;
        if column.is_empty() || !bound.is_finite() {
            return Err(wrong().into());
        }
        Ok(Self::new(column, filter(bound)))
    }
}
