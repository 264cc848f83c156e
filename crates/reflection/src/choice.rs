//! The final set.

use crate::ReflectionParams;
use crate::history::{History, Outcome, Reason, Verdict};
use crate::params::Rule;
use crate::record::BOUND;

/// Decides about all records.
pub(crate) fn choose(histories: Vec<History>, params: &ReflectionParams) -> Vec<Outcome> {
    let mut reasons: Vec<Reason> = histories.iter().map(|one| by_rule(one, params)).collect();
    if let Some(budget) = params.budget {
        let ifd = |place: usize| histories[place].ifd.unwrap_or(f64::NEG_INFINITY);
        let mut taken: Vec<usize> =
            (0..histories.len()).filter(|&place| reasons[place] == Reason::Selected).collect();
        // Stable: of equal ones the first.
        taken.sort_by(|&a, &b| ifd(b).total_cmp(&ifd(a)));
        for &place in taken.iter().skip(budget) {
            reasons[place] = Reason::BeyondBudget;
        }
    }
    let outcome =
        |(history, reason)| Outcome { history, selected: reason == Reason::Selected, reason };
    histories.into_iter().zip(reasons).map(outcome).collect()
}

/// What the rule says, and the part of the budget that does not depend on the others.
fn by_rule(history: &History, params: &ReflectionParams) -> Reason {
    let too_high = |score: Option<f64>| score.is_some_and(|score| score >= BOUND);
    match params.rule {
        Rule::Published => {
            if history.last.is_none() {
                return Reason::NotReflected;
            }
            if history.response_reflection.verdict != Verdict::Taken {
                return Reason::ResponseNotReplaced;
            }
            if too_high(history.r_ifd) {
                return Reason::ReversedIfdTooHigh;
            }
            if too_high(history.ifd) {
                return Reason::IfdTooHigh;
            }
            if history.ifd.is_none() || history.r_ifd.is_none() {
                return Reason::Unscorable;
            }
            return Reason::Selected;
        }
        Rule::EitherChange if history.last.is_none() => return Reason::NotReflected,
        Rule::EitherChange if !history.is_changed() => return Reason::Unchanged,
        Rule::EitherChange | Rule::Everything => {}
    }
    // The fewest records are those that teach most, and above the bound nothing is taught.
    if params.budget.is_some() {
        if history.last.is_none() {
            return Reason::NotReflected;
        }
        if too_high(history.ifd) {
            return Reason::IfdTooHigh;
        }
        if history.ifd.is_none() {
            return Reason::Unscorable;
        }
    }
    Reason::Selected
}
