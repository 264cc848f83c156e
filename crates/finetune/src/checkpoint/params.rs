//! When checkpoints are written and how many are kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

/// When checkpoints are written and how many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointParams {
    /// How often. Default every 10 minutes. Besides, an evaluation that is the lowest so far is
    /// followed by a checkpoint where the best weights are to be kept.
    pub every: Every,
    /// The newest ones that are kept, besides that of the lowest evaluation. Default 2.
    pub keep: usize,
    /// Whether one is written after the last step, so that a run that is started again finds
    /// itself done. Default yes.
    pub at_end: bool,
}

impl Default for CheckpointParams {
    fn default() -> Self {
        Self { every: Every::default(), keep: 2, at_end: true }
    }
}

impl CheckpointParams {
    pub(crate) fn check(&self) -> Result<(), ParameterError> {
        ParameterError::at_least("checkpoints.keep", self.keep, 1)?;
        let every = match self.every {
            Every::Steps(count) | Every::Epochs(count) => count,
            Every::Seconds(seconds) => seconds as usize,
        };
        ParameterError::at_least("checkpoints.every", every, 1)
    }
}

/// A distance between checkpoints, written `500` (steps), `1e` (epochs), `30s`, `10m` or `2h`.
///
/// ```
/// use tamis_finetune::Every;
///
/// assert_eq!("500".parse(), Ok(Every::Steps(500)));
/// assert_eq!("1e".parse(), Ok(Every::Epochs(1)));
/// assert_eq!("10m".parse(), Ok(Every::Seconds(600)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Every {
    /// Optimizer steps.
    Steps(usize),
    /// Epochs: after the last step of every so many.
    Epochs(usize),
    /// Wall-clock time since the last one.
    Seconds(u64),
}

impl Default for Every {
    fn default() -> Self {
        Self::Seconds(600)
    }
}

impl Every {
    /// Whether one is due after `step`, an epoch having `epoch` steps and the last being `elapsed`
    /// ago.
    pub(crate) fn due(self, step: usize, epoch: usize, elapsed: Duration) -> bool {
        match self {
            Self::Steps(steps) => step.is_multiple_of(steps),
            Self::Epochs(epochs) => step.is_multiple_of(epochs.saturating_mul(epoch)),
            Self::Seconds(seconds) => elapsed.as_secs() >= seconds,
        }
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Steps(steps) => write!(f, "{steps}"),
            Self::Epochs(epochs) => write!(f, "{epochs}e"),
            Self::Seconds(seconds) if seconds > 0 && seconds % 3600 == 0 => {
                write!(f, "{}h", seconds / 3600)
            }
            Self::Seconds(seconds) if seconds > 0 && seconds % 60 == 0 => {
                write!(f, "{}m", seconds / 60)
            }
            Self::Seconds(seconds) => write!(f, "{seconds}s"),
        }
    }
}

/// Why a text is no [`Every`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is no distance between checkpoints; expected steps (500), epochs (1e) or time (30s, \
     10m, 2h)"
)]
pub struct NotADistance {
    found: String,
}

impl FromStr for Every {
    type Err = NotADistance;

    fn from_str(text: &str) -> Result<Self, NotADistance> {
        let bad = || NotADistance { found: text.to_owned() };
        let units = [("s", 1), ("m", 60), ("h", 3600)];
        for (unit, seconds) in units {
            if let Some(count) = text.strip_suffix(unit) {
                let count: u64 = count.parse().map_err(|_| bad())?;
                return count.checked_mul(seconds).map(Self::Seconds).ok_or_else(bad);
            }
        }
        if let Some(count) = text.strip_suffix('e') {
            return count.parse().map(Self::Epochs).map_err(|_| bad());
        }
        text.parse().map(Self::Steps).map_err(|_| bad())
    }
}

impl TryFrom<String> for Every {
    type Error = NotADistance;

    fn try_from(text: String) -> Result<Self, NotADistance> {
        text.parse()
    }
}

impl From<Every> for String {
    fn from(every: Every) -> Self {
        every.to_string()
    }
}
