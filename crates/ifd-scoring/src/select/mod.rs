//! Selection by scores: a pure function of scores and groups, without a model.

mod bound;
mod params;
mod quota;

use std::collections::{HashMap, HashSet};

use tamis_dataset::{Decision, SampleId, Selection, Selector};

use crate::{IfdError, Measure, Measured, SampleScores};

pub use bound::{Bound, Keep};
pub use params::{Base, Order, SelectParams, Take};
pub use quota::Quota;

/// What a selection looks at: the scores of a sample, and the group it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The sample's id.
    pub id: SampleId,
    /// Its 0-based row in the file.
    pub index: usize,
    /// Its scores, in the order of [`Measure::ALL`].
    pub scores: [Measured<f64>; 4],
    /// Its group, such as a domain; all without one are a group of their own.
    pub group: Option<String>,
}

impl Candidate {
    /// The candidate with a group.
    #[must_use]
    pub fn in_group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// A score.
    pub fn score(&self, measure: Measure) -> &Measured<f64> {
        &self.scores[measure as usize]
    }
}

impl From<&SampleScores> for Candidate {
    fn from(sample: &SampleScores) -> Self {
        Self {
            id: sample.id.clone(),
            index: sample.index,
            scores: Measure::ALL.map(|measure| sample.measure(measure)),
            group: None,
        }
    }
}

/// Chooses by scores; made by [`SelectParams::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSelector {
    pub(crate) params: SelectParams,
}

/// What becomes of a candidate before any is compared with another.
struct Survivors {
    /// Positions of those that all bounds keep, the best first, ties in the order given.
    ranked: Vec<usize>,
    /// Why the others fell out.
    reasons: HashMap<usize, String>,
}

impl ScoreSelector {
    /// The settings.
    pub fn params(&self) -> &SelectParams {
        &self.params
    }

    /// How many of `candidates` are to be chosen: the count, or the share of its base, rounded
    /// down.
    ///
    /// # Errors
    /// As [`Selector::select`].
    pub fn budget(&self, candidates: &[Candidate]) -> Result<usize, IfdError> {
        let survivors = self.survivors(candidates)?.ranked.len();
        Ok(self.params.take.of(candidates.len(), survivors))
    }

    /// Refuses a quota that cannot be kept with the groups of all candidates, one each, before they
    /// are scored: with a group that there is not, or with promises beyond the rows to be chosen.
    /// Whatever is within the bounds later, promises are counted as far as the groups have rows, and
    /// the rows to be chosen as if all were within them.
    ///
    /// # Errors
    /// [`IfdError::UnknownGroup`], [`IfdError::Quota`].
    pub fn check_groups<'g>(
        &self,
        groups: impl ExactSizeIterator<Item = Option<&'g str>>,
    ) -> Result<(), IfdError> {
        let budget = self.params.take.of(groups.len(), groups.len());
        quota::check(&self.params.quota, groups, budget)
    }

    /// Decides about every candidate, within the budget that the settings say.
    ///
    /// # Errors
    /// As [`Selector::select`].
    pub fn choose(&self, candidates: &[Candidate]) -> Result<Selection, IfdError> {
        self.select(candidates, self.budget(candidates)?)
    }

    fn survivors(&self, candidates: &[Candidate]) -> Result<Survivors, IfdError> {
        check_scores(candidates)?;
        let rank = self.params.rank;
        let mut bounds: Vec<Measure> = self.params.bounds.iter().map(|b| b.measure).collect();
        bounds.push(rank);
        for measure in bounds {
            let asked = |c: &Candidate| *c.score(measure) != Measured::NotAsked;
            if !candidates.is_empty() && !candidates.iter().any(asked) {
                return Err(IfdError::NotMeasured { measure: measure.name() });
            }
        }
        let (mut ranked, mut reasons) = (Vec::new(), HashMap::new());
        for (position, candidate) in candidates.iter().enumerate() {
            let fault = self.params.bounds.iter().find_map(|bound| bound.fault(candidate));
            let fault = fault.or_else(|| bound::unscored(candidate, rank));
            match (fault, candidate.score(rank)) {
                (None, &Measured::Value(score)) => ranked.push((position, score)),
                (fault, _) => {
                    reasons.insert(position, fault.unwrap_or_default());
                }
            }
        }
        // A stable sort keeps ties in the order given, which is that of the pool.
        match self.params.order {
            Order::HighestFirst => ranked.sort_by(|a, b| b.1.total_cmp(&a.1)),
            Order::LowestFirst => ranked.sort_by(|a, b| a.1.total_cmp(&b.1)),
        }
        Ok(Survivors {
            ranked: ranked.into_iter().map(|(position, _)| position).collect(),
            reasons,
        })
    }
}

impl Selector for ScoreSelector {
    type Input = [Candidate];
    type Error = IfdError;

    /// Chooses at most `budget` candidates; a budget of 0 chooses none.
    ///
    /// # Errors
    /// [`IfdError::NotFinite`] for a score that is NaN or infinite, [`IfdError::NotMeasured`] if no
    /// candidate has the measure, [`IfdError::Quota`] and [`IfdError::UnknownGroup`] for promises
    /// to groups that cannot be kept.
    fn select(&self, candidates: &[Candidate], budget: usize) -> Result<Selection, IfdError> {
        let Survivors { ranked, mut reasons } = self.survivors(candidates)?;
        let fates = quota::choose(&self.params.quota, candidates, &ranked, budget)?;
        let (measure, of) = (self.params.rank, ranked.len());
        let mut chosen = HashSet::new();
        for (place, (&position, fate)) in ranked.iter().zip(fates).enumerate() {
            let ranked = format!("number {} of {of} by {measure}", place + 1);
            reasons.insert(position, fate.reason(&ranked, budget));
            if fate.is_chosen() {
                chosen.insert(position);
            }
        }
        let decisions = candidates
            .iter()
            .enumerate()
            .map(|(position, candidate)| Decision {
                id: candidate.id.clone(),
                index: candidate.index,
                selected: chosen.contains(&position),
                reason: reasons.remove(&position).unwrap_or_default(),
            })
            .collect();
        Ok(Selection { decisions })
    }
}

/// Refuses scores that cannot be ordered, which only a caller can have made.
fn check_scores(candidates: &[Candidate]) -> Result<(), IfdError> {
    for candidate in candidates {
        for measure in Measure::ALL {
            if let &Measured::Value(value) = candidate.score(measure)
                && !value.is_finite()
            {
                let (id, index) = (candidate.id.clone(), candidate.index);
                return Err(IfdError::NotFinite { id, index, measure: measure.name(), value });
            }
        }
    }
    Ok(())
}
