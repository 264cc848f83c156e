//! Golden scores, and the rises that they are made of.

use serde::{Deserialize, Serialize};
use tamis_dataset::{Reason, SampleId};

use crate::NuggetsError;

/// What candidates are measured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Its id.
    pub id: SampleId,
    /// Its 0-based row.
    pub index: usize,
    /// Tokens of its answer.
    pub targets: usize,
    /// Their mean log-probability without an example, in nats.
    pub zero_shot: f64,
}

/// What an example did for every anchor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenCandidate {
    /// Its id.
    pub id: SampleId,
    /// Its 0-based row in the pool.
    pub index: usize,
    /// By how much the mean log-probability of each anchor's answer rises, in nats; or why none is
    /// known.
    pub rises: Result<Vec<f64>, Reason>,
    /// Anchors, by their number, whose text is that of the candidate itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<usize>,
}

/// Whether a candidate is also measured by an anchor of the same text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OwnPair {
    /// No: an answer that stands word for word in the example only has to be copied.
    #[default]
    LeftOut,
    /// Yes, as in the published code.
    Counted,
}

/// The score of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Golden {
    /// Share of the anchors with a rise above 0, from 0 to 1.
    pub score: f64,
    /// The mean of the rises, in nats a token.
    pub mean_rise: f64,
    /// Anchors counted.
    pub anchors: usize,
}

impl GoldenCandidate {
    /// The golden score: the share of anchors whose mean log-probability strictly rises
    /// (arXiv 2312.10302, equation 4). `None` without rises, or where every anchor is left out.
    pub fn golden(&self, own: OwnPair) -> Option<Golden> {
        let rises = self.rises.as_ref().ok()?;
        let counted = |anchor: usize| own == OwnPair::Counted || !self.own.contains(&anchor);
        let (mut up, mut sum, mut anchors) = (0usize, 0.0, 0usize);
        for (_, &rise) in rises.iter().enumerate().filter(|(anchor, _)| counted(*anchor)) {
            up += usize::from(rise > 0.0);
            sum += rise;
            anchors += 1;
        }
        let count = anchors as f64;
        (anchors > 0).then(|| Golden { score: up as f64 / count, mean_rise: sum / count, anchors })
    }
}

/// Every rise of a pool: what rules choose from.
#[derive(Clone, Debug, PartialEq)]
pub struct GoldenScores {
    anchors: Vec<Anchor>,
    candidates: Vec<GoldenCandidate>,
}

impl GoldenScores {
    /// Puts anchors and candidates together.
    ///
    /// # Errors
    /// A candidate with another number of rises than there are anchors.
    pub fn new(
        anchors: Vec<Anchor>,
        candidates: Vec<GoldenCandidate>,
    ) -> Result<Self, NuggetsError> {
        for candidate in &candidates {
            let found = candidate.rises.as_ref().map_or(anchors.len(), Vec::len);
            let own = candidate.own.iter().all(|&anchor| anchor < anchors.len());
            if found != anchors.len() || !own {
                let (id, index) = (candidate.id.clone(), candidate.index);
                return Err(NuggetsError::Rises { id, index, found, expected: anchors.len() });
            }
        }
        Ok(Self { anchors, candidates })
    }

    /// The anchors.
    pub fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    /// The candidates, in the order of the pool.
    pub fn candidates(&self) -> &[GoldenCandidate] {
        &self.candidates
    }
}
