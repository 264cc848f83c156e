//! Rules against naive loops, and what no order may change.

use std::collections::HashSet;

use proptest::prelude::*;
use tamis_selection::SelectionError;
use tamis_selection::targets::{ScoredCandidate, TargetError, TargetScores, TaskRule, Unscored};

use super::{candidate, table, targets};

const RULES: [TaskRule; 3] = [TaskRule::Max, TaskRule::Mean, TaskRule::RoundRobin];

fn chosen(rule: TaskRule, scores: &TargetScores, budget: usize) -> Vec<usize> {
    rule.choose(scores, budget).unwrap().ascending()
}

/// The rules as one would explain them: the best of what is left, again and again.
fn naive(rule: TaskRule, sizes: &[usize], rows: &[Vec<f32>], budget: usize) -> Vec<usize> {
    let mut taken: Vec<usize> = Vec::new();
    let starts: Vec<usize> =
        (0..sizes.len()).map(|task| sizes[..task].iter().sum::<usize>()).collect();
    let means = |row: &[f32]| -> Vec<f64> {
        sizes
            .iter()
            .zip(&starts)
            .map(|(&size, &start)| {
                row[start..start + size].iter().map(|&x| f64::from(x)).sum::<f64>() / size as f64
            })
            .collect()
    };
    let mut turn = 0;
    while taken.len() < budget {
        let (task, round) = (turn % sizes.len(), turn / sizes.len());
        turn += 1;
        let value = |row: &[f32]| match rule {
            TaskRule::Max => means(row).into_iter().fold(f64::NEG_INFINITY, f64::max),
            TaskRule::Mean => means(row).iter().sum::<f64>() / sizes.len() as f64,
            TaskRule::RoundRobin => f64::from(row[starts[task] + round % sizes[task]]),
        };
        let mut best: Option<(usize, f64)> = None;
        for (n, row) in rows.iter().enumerate().filter(|(n, _)| !taken.contains(n)) {
            if best.is_none_or(|(_, highest)| value(row) > highest) {
                best = Some((n, value(row)));
            }
        }
        taken.push(best.unwrap().0);
    }
    taken.sort_unstable();
    taken
}

/// Sizes of one to three tasks of up to `most` targets, and rows of few different scores, so that there are ties.
fn cases(most: usize) -> impl Strategy<Value = (Vec<usize>, Vec<Vec<f32>>)> {
    prop::collection::vec(1..=most, 1..4).prop_flat_map(|sizes| {
        let columns = sizes.iter().sum::<usize>();
        let row = prop::collection::vec((-4i8..5).prop_map(|x| f32::from(x) / 4.0), columns);
        (Just(sizes), prop::collection::vec(row, 1..40))
    })
}

