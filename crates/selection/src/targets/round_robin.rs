//! Targets taking candidates in turn.

use std::cmp::Ordering;
use std::vec;

use super::TargetScores;

/// One turn of a task.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// The target whose turn it was.
    pub(crate) column: usize,
    /// Position of the candidate it took.
    pub(crate) candidate: usize,
    /// Which turn of its task it was, from 1.
    pub(crate) number: usize,
}

/// Tasks in turn, and within a task its targets in turn, take the best candidate that is left, until
/// there are `budget`, which is no more than there are candidates.
///
/// No target sorts the whole pool: each keeps the few best candidates it may get, and looks for more
/// only if others took them all.
pub(crate) fn round_robin(scores: &TargetScores, budget: usize) -> Vec<Turn> {
    let columns = scores.targets().len();
    let mut taken = vec![false; scores.candidates().len()];
    let all: Vec<usize> = (0..columns).collect();
    // Twice its share of the budget, as others take some of them.
    let mut sizes = vec![2 * budget.div_ceil(columns) + 8; columns];
    let mut best: Vec<vec::IntoIter<Rank>> = best_left(scores, &taken, &all, sizes[0]);
    let tasks: Vec<_> = scores.tasks().map(|(_, range)| range).collect();
    let mut turns = Vec::with_capacity(budget);
    for number in 0.. {
        for range in &tasks {
            if turns.len() == budget {
                return turns;
            }
            let column = range.start + number % range.len();
            let candidate = loop {
                if let Some(rank) = best[column].find(|rank| !taken[rank.position]) {
                    break rank.position;
                }
                // There is one: fewer are taken than there are.
                sizes[column] *= 2;
                let more = best_left(scores, &taken, &[column], sizes[column]).pop();
                best[column] = more.unwrap_or_default();
            };
            taken[candidate] = true;
            turns.push(Turn { column, candidate, number: number + 1 });
        }
    }
    turns
}

/// A candidate in the order of one target: the highest score first, of equal ones the earlier row.
#[derive(Clone, Copy, Debug)]
struct Rank {
    score: f32,
    position: usize,
}

impl Rank {
    fn order(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then(self.position.cmp(&other.position))
    }
}

/// For each of `columns` the `size` best candidates that are not taken (or all, if there are no
/// more), best first: one walk over the pool, with room for twice as many a column.
fn best_left(
    scores: &TargetScores,
    taken: &[bool],
    columns: &[usize],
    size: usize,
) -> Vec<vec::IntoIter<Rank>> {
    let mut best: Vec<Vec<Rank>> = vec![Vec::new(); columns.len()];
    for (position, candidate) in scores.candidates().iter().enumerate() {
        if taken[position] {
            continue;
        }
        for (best, &column) in best.iter_mut().zip(columns) {
            // Adding zero makes -0.0 equal to 0.0.
            best.push(Rank { score: candidate.scores[column] + 0.0, position });
            if best.len() >= 2 * size {
                best.select_nth_unstable_by(size - 1, Rank::order);
                best.truncate(size);
            }
        }
    }
    let finish = |mut ranks: Vec<Rank>| {
        ranks.sort_unstable_by(Rank::order);
        ranks.truncate(size);
        ranks.into_iter()
    };
    best.into_iter().map(finish).collect()
}
