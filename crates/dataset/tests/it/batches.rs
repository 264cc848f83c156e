//! Batch plans.

use proptest::prelude::*;
use tamis_dataset::{DatasetError, plan_batches};

#[test]
fn a_plan_by_hand() {
    // Sorted: 1 (4), 2 (0), 3 (2), 3 (3), 9 (1); budget 6.
    let plan = plan_batches(&[2, 9, 3, 3, 1], 6).unwrap();
    assert_eq!(plan, [vec![4, 0], vec![2, 3], vec![1]]);
}

#[test]
fn edges() {
    assert_eq!(plan_batches(&[], 10).unwrap(), Vec::<Vec<usize>>::new());
    assert_eq!(plan_batches(&[50], 10).unwrap(), [[0]]);
    assert_eq!(plan_batches(&[0, 0, 5], 5).unwrap(), [vec![0, 1], vec![2]]);
    assert!(matches!(plan_batches(&[1], 0), Err(DatasetError::ZeroTokenBudget)));
}

proptest! {
    #[test]
    fn every_sample_once_within_the_budget_and_no_batch_too_small(
        lengths in prop::collection::vec(1_usize..200, 0..200),
        budget in 1_usize..2000,
    ) {
        let plan = plan_batches(&lengths, budget).unwrap();
        prop_assert_eq!(&plan, &plan_batches(&lengths, budget).unwrap());

        let order: Vec<usize> = plan.iter().flatten().copied().collect();
        let mut expected: Vec<usize> = (0..lengths.len()).collect();
        expected.sort_by_key(|&i| (lengths[i], i));
        prop_assert_eq!(order, expected);

        let cost = |rows: &[usize]| rows.len() * rows.iter().map(|&i| lengths[i]).max().unwrap_or(0);
        for batch in &plan {
            prop_assert!(cost(batch) <= budget || batch.len() == 1);
        }
        for pair in plan.windows(2) {
            let mut joined = pair[0].clone();
            joined.push(pair[1][0]);
            prop_assert!(cost(&joined) > budget, "the batch could have taken one more");
        }
    }
}
