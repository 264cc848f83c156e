//! Which scores pass.

use std::fmt;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::error::SelectionError;

/// Products such as 0.29 · 100 fall a little below the whole number that is meant.
const ROUNDING: f64 = 1e-9;

/// How many rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// All that are left.
    #[default]
    All,
    /// So many, or all that are left if there are fewer.
    Count(usize),
    /// This share of what is left, from 0 to 1, rounded down.
    Share(f64),
    /// This share of all candidates, those without a score included, from 0 to 1, rounded down.
    ShareOfAll(f64),
}

impl Take {
    /// Rows to take of `all` candidates, `left` of which have passed until now. A count is given back as it is, even if
    /// fewer are left.
    ///
    /// # Errors
    /// A share outside of 0 to 1.
    pub fn of(self, all: usize, left: usize) -> Result<usize, ParameterError> {
        let part = |share: f64, of: usize| (share * of as f64 + ROUNDING).floor() as usize;
        self.check()?;
        Ok(match self {
            Self::All => left,
            Self::Count(count) => count,
            Self::Share(share) => part(share, left),
            Self::ShareOfAll(share) => part(share, all),
        })
    }

    pub(crate) fn check(self) -> Result<(), ParameterError> {
        match self {
            Self::Share(share) | Self::ShareOfAll(share) => {
                ParameterError::within("share", share, 0.0..=1.0)
            }
            Self::All | Self::Count(_) => Ok(()),
        }
    }
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Share(share) => write!(f, "{share} of those left"),
            Self::ShareOfAll(share) => write!(f, "{share} of all"),
        }
    }
}

/// Which scores pass. Rows without a score pass none.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// This much or more.
    AtLeast(f64),
    /// More than this.
    Above(f64),
    /// Less than this.
    Below(f64),
    /// This much or less.
    AtMost(f64),
    /// The highest.
    Highest(Take),
    /// The lowest.
    Lowest(Take),
}

impl Filter {
    /// Refuses a bound that is no number and a share outside of 0 to 1.
    ///
    /// # Errors
    /// [`ParameterError`] with the value.
    pub fn check(self) -> Result<(), ParameterError> {
        match self {
            Self::AtLeast(bound)
            | Self::Above(bound)
            | Self::Below(bound)
            | Self::AtMost(bound) => {
                ParameterError::require(!bound.is_nan(), "bound of a filter", bound, "a number")
            }
            Self::Highest(take) | Self::Lowest(take) => take.check(),
        }
    }

    /// Takes what does not pass out of `left` (places and their values, in order), of `all` candidates. Returns it, and the
    /// filter with shares as counts.
    pub(crate) fn apply(
        self,
        all: usize,
        left: &mut Vec<(usize, f64)>,
    ) -> Result<(Vec<(usize, f64)>, Self), SelectionError> {
        self.check()?;
        let part = |left: &mut Vec<(usize, f64)>, passes: &dyn Fn(f64) -> bool| {
            let (pass, out) = left.iter().partition(|&&(_, value)| passes(value));
            *left = pass;
            out
        };
        Ok(match self {
            Self::AtLeast(bound) => (part(left, &|value| value >= bound), self),
            Self::Above(bound) => (part(left, &|value| value > bound), self),
            Self::Below(bound) => (part(left, &|value| value < bound), self),
            Self::AtMost(bound) => (part(left, &|value| value <= bound), self),
            Self::Highest(take) => {
                let count = take.of(all, left.len())?.min(left.len());
                (rest(left, count, true), Self::Highest(Take::Count(count)))
            }
            Self::Lowest(take) => {
                let count = take.of(all, left.len())?.min(left.len());
                (rest(left, count, false), Self::Lowest(Take::Count(count)))
            }
        })
    }
}

/// Takes all but the first `count` out of `left`; of equal values the earlier are the first.
fn rest(left: &mut Vec<(usize, f64)>, count: usize, highest: bool) -> Vec<(usize, f64)> {
    left.sort_by(|a, b| {
        let falling = b.1.total_cmp(&a.1);
        if highest { falling } else { falling.reverse() }.then(a.0.cmp(&b.0))
    });
    let rest = left.split_off(count);
    left.sort_unstable_by_key(|&(place, _)| place);
    rest
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, ">= {bound}"),
            Self::Above(bound) => write!(f, "> {bound}"),
            Self::Below(bound) => write!(f, "< {bound}"),
            Self::AtMost(bound) => write!(f, "<= {bound}"),
            Self::Highest(take) => write!(f, "among the {take} highest"),
            Self::Lowest(take) => write!(f, "among the {take} lowest"),
        }
    }
}
