//! Which scores pass.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::SelectionError;

/// How many rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// So many, or all if there are fewer.
    Count(usize),
    /// This share, from 0 to 1, rounded down.
    Share(f64),
}

/// Which scores pass. Rows without a score pass none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// This much or more.
    AtLeast(f64),
    /// Less than this.
    Below(f64),
    /// The highest.
    Highest(Take),
    /// The lowest.
    Lowest(Take),
}

impl Filter {
    /// Takes what does not pass out of `left` (places and their values) and returns it with the reason.
    pub(crate) fn apply(
        self,
        left: &mut Vec<(usize, f64)>,
    ) -> Result<Vec<(usize, f64, String)>, SelectionError> {
        let mut out = Vec::new();
        match self {
            Self::AtLeast(bound) | Self::Below(bound) if bound.is_nan() => {
                return Err(ParameterError::new("bound of a filter", bound, "a number").into());
            }
            Self::AtLeast(bound) => left.retain(|&(place, value)| {
                let passes = value >= bound;
                if !passes {
                    out.push((place, value, format!("below {bound}")));
                }
                passes
            }),
            Self::Below(bound) => left.retain(|&(place, value)| {
                let passes = value < bound;
                if !passes {
                    out.push((place, value, format!("not below {bound}")));
                }
                passes
            }),
            Self::Highest(take) => {
                let count = take.of(left.len())?;
                left.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                out.extend(rest(left, count, "highest"));
            }
            Self::Lowest(take) => {
                let count = take.of(left.len())?;
                left.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
                out.extend(rest(left, count, "lowest"));
            }
        }
        left.sort_unstable_by_key(|&(place, _)| place);
        Ok(out)
    }
}

/// What is beyond the first `count`.
fn rest(
    left: &mut Vec<(usize, f64)>,
    count: usize,
    which: &str,
) -> impl Iterator<Item = (usize, f64, String)> {
    let reason = format!("not among the {count} {which}");
    let rest = left.split_off(count.min(left.len()));
    rest.into_iter().map(move |(place, value)| (place, value, reason.clone()))
}

impl Take {
    fn of(self, all: usize) -> Result<usize, SelectionError> {
        match self {
            Self::Count(count) => Ok(count.min(all)),
            Self::Share(share) => {
                ParameterError::within("share of a filter", share, 0.0..=1.0)?;
                Ok((share * all as f64).floor() as usize)
            }
        }
    }
}
