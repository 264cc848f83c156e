//! The curvatures there are, and what each needs to be fitted.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A curvature strategy.
///
/// Written `identity`, `diagonal`, `kfac` or `ekfac`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CurvatureKind {
    /// `H = I`.
    Identity,
    /// The diagonal of the Fisher matrix in the coordinates of the weights.
    Diagonal,
    /// `H = S ⊗ A` (arXiv 1503.05671).
    #[default]
    Kfac,
    /// K-FAC's eigenvectors with eigenvalues fitted anew in their basis (arXiv 1806.03884).
    Ekfac,
}

/// What has to be known of a model and its data before a curvature can be solved with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// A pass over the data that sums the two covariances of every layer, and their eigenvectors.
    pub covariances: bool,
    /// A pass over the data that sums squared gradients: after the first, in the eigenvectors'
    /// basis, or alone, in the coordinates of the weights.
    pub second_moments: bool,
}

impl CurvatureKind {
    /// Every strategy.
    pub const ALL: [Self; 4] = [Self::Identity, Self::Diagonal, Self::Kfac, Self::Ekfac];

    /// What it needs to be fitted.
    pub fn needs(self) -> Needs {
        Needs {
            covariances: matches!(self, Self::Kfac | Self::Ekfac),
            second_moments: matches!(self, Self::Diagonal | Self::Ekfac),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Diagonal => "diagonal",
            Self::Kfac => "kfac",
            Self::Ekfac => "ekfac",
        }
    }
}

impl fmt::Display for CurvatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for CurvatureKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| format!("{text:?}: expected identity, diagonal, kfac or ekfac"))
    }
}
