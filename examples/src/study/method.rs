//! Names of the ways to choose, with their options.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A way to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// At random.
    Random,
    /// The longest answers.
    Longest,
    /// The lowest perplexity of the answer under the starting model.
    Perplexity,
    /// Evenly over k-means clusters of mean hidden states.
    Embedding,
    /// G-DIG with K-FAC without its diversity step: the highest scores.
    GdigTop,
    /// G-DIG with K-FAC.
    GdigKfac,
    /// G-DIG with the identity as its curvature.
    GdigIdentity,
}

const KINDS: [(&str, Kind); 7] = [
    ("random", Kind::Random),
    ("longest", Kind::Longest),
    ("perplexity", Kind::Perplexity),
    ("embedding", Kind::Embedding),
    ("gdig-top", Kind::GdigTop),
    ("gdig-kfac", Kind::GdigKfac),
    ("gdig-identity", Kind::GdigIdentity),
];

/// A way to choose with its options; written `gdig-kfac:clusters=64:seeds=16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    /// The way.
    pub kind: Kind,
    /// Clusters; the square root of the number of candidates if not given.
    pub clusters: Option<usize>,
    /// Seeds of influence; all if not given.
    pub seeds: Option<usize>,
}

impl Method {
    /// The way to choose that all others are compared with.
    pub const RANDOM: Self = Self { kind: Kind::Random, clusters: None, seeds: None };

    /// Whether candidates are compared by their gradients.
    pub fn takes_gradients(&self) -> bool {
        matches!(self.kind, Kind::GdigTop | Kind::GdigKfac | Kind::GdigIdentity)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = KINDS.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        f.write_str(name)?;
        let options = [("clusters", self.clusters), ("seeds", self.seeds)];
        for (option, value) in options {
            if let Some(value) = value {
                write!(f, ":{option}={value}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let Some(&(_, kind)) = KINDS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
            return Err(format!("`{name}` is not known; expected {}", known.join(", ")));
        };
        let mut method = Self { kind, clusters: None, seeds: None };
        let clustering = matches!(kind, Kind::Embedding | Kind::GdigKfac | Kind::GdigIdentity);
        for option in parts {
            let wrong = || format!("`{option}` is no option of {name}, such as clusters=64");
            let (key, value) = option.split_once('=').ok_or_else(wrong)?;
            let value = value.parse().ok().filter(|&value: &usize| value > 0).ok_or_else(wrong)?;
            match key {
                "clusters" if clustering => method.clusters = Some(value),
                "seeds" if method.takes_gradients() => method.seeds = Some(value),
                _ => return Err(wrong()),
            }
        }
        Ok(method)
    }
}

impl Serialize for Method {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