proptest! {
    #[test]
    fn every_rule_is_its_naive_loop((sizes, rows) in cases(3), share in 0.0f64..=1.0) {
        let budget = (share * rows.len() as f64).round() as usize;
        let scores = table(&sizes, &rows);
        for rule in RULES {
            prop_assert_eq!(chosen(rule, &scores, budget), naive(rule, &sizes, &rows, budget));
        }
    }

    #[test]
    fn a_budget_is_filled_and_every_candidate_has_a_decision(
        (sizes, rows) in cases(3),
        share in 0.0f64..=1.0,
    ) {
        let (scored, others) = rows.split_at(rows.len() - rows.len() / 4);
        let budget = (share * scored.len() as f64).round() as usize;
        let unscored = (scored.len()..scored.len() + others.len()).map(|n| Unscored {
            id: format!("c{n}").into(),
            index: n,
            reason: "no answer".to_owned(),
        });
        let candidates = scored.iter().enumerate().map(|(n, row)| candidate(n, row));
        let scores = TargetScores::new(targets(&sizes), candidates.collect(), unscored.collect());
        let scores = scores.unwrap();
        for rule in RULES {
            let selection = rule.choose(&scores, budget).unwrap();
            prop_assert_eq!(selection.count(), budget);
            prop_assert!(selection.decisions().map(|d| d.position).eq(0..rows.len()));
            for decision in selection.decisions().skip(scored.len()) {
                prop_assert_eq!(decision.reason.as_str(), "no answer");
                prop_assert!(!decision.selected);
            }
            let too_many = rule.choose(&scores, scored.len() + 1);
            let Err(SelectionError::Target(too_many)) = too_many else {
                return Err(TestCaseError::fail("a budget that cannot be filled"));
            };
            prop_assert_eq!(too_many, TargetError::Budget {
                budget: scored.len() + 1,
                scored: scored.len(),
                unscored: others.len(),
            });
        }
    }

    #[test]
    fn the_order_of_candidates_changes_nothing(
        (sizes, rows) in cases(3),
        keys in prop::collection::vec(any::<u32>(), 40),
    ) {
        let mut shuffled: Vec<ScoredCandidate> =
            rows.iter().enumerate().map(|(n, row)| candidate(n, row)).collect();
        shuffled.sort_by_key(|c| keys[c.index]);
        let shuffled = TargetScores::new(targets(&sizes), shuffled, vec![]).unwrap();
        let scores = table(&sizes, &rows);
        for rule in RULES {
            let budget = rows.len() / 2;
            prop_assert_eq!(
                rule.choose(&shuffled, budget).unwrap(),
                rule.choose(&scores, budget).unwrap()
            );
        }
    }

    // Scores are quarters and tasks have one or two targets, so that no mean is rounded.
    #[test]
    fn max_and_mean_do_not_depend_on_the_order_of_targets(
        (sizes, rows) in cases(2),
        keys in prop::collection::vec(any::<u32>(), 12),
    ) {
        let mut order: Vec<usize> = (0..sizes.iter().sum()).collect();
        order.sort_by_key(|&column| keys[column]);
        let permuted = order.iter().map(|&column| targets(&sizes)[column].clone()).collect();
        let moved = rows.iter().enumerate().map(|(n, row)| {
            candidate(n, &order.iter().map(|&column| row[column]).collect::<Vec<_>>())
        });
        let moved = TargetScores::new(permuted, moved.collect(), vec![]).unwrap();
        let scores = table(&sizes, &rows);
        for rule in [TaskRule::Max, TaskRule::Mean] {
            let budget = rows.len() / 2;
            prop_assert_eq!(chosen(rule, &moved, budget), chosen(rule, &scores, budget));
        }
    }

    #[test]
    fn a_round_robin_gives_every_task_and_every_target_its_share((sizes, rows) in cases(3)) {
        let budget = rows.len() * 3 / 4;
        let scores = table(&sizes, &rows);
        let selection = TaskRule::RoundRobin.choose(&scores, budget).unwrap();
        let mut given = vec![0usize; scores.targets().len()];
        let mut turns = HashSet::new();
        for decision in selection.decisions().filter(|decision| decision.selected) {
            let (turn, target) = decision.reason.split_once(" of task ").unwrap();
            let (task, name) = target.split_once(", target ").unwrap();
            let column =
                scores.targets().iter().position(|t| t.task == task && t.name == name).unwrap();
            given[column] += 1;
            prop_assert!(turns.insert((task.to_owned(), turn.to_owned())));
        }
        let even = |counts: &[usize]| counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1;
        let of_tasks: Vec<usize> =
            scores.tasks().map(|(_, columns)| given[columns].iter().sum()).collect();
        prop_assert!(even(&of_tasks), "{of_tasks:?}");
        for (_, columns) in scores.tasks() {
            prop_assert!(even(&given[columns]), "{given:?}");
        }
    }
}

/// One target takes what all others want: each has to look for more again and again.
#[test]
fn a_round_robin_over_targets_of_one_mind_finds_more() {
    let rows: Vec<Vec<f32>> = (0..500).map(|n| vec![(n * 7 % 500) as f32; 40]).collect();
    let sizes = [10, 30];
    let scores = table(&sizes, &rows);
    for budget in [1, 39, 333, 500] {
        let expected = naive(TaskRule::RoundRobin, &sizes, &rows, budget);
        assert_eq!(chosen(TaskRule::RoundRobin, &scores, budget), expected);
    }
}

#[test]
fn reasons_say_which_task_spoke_for_a_candidate() {
    let rows = [vec![0.9, 0.1], vec![0.1, 0.8], vec![0.7, 0.0], vec![0.0, 0.0]];
    let scores = table(&[1, 1], &rows);
    let reasons = |rule: TaskRule| -> Vec<String> {
        rule.choose(&scores, 3).unwrap().decisions().map(|d| d.reason).collect()
    };
    assert_eq!(
        reasons(TaskRule::Max),
        ["task t0, rank 1", "task t1, rank 1", "task t0, rank 2", "below the budget"]
    );
    assert_eq!(
        reasons(TaskRule::Mean),
        [
            "rank 1 by the mean over tasks",
            "rank 2 by the mean over tasks",
            "rank 3 by the mean over tasks",
            "below the budget"
        ]
    );
    assert_eq!(
        reasons(TaskRule::RoundRobin),
        [
            "turn 1 of task t0, target a0",
            "turn 1 of task t1, target a0",
            "turn 2 of task t0, target a0",
            "below the budget"
        ]
    );
}
