//! What many judgements come to.

use serde::{Deserialize, Serialize};
use tamis_metrics::{BootstrapEstimate, BootstrapParams, Comparison, Mean, sign_test, spearman};

use super::{Judged, Verdict};
use crate::ReflectionError;

/// The sums over all contests. Contests that failed are counted in [`failed`](Self::failed) and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Contests that were judged in both orders: N = wins + ties + losses.
    pub judged: usize,
    /// The model won.
    pub wins: usize,
    /// Neither won.
    pub ties: usize,
    /// The model lost.
    pub losses: usize,
    /// Contests in which one of the orders gave no grades.
    pub failed: usize,
    /// Those of them in which a question had no reply for a reason that may pass: run again, only they are
    /// asked about.
    pub unanswered: usize,
    /// Replies without grades (two at most in a contest).
    pub replies_without_grades: usize,
    /// Questions that got no reply.
    pub no_replies: usize,
    /// (wins − losses) / N + 1: 1 for equal answers, 2 if the model always wins. `None` for N = 0.
    pub winning_score: Option<f64>,
    /// 100 · sum of the model's grades / sum of the reference's, over both orders. `None` if there is
    /// nothing to divide by.
    pub relative_score: Option<f64>,
    /// p of [`sign_test`]: how probable wins and losses at least as uneven would be if the answers were
    /// equally good. Ties are left out.
    pub sign_test_p: f64,
    /// Where the winning score would lie for other questions of this kind. `None` for N < 2.
    pub winning_score_estimate: Option<BootstrapEstimate>,
    /// The grades of model (first) and reference (second), averaged over both orders, by paired
    /// bootstrap over questions. `None` for N < 2.
    pub grades: Option<Comparison>,
    /// How the place of an answer decides about it.
    pub position: PositionBias,
    /// Spearman's correlation between how much longer the model's answer is (characters, minus those of the
    /// reference's) and how much higher its grade. `None` if one of the two is always the same.
    pub length_correlation: Option<f64>,
}

/// How the place of an answer decides about it. A judge that is fair to places has as many `first` as
/// `second` and a `lead` of 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PositionBias {
    /// Replies that graded the answer shown first higher.
    pub first: usize,
    /// Replies that graded both alike.
    pub equal: usize,
    /// Replies that graded the answer shown second higher.
    pub second: usize,
    /// Contests in which both orders prefer the same *place*: the judge contradicts itself.
    pub contradictions: usize,
    /// Mean grade of the first place minus that of the second. `None` for N = 0.
    pub lead: Option<f64>,
}

impl Tally {
    /// The tally of contests.
    ///
    /// # Errors
    /// [`ReflectionError::Metrics`] for a bootstrap out of range.
    pub fn of(contests: &[Judged], bootstrap: BootstrapParams) -> Result<Self, ReflectionError> {
        let bootstrap = bootstrap.check()?;
        let count = |verdict| contests.iter().filter(|one| one.verdict == verdict).count();
        let (wins, ties, losses) = (count(Verdict::Win), count(Verdict::Tie), count(Verdict::Lose));
        let n = wins + ties + losses;
        // Of contests with grades in both orders.
        let graded: Vec<(&Judged, [(f64, f64); 2])> = contests
            .iter()
            .filter_map(|one| {
                Some((one, [one.model_first.grades()?, one.reference_first.grades()?]))
            })
            .collect();
        let mean = |side: fn((f64, f64)) -> f64| -> Vec<f64> {
            graded.iter().map(|(_, [a, b])| f64::midpoint(side(*a), side(*b))).collect()
        };
        let (model, reference) = (mean(|grades| grades.0), mean(|grades| grades.1));
        let (model_sum, reference_sum) = (model.iter().sum::<f64>(), reference.iter().sum::<f64>());
        let points: Vec<f64> = graded.iter().map(|(one, _)| one.verdict.points()).collect();
        let enough = n >= 2;
        let grades = if enough {
            let segments = (Mean::segments(&model)?, Mean::segments(&reference)?);
            Some(bootstrap.compare(&Mean, &segments.0, &segments.1)?)
        } else {
            None
        };
        let winning_score_estimate = if enough {
            Some(bootstrap.estimate(&Mean, &[Mean::segments(&points)?])?)
        } else {
            None
        };
        let longer: Vec<f64> = graded
            .iter()
            .map(|(one, _)| one.model_length as f64 - one.reference_length as f64)
            .collect();
        let higher: Vec<f64> = model.iter().zip(&reference).map(|(a, b)| a - b).collect();
        let reading = |wanted: fn(&super::Reading) -> bool| {
            let readings = contests.iter().flat_map(|one| [&one.model_first, &one.reference_first]);
            readings.filter(|reading| wanted(reading)).count()
        };
        Ok(Self {
            judged: n,
            wins,
            ties,
            losses,
            failed: count(Verdict::Failed),
            unanswered: contests.iter().filter(|one| one.is_unanswered()).count(),
            replies_without_grades: reading(|r| matches!(r, super::Reading::NoGrades { .. })),
            no_replies: reading(|r| matches!(r, super::Reading::NoReply { .. })),
            winning_score: (n > 0).then(|| (wins as f64 - losses as f64) / n as f64 + 1.0),
            relative_score: (reference_sum > 0.0).then(|| 100.0 * model_sum / reference_sum),
            sign_test_p: sign_test(wins as u64, losses as u64),
            winning_score_estimate,
            grades,
            position: PositionBias::of(graded.iter().map(|(_, grades)| *grades)),
            length_correlation: if enough { spearman(&longer, &higher)? } else { None },
        })
    }
}

impl Verdict {
    /// What a contest adds to the winning score.
    fn points(self) -> f64 {
        match self {
            Self::Win => 2.0,
            Self::Tie | Self::Failed => 1.0,
            Self::Lose => 0.0,
        }
    }
}

impl PositionBias {
    /// From the grades of model and reference, with the model first and then with the reference first.
    fn of(contests: impl Iterator<Item = [(f64, f64); 2]>) -> Self {
        let mut bias = Self::default();
        let (mut lead, mut replies) = (0.0, 0_usize);
        for [(model, reference), (second, first)] in contests {
            let leads = [model - reference, first - second];
            for ahead in leads {
                lead += ahead;
                replies += 1;
                bias.first += usize::from(ahead > 0.0);
                bias.equal += usize::from(ahead == 0.0);
                bias.second += usize::from(ahead < 0.0);
            }
            bias.contradictions += usize::from(leads[0] * leads[1] > 0.0);
        }
        bias.lead = (replies > 0).then(|| lead / replies as f64);
        bias
    }
}
