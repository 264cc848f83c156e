//! Rules that turn scores into the candidates worth choosing from.
//!
//! A rule runs in milliseconds on a [`ScoreTable`]; scores are never computed again for it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_selection::why::Why;
use tamis_selection::{Candidates, Score, Selection, SelectionError, Selector};

use crate::table::COLUMNS;
use crate::{Candidate, InfluenceError, ScoreTable};

/// Which score candidates are ranked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// Mean influence over the seeds.
    Mean,
    /// Mean influence divided by the candidate's gradient norm.
    #[default]
    MeanNormalised,
}

/// What rules look at.
#[derive(Clone, Copy, Debug)]
struct Standing {
    mean: f64,
    mean_normalised: f64,
    share_helped: f64,
}

impl From<&Candidate> for Standing {
    fn from(candidate: &Candidate) -> Self {
        Self {
            mean: candidate.mean(),
            mean_normalised: candidate.mean_normalised(),
            share_helped: candidate.share_helped(),
        }
    }
}

impl Ranking {
    fn of(self, standing: &Standing) -> f64 {
        match self {
            Self::Mean => standing.mean,
            Self::MeanNormalised => standing.mean_normalised,
        }
    }
}

/// Which candidates count as helpful.
///
/// Written `auto`, `all`, `share:0.9`, `mean`, `normalised`, `top:500` or `top:500:mean`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "rule")]
pub enum Rule {
    /// [`Rule::All`]; if too few pass, the largest share of seeds helped (of at least one half) that
    /// enough candidates reach; if there is none, the highest normalised means.
    #[default]
    Auto,
    /// Every seed is helped: the published rule (arXiv 2405.12915, section 3.2). With more than a few
    /// seeds often nothing passes.
    All,
    /// At least this share of the seeds is helped.
    Share {
        /// The share, 0 to 1.
        at_least: f64,
    },
    /// The highest means, as many as are needed.
    Mean,
    /// The highest normalised means, as many as are needed.
    Normalised,
    /// The `count` highest by a ranking.
    Top {
        /// How many.
        count: usize,
        /// By what.
        by: Ranking,
    },
}

/// What a rule let through.
#[derive(Clone, Debug, PartialEq)]
pub struct Helpful {
    /// Positions in [`ScoreTable::candidates`], ascending.
    pub positions: Vec<usize>,
    /// The rule that was used in the end, in words, with the relaxation it took.
    pub used: String,
    /// Whether [`Rule::Auto`] had to relax the published rule.
    pub relaxed: bool,
    /// The candidates that helped every seed, for the record.
    pub helping_all: usize,
}

impl Rule {
    /// Applies the rule. `budget` is how many rows are to be chosen, `enough` how many candidates a
    /// relaxed rule should let through so that there is still something to choose from.
    ///
    /// # Errors
    /// A budget above the number of scored candidates, or a strict rule that lets through fewer
    /// than the budget.
    pub fn apply(
        &self,
        table: &ScoreTable,
        budget: usize,
        enough: usize,
    ) -> Result<Helpful, InfluenceError> {
        let standings: Vec<Standing> = table.candidates.iter().map(Standing::from).collect();
        self.among(&standings, budget, enough)
    }

    fn among(
        &self,
        candidates: &[Standing],
        budget: usize,
        enough: usize,
    ) -> Result<Helpful, InfluenceError> {
        if budget > candidates.len() {
            return Err(InfluenceError::TooFew { wanted: budget, available: candidates.len() });
        }
        let enough = enough.clamp(budget, candidates.len());
        let all = with(candidates, |c| c.share_helped >= 1.0);
        let helping_all = all.len();
        let (positions, used) = match *self {
            Self::Auto if all.len() >= budget => (all, "every seed helped".to_owned()),
            Self::Auto => relaxed(candidates, enough, all.len()),
            Self::All => (all, "every seed helped".to_owned()),
            Self::Share { at_least } => (
                with(candidates, |c| c.share_helped >= at_least),
                format!("share of seeds helped ≥ {at_least}"),
            ),
            Self::Mean => {
                (top(candidates, enough, Ranking::Mean), format!("{enough} highest means"))
            }
            Self::Normalised => (
                top(candidates, enough, Ranking::MeanNormalised),
                format!("{enough} highest normalised means"),
            ),
            Self::Top { count, by } => {
                let count = count.min(candidates.len());
                (top(candidates, count, by), format!("{count} highest by {}", name(by)))
            }
        };
        if positions.len() < budget {
            return Err(InfluenceError::RuleTooStrict {
                rule: self.to_string(),
                passing: positions.len(),
                candidates: candidates.len(),
                wanted: budget,
            });
        }
        let relaxed = matches!(self, Self::Auto) && helping_all < budget;
        Ok(Helpful { positions, used, relaxed, helping_all })
    }
}

