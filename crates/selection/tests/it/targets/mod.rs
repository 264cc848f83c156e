//! The one integration test binary of `tamis-targets`.

mod bm25;
mod cosines;
mod rules;
mod scores;

use tamis_selection::targets::{ScoredCandidate, Target, TargetScores, Unscored};

/// Candidate `c<index>` with these scores.
fn candidate(index: usize, scores: &[f32]) -> ScoredCandidate {
    ScoredCandidate { id: format!("c{index}").into(), index, scores: scores.to_vec() }
}

/// Tasks `t0`, `t1`, … of these numbers of targets `a0`, `a1`, …
fn targets(sizes: &[usize]) -> Vec<Target> {
    let task = |task: usize, size: usize| {
        (0..size).map(move |n| Target::new(format!("t{task}"), format!("a{n}")))
    };
    sizes.iter().enumerate().flat_map(|(n, &size)| task(n, size)).collect()
}

/// Scores of rows 0, 1, … against these targets.
fn table(sizes: &[usize], rows: &[Vec<f32>]) -> TargetScores {
    let candidates = rows.iter().enumerate().map(|(n, row)| candidate(n, row)).collect();
    TargetScores::new(targets(sizes), candidates, Vec::<Unscored>::new()).unwrap()
}
