//! The choice by golden score.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;
use tamis_dataset::Reason;
use tamis_selection::why::{Place, Why};
use tamis_selection::{Candidates, Score, Selection, SelectionError, Selector};

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

    /// Chooses at most `budget` candidates at or above the threshold, best first. The reason of each says its
    /// score and its place.
    ///
    /// # Errors
    /// A threshold that is no share.
    pub fn choose(&self, scores: &GoldenScores, budget: usize) -> Result<Selection, NuggetsError> {
        let lonely: Why = Why::words("no golden score: every anchor is its own text");
        let row = |candidate: &GoldenCandidate| match (&candidate.rises, self.golden(candidate)) {
            (Err(reason), _) => Err(unscored(reason)),
            (Ok(_), None) => Err(lonely.clone()),
            (Ok(_), Some(golden)) => Ok((golden.score, golden.mean_rise)),
        };
        self.rank(scores.candidates().iter().map(row).collect(), budget)
    }

    /// Chooses among rows with a golden score and a mean rise, or the reason why they have none.
    fn rank(
        &self,
        rows: Vec<Result<(f64, f64), Why>>,
        budget: usize,
    ) -> Result<Selection, NuggetsError> {
        let rule = self.check()?;
        let passes = |score: f64| rule.threshold.is_none_or(|bound| score >= bound);
        let mut ranked: Vec<(usize, f64, f64)> = rows
            .iter()
            .enumerate()
            .filter_map(|(at, row)| row.as_ref().ok().map(|&(score, rise)| (at, score, rise)))
            .filter(|&(_, score, _)| passes(score))
            .collect();
        ranked.sort_by(|a, b| {
            let rises = match rule.ties {
                Ties::Index => std::cmp::Ordering::Equal,
                Ties::MeanRise => b.2.total_cmp(&a.2),
            };
            b.1.total_cmp(&a.1).then(rises).then(a.0.cmp(&b.0))
        });
        let what: Arc<str> = "golden score".into();
        let placed = |value, place| Why::Placed { what: what.clone(), value, place };
        let below = Place::Below(rule.threshold.unwrap_or(0.0));
        let why = |row| match row {
            Ok((score, _)) => placed(score, below),
            Err(why) => why,
        };
        let mut whys: Vec<Why> = rows.into_iter().map(why).collect();
        for (rank, &(at, score, _)) in ranked.iter().enumerate() {
            let number = rank + 1;
            let taken = rank < budget;
            let place = if taken {
                Place::Taken { number, of: budget }
            } else {
                Place::Beyond { number, budget }
            };
            whys[at] = placed(score, place);
        }
        let order = ranked.into_iter().take(budget).map(|(at, ..)| at).collect();
        Ok(Selection::new(order, whys)?)
    }

    /// The score of a candidate under this rule.
    pub fn golden(&self, candidate: &GoldenCandidate) -> Option<Golden> {
        candidate.golden(self.own)
    }
}

fn unscored(reason: &Reason) -> Why {
    Why::Unscored { column: "golden score".into(), reason: reason.clone() }
}

/// Chooses by the columns `golden` and, for [`Ties::MeanRise`], `mean_rise`. Whether a candidate is measured by itself was
/// decided when they were made.
impl Selector for GoldenRule {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let scores = candidates.need_scores()?;
        let golden = scores.column("golden")?;
        let rises = match self.ties {
            Ties::Index => golden.clone(),
            Ties::MeanRise => scores.column("mean_rise")?,
        };
        let row = |(golden, rise): (&Score, &Score)| match (golden, rise) {
            (Score::Value(golden), Score::Value(rise)) => Ok((*golden, *rise)),
            (Score::Missing(reason), _) | (_, Score::Missing(reason)) => Err(unscored(reason)),
        };
        let rows = golden.into_iter().zip(rises).map(row).collect();
        self.rank(rows, budget).map_err(|error| SelectionError::Selector(error.into()))
    }
}
