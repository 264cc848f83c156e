//! Names of the ways to score.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use tamis::kfac::CurvatureKind;

/// A way to score samples against queries.
///
/// Written `random`, `embedding-cosine`, `gradient-cosine`, a curvature (`identity`, `diagonal`, `kfac`,
/// `ekfac`), or a curvature and steps of conjugate gradients: `ekfac+cg:5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Numbers drawn at random.
    Random,
    /// Cosine of mean hidden states.
    EmbeddingCosine,
    /// Cosine of gradients.
    GradientCosine,
    /// Influence with a curvature.
    Influence(CurvatureKind),
    /// Influence with the Gauss–Newton matrix, solved by conjugate gradients.
    Refined {
        /// The preconditioner.
        with: CurvatureKind,
        /// Steps.
        steps: usize,
    },
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::Random => "random".to_owned(),
            Self::EmbeddingCosine => "embedding-cosine".to_owned(),
            Self::GradientCosine => "gradient-cosine".to_owned(),
            Self::Influence(kind) => kind.to_string(),
            Self::Refined { with, steps } => format!("{with}+cg:{steps}"),
        })
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || {
            format!(
                "`{text}` is not known; expected random, embedding-cosine, gradient-cosine, identity, \
                 diagonal, kfac, ekfac, or one of the last three with +cg:STEPS behind it"
            )
        };
        let kind = |text: &str| text.parse::<CurvatureKind>().map_err(|_| unknown());
        match text {
            "random" => Ok(Self::Random),
            "embedding-cosine" => Ok(Self::EmbeddingCosine),
            "gradient-cosine" => Ok(Self::GradientCosine),
            _ => match text.split_once("+cg:") {
                None => Ok(Self::Influence(kind(text)?)),
                // The identity has no damping, which the system needs.
                Some(("identity", _)) => Err(unknown()),
                Some((with, steps)) => {
                    let steps = steps.parse().map_err(|_| unknown())?;
                    Ok(Self::Refined { with: kind(with)?, steps })
                }
            },
        }
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
