//! What is added to the curvature's eigenvalues before they are divided by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::KfacError;

/// Damping of a layer's curvature. With eigenvalues α of the input covariance `A` and σ of the
/// gradient covariance `S`, the curvature has eigenvalues `σ_i α_j`.
///
/// Written `0.1` or `relative:0.1`, `absolute:1e-8`, `tikhonov:0.1`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "damping", content = "value")]
pub enum Damping {
    /// `σ_i α_j + c · mean(σ) · mean(α)`: `c` times the layer's mean eigenvalue.
    Relative(f64),
    /// `σ_i α_j + d`, the same `d` for every layer.
    Absolute(f64),
    /// `(σ_i + √γ / π)(α_j + √γ · π)` with `γ = c · mean(σ) · mean(α)` and
    /// `π² = mean(α) / mean(σ)` (K-FAC, arXiv 1503.05671, section 6.3). Both factors are damped
    /// alike, so the damped curvature is a Kronecker product again.
    FactoredTikhonov(f64),
}

impl Default for Damping {
    fn default() -> Self {
        Self::Relative(0.1)
    }
}

impl Damping {
    /// Refuses a negative or non-finite value.
    ///
    /// # Errors
    /// The value.
    pub fn check(self) -> Result<Self, KfacError> {
        let (Self::Relative(value) | Self::Absolute(value) | Self::FactoredTikhonov(value)) = self;
        if value.is_finite() && value >= 0.0 { Ok(self) } else { Err(KfacError::Damping { value }) }
    }
}

impl fmt::Display for Damping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relative(c) => write!(f, "relative:{c}"),
            Self::Absolute(d) => write!(f, "absolute:{d}"),
            Self::FactoredTikhonov(c) => write!(f, "tikhonov:{c}"),
        }
    }
}

impl FromStr for Damping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mode, value) = text.split_once(':').unwrap_or(("relative", text));
        let value: f64 = value.parse().map_err(|_| format!("{value:?} is not a number"))?;
        let damping = match mode {
            "relative" => Self::Relative(value),
            "absolute" => Self::Absolute(value),
            "tikhonov" => Self::FactoredTikhonov(value),
            other => {
                return Err(format!("{other:?}: expected relative:C, absolute:D or tikhonov:C"));
            }
        };
        damping.check().map_err(|e| e.to_string())
    }
}
