//! The choice by golden score.

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::{Decision, Selection, Selector};

use crate::NuggetsError;
use crate::scores::{Golden, GoldenCandidate, GoldenScores, OwnPair};

/// Who goes first of candidates with one golden score, of which there are only as many as anchors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ties {
    /// The first of the pool, as in the published code.
    #[default]
    Index,
    /// The one with the higher mean rise.
    MeanRise,
}

/// Takes the candidates with the highest golden scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoldenRule {
    /// The least golden score that a chosen candidate has, from 0 to 1; the paper's α.
    pub threshold: Option<f64>,
    /// Who goes first at one score.
    pub ties: Ties,
    /// Whether a candidate is measured by itself.
    pub own: OwnPair,
}

impl GoldenRule {
    /// Refuses a threshold that is no share.
    ///
    /// # Errors
    /// [`NuggetsError::Parameter`].
    pub fn check(self) -> Result<Self, NuggetsError> {
        if let Some(bound) = self.threshold {
            let possible = (0.0..=1.0).contains(&bound);
            let expected = "a share of the anchors, from 0 to 1";
            ParameterError::require(possible, "threshold", bound, expected)?;
        }
        Ok(self)
    }

    /// The score of a candidate under this rule.
    pub fn golden(&self, candidate: &GoldenCandidate) -> Option<Golden> {
        candidate.golden(self.own)
    }
}

impl Selector for GoldenRule {
    type Input = GoldenScores;
    type Error = NuggetsError;

    /// At most `budget` candidates at or above the threshold, best first. The reason of each says its
    /// score and its place.
    fn select(&self, scores: &GoldenScores, budget: usize) -> Result<Selection, NuggetsError> {
        let rule = self.check()?;
        let golden: Vec<Option<Golden>> =
            scores.candidates().iter().map(|candidate| rule.golden(candidate)).collect();
        let passes = |golden: &Golden| rule.threshold.is_none_or(|bound| golden.score >= bound);
        let mut ranked: Vec<(usize, Golden)> = golden
            .iter()
            .enumerate()
            .filter_map(|(place, golden)| Some((place, golden.filter(passes)?)))
            .collect();
        ranked.sort_by(|(at, a), (bt, b)| {
            let rises = match rule.ties {
                Ties::Index => std::cmp::Ordering::Equal,
                Ties::MeanRise => b.mean_rise.total_cmp(&a.mean_rise),
            };
            b.score.total_cmp(&a.score).then(rises).then(at.cmp(bt))
        });
        let mut ranks = vec![None; golden.len()];
        for (rank, (place, _)) in ranked.iter().enumerate() {
            ranks[*place] = Some(rank);
        }
        let decisions = scores.candidates().iter().zip(&golden).zip(ranks);
        let decisions = decisions.map(|((candidate, golden), rank)| {
            let reason = match (&candidate.rises, golden, rank) {
                (Err(reason), _, _) => format!("no golden score: {reason}"),
                (Ok(_), None, _) => "no golden score: every anchor is its own text".to_owned(),
                (Ok(_), Some(golden), Some(rank)) if rank < budget => {
                    format!("golden score {:.3}: number {} of {budget}", golden.score, rank + 1)
                }
                (Ok(_), Some(golden), Some(rank)) => {
                    let score = golden.score;
                    format!("golden score {score:.3}: number {}, beyond {budget}", rank + 1)
                }
                (Ok(_), Some(golden), None) => {
                    let bound = rule.threshold.unwrap_or(0.0);
                    format!("golden score {:.3}: below {bound}", golden.score)
                }
            };
            Decision {
                id: candidate.id.clone(),
                index: candidate.index,
                selected: rank.is_some_and(|rank| rank < budget),
                reason,
            }
        });
        Ok(Selection { decisions: decisions.collect() })
    }
}
