//! What holds for every selector, one written here among them.

use proptest::prelude::*;
use tamis_dataset::Reason;
use tamis_selection::selectors::{ByScore, Draw, Order, Quota};
use tamis_selection::targets::TaskRule;
use tamis_selection::why::Why;
use tamis_selection::{
    Candidates, Score, ScoredRow, Scores, Selection, SelectionError, Selector, Take,
};

/// Takes the first rows.
struct First;

impl Selector for First {
    fn select(&self, rows: &Candidates<'_>, budget: usize) -> Result<Selection, SelectionError> {
        let count = budget.min(rows.len());
        let why = |n| Why::words(if n < count { "early" } else { "late" });
        Selection::new((0..count).collect(), (0..rows.len()).map(why).collect())
    }
}

fn scores(rows: &[(Option<i8>, i8)]) -> Scores {
    let row = |(index, &(a, b)): (usize, &(Option<i8>, i8))| {
        let a = a.map_or(Score::Missing(Reason::EmptyTarget), |a| Score::Value(f64::from(a)));
        let id = format!("r{index}").into();
        ScoredRow { id, index: 3 * index, scores: vec![a, Score::Value(f64::from(b))] }
    };
    let columns = vec!["t/a".to_owned(), "u".to_owned()];
    Scores { columns, rows: rows.iter().enumerate().map(row).collect(), resumed: 0 }
}

proptest! {
    #[test]
    fn every_row_gets_a_decision_and_equal_input_an_equal_choice(
        rows in prop::collection::vec((prop::option::weighted(0.8, -3i8..3), -3i8..3), 0..30),
        budget in 0usize..35,
    ) {
        let scores = scores(&rows);
        let groups: Vec<Option<String>> = rows.iter().map(|row| Some(row.1.to_string())).collect();
        let candidates = Candidates::scored(&scores).groups(&groups).unwrap();
        let lowest = ByScore {
            order: Order::LowestFirst,
            filters: vec!["u>=0".parse().unwrap()],
            take: Take::Share(0.5),
            quota: Quota::Proportional,
            ..ByScore::new("t/a")
        };
        let selectors: [&dyn Selector; 7] = [
            &First,
            &ByScore::new("u"),
            &lowest,
            &Draw { seed: 3 },
            &TaskRule::Max,
            &TaskRule::Mean,
            &TaskRule::RoundRobin,
        ];
        let scored = rows.iter().filter(|row| row.0.is_some()).count();
        for (n, selector) in selectors.into_iter().enumerate() {
            if n >= 4 && budget > scored {
                prop_assert!(selector.select(&candidates, budget).is_err());
                continue;
            }
            let selection = selector.select(&candidates, budget).unwrap();
            prop_assert_eq!(selection.len(), rows.len());
            prop_assert!(selection.count() <= budget);
            let mut chosen = Vec::new();
            for (position, decision) in selection.decisions().enumerate() {
                prop_assert_eq!(decision.position, position);
                prop_assert!(!decision.reason.is_empty());
                prop_assert_eq!(Some(decision.reason), selection.reason(position));
                chosen.extend(decision.selected.then_some(position));
            }
            let mut order = selection.positions().to_vec();
            order.sort_unstable();
            prop_assert_eq!(&order, &chosen);
            prop_assert_eq!(selection.ascending(), chosen);
            prop_assert_eq!(&selection, &selector.select(&candidates, budget).unwrap());
        }
    }
}

#[test]
fn rows_are_chosen_in_the_order_of_their_scores() {
    let scores = scores(&[(Some(1), 0), (Some(3), 1), (None, 2), (Some(2), 1)]);
    let candidates = Candidates::scored(&scores);
    let selection = ByScore::new("t/a").select(&candidates, 2).unwrap();
    assert_eq!(selection.positions(), [1, 3]);
    assert_eq!(selection.reason(2).unwrap(), "no t/a: the target is empty");
    let selection = TaskRule::Mean.select(&candidates, 2).unwrap();
    assert_eq!(selection.positions(), [1, 3]);
    assert_eq!(selection.reason(1).unwrap(), "rank 1 by the mean over tasks");
    assert_eq!(selection.reason(2).unwrap(), "the target is empty");
}

#[test]
fn a_draw_depends_on_seed_and_ids_alone() {
    let ids: Vec<_> = (0..40).map(|n| format!("r{n}").into()).collect();
    let draw = |seed, ids: &[tamis_dataset::SampleId]| -> Vec<String> {
        let candidates = Candidates::new(ids.len()).ids(ids).unwrap();
        let selection = Draw { seed }.select(&candidates, 10).unwrap();
        selection.positions().iter().map(|&n| ids[n].to_string()).collect()
    };
    let turned: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(draw(1, &ids), draw(1, &turned));
    assert_ne!(draw(1, &ids), draw(2, &ids));
    let selection = Draw { seed: 1 }.select(&Candidates::new(5), 9).unwrap();
    assert_eq!(selection.count(), 5);
    assert_eq!(selection.reason(0).unwrap(), "drawn at random");
}

#[test]
fn candidates_without_what_is_looked_at_are_refused() {
    let rows = Candidates::new(3);
    let error = ByScore::new("u").select(&rows, 1).unwrap_err().to_string();
    assert!(error.contains("looks at scores"), "{error}");
    let error = rows.groups(&[None, None]).unwrap_err().to_string();
    assert_eq!(error, "there are 2 groups for 3 candidates; expected one each");
    for order in [vec![0, 3], vec![1, 1]] {
        let whys = vec![Why::words("-"); 3];
        assert!(matches!(Selection::new(order, whys), Err(SelectionError::Position { .. })));
    }
}