/// Selection by influence alone, without a diversity step: of the rows that the rule lets through, those with the highest
/// normalised means. It looks at the columns of [`ScoreTable::columns`].
impl Selector for Rule {
    fn select(
        &self,
        candidates: &Candidates<'_>,
        budget: usize,
    ) -> Result<Selection, SelectionError> {
        let scores = candidates.need_scores()?;
        let columns = COLUMNS.map(|column| scores.column(column));
        let [mean, mean_normalised, share_helped] = columns;
        let (mean, mean_normalised, share_helped) = (mean?, mean_normalised?, share_helped?);
        let mut whys = Vec::with_capacity(candidates.len());
        let (mut places, mut standings) = (Vec::new(), Vec::new());
        let not_scored = || Why::words("not scored");
        for (place, score) in mean.iter().enumerate() {
            let values = [score, mean_normalised[place], share_helped[place]].map(Score::value);
            if let [Some(mean), Some(mean_normalised), Some(share_helped)] = values {
                places.push(place);
                standings.push(Standing { mean, mean_normalised, share_helped });
            }
            let reason = score.reason().map(|reason| Why::words(reason.to_string()));
            whys.push(reason.unwrap_or_else(not_scored));
        }
        let failed = |error: InfluenceError| SelectionError::Selector(error.into());
        let helpful = self.among(&standings, budget, budget).map_err(failed)?;
        let not = Why::words(format!("not helpful: {}", helpful.used));
        let lower = Why::words("helpful, but others have higher normalised means");
        let high = Why::words("helpful, among the highest normalised means");
        for &place in &places {
            whys[place] = not.clone();
        }
        let kept: Vec<Standing> = helpful.positions.iter().map(|&p| standings[p]).collect();
        for &p in &helpful.positions {
            whys[places[p]] = lower.clone();
        }
        let chosen = top(&kept, budget, Ranking::MeanNormalised);
        let order: Vec<usize> =
            chosen.into_iter().map(|row| places[helpful.positions[row]]).collect();
        for &place in &order {
            whys[place] = high.clone();
        }
        Selection::new(order, whys)
    }
}

/// The relaxations of [`Rule::Auto`], in their order.
fn relaxed(candidates: &[Standing], enough: usize, all: usize) -> (Vec<usize>, String) {
    let mut shares: Vec<f64> = candidates.iter().map(|c| c.share_helped).collect();
    shares.sort_by(|a, b| b.total_cmp(a));
    let reached = shares.get(enough - 1).copied().unwrap_or(0.0);
    if reached >= 0.5 {
        let positions = with(candidates, |c| c.share_helped >= reached);
        let used = format!(
            "share of seeds helped ≥ {reached:.3} (relaxed: {all} candidates help every seed)"
        );
        return (positions, used);
    }
    let half = shares.iter().filter(|&&s| s >= 0.5).count();
    let used = format!(
        "{enough} highest normalised means (relaxed: {all} candidates help every seed, {half} at \
         least half of them)"
    );
    (top(candidates, enough, Ranking::MeanNormalised), used)
}

fn with(candidates: &[Standing], keep: impl Fn(&Standing) -> bool) -> Vec<usize> {
    (0..candidates.len()).filter(|&n| keep(&candidates[n])).collect()
}

/// Positions of the `count` highest, ties to the earlier row; ascending.
fn top(candidates: &[Standing], count: usize, by: Ranking) -> Vec<usize> {
    let values: Vec<f64> = candidates.iter().map(|c| by.of(c)).collect();
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|&a, &b| match values[b].total_cmp(&values[a]) {
        Ordering::Equal => a.cmp(&b),
        unequal => unequal,
    });
    order.truncate(count);
    order.sort_unstable();
    order
}

fn name(by: Ranking) -> &'static str {
    match by {
        Ranking::Mean => "mean",
        Ranking::MeanNormalised => "normalised mean",
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::All => f.write_str("all"),
            Self::Share { at_least } => write!(f, "share:{at_least}"),
            Self::Mean => f.write_str("mean"),
            Self::Normalised => f.write_str("normalised"),
            Self::Top { count, by: Ranking::MeanNormalised } => write!(f, "top:{count}"),
            Self::Top { count, by: Ranking::Mean } => write!(f, "top:{count}:mean"),
        }
    }
}

impl FromStr for Rule {
    type Err = InfluenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || InfluenceError::Rule { text: text.to_owned() };
        let at_least_one =
            |count: &str| count.parse().ok().filter(|&count| count > 0).ok_or_else(wrong);
        let parts: Vec<&str> = text.split(':').collect();
        Ok(match parts.as_slice() {
            ["auto"] => Self::Auto,
            ["all"] => Self::All,
            ["mean"] => Self::Mean,
            ["normalised" | "normalized"] => Self::Normalised,
            ["share", share] => {
                let at_least: f64 = share.parse().map_err(|_| wrong())?;
                if !(0.0..=1.0).contains(&at_least) {
                    return Err(wrong());
                }
                Self::Share { at_least }
            }
            ["top", count] => Self::Top { count: at_least_one(count)?, by: Ranking::default() },
            ["top", count, "mean"] => Self::Top { count: at_least_one(count)?, by: Ranking::Mean },
            _ => return Err(wrong()),
        })
    }
}
