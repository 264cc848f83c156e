//! Bounds on scores.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::select::Candidate;
use crate::{IfdError, Measure, Measured};

/// On which side of a bound a score is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Below it.
    Below,
    /// Below it or on it.
    AtMost,
    /// Above it.
    Above,
    /// Above it or on it.
    AtLeast,
}

impl Keep {
    const ALL: [(Self, &'static str); 4] =
        [(Self::AtMost, "<="), (Self::AtLeast, ">="), (Self::Below, "<"), (Self::Above, ">")];

    fn sign(self) -> &'static str {
        match self {
            Self::Below => "<",
            Self::AtMost => "<=",
            Self::Above => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// A bound that a candidate's score must keep, written as in `ifd<1` or `r_ifd>=0.2`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// The score.
    pub measure: Measure,
    /// The side that is kept.
    pub keep: Keep,
    /// The bound.
    pub value: f64,
}

impl Bound {
    /// Refuses a bound that is not a finite number.
    pub(crate) fn check(&self) -> Result<(), IfdError> {
        let expected = "a finite number behind the sign";
        Ok(ParameterError::require(self.value.is_finite(), "a bound", self, expected)?)
    }

    /// Why it drops the candidate, if it does.
    pub(crate) fn fault(&self, candidate: &Candidate) -> Option<String> {
        let &Measured::Value(score) = candidate.score(self.measure) else {
            return unscored(candidate, self.measure);
        };
        let kept = match self.keep {
            Keep::Below => score < self.value,
            Keep::AtMost => score <= self.value,
            Keep::Above => score > self.value,
            Keep::AtLeast => score >= self.value,
        };
        (!kept).then(|| format!("not {self}"))
    }
}

/// Why a candidate has no score, if it has none.
pub(super) fn unscored(candidate: &Candidate, measure: Measure) -> Option<String> {
    match candidate.score(measure) {
        Measured::Value(_) => None,
        Measured::Unscorable(reason) => Some(format!("no {measure}: {reason}")),
        Measured::NotAsked => Some(format!("no {measure}: it was not asked for")),
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.measure, self.keep.sign(), self.value)
    }
}

impl FromStr for Bound {
    type Err = IfdError;

    fn from_str(text: &str) -> Result<Self, IfdError> {
        let expected = "a score, <, <=, > or >=, and a number: ifd<1";
        for (keep, sign) in Keep::ALL {
            if let Some((measure, value)) = text.split_once(sign) {
                let value = value.trim().parse();
                let value = value.map_err(|_| ParameterError::new("bound", text, expected))?;
                let bound = Self { measure: measure.trim().parse()?, keep, value };
                bound.check()?;
                return Ok(bound);
            }
        }
        Err(ParameterError::new("bound", text, expected).into())
    }
}
