//! Names of the ways to score.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A way to score samples against queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Numbers drawn by lot.
    Random,
    /// Cosine of mean hidden states.
    EmbeddingCosine,
    /// Cosine of gradients.
    GradientCosine,
    /// Inner product of gradients: influence without curvature.
    Identity,
    /// Influence with K-FAC.
    Kfac,
}

const STRATEGIES: [(&str, Strategy); 5] = [
    ("random", Strategy::Random),
    ("embedding-cosine", Strategy::EmbeddingCosine),
    ("gradient-cosine", Strategy::GradientCosine),
    ("identity", Strategy::Identity),
    ("kfac", Strategy::Kfac),
];

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = STRATEGIES.iter().find(|(_, strategy)| strategy == self);
        f.pad(known.map_or("", |(name, _)| name))
    }
}

impl FromStr for Strategy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = STRATEGIES.iter().find(|(name, _)| *name == text);
        known.map(|(_, strategy)| *strategy).ok_or_else(|| {
            let names: Vec<&str> = STRATEGIES.iter().map(|(name, _)| *name).collect();
            format!("`{text}` is not known; expected {}", names.join(", "))
        })
    }
}

impl Serialize for Strategy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
