//! The choice, from rises made by hand.

use tamis_dataset::Reason;
use tamis_nuggets::{Anchor, GoldenCandidate, GoldenRule, GoldenScores, OwnPair, Ties};
use tamis_selection::Selection;

fn scores() -> GoldenScores {
    let anchor =
        |n: usize| Anchor { id: format!("a{n}").into(), index: n, targets: 2, zero_shot: -1.0 };
    let candidate = |index: usize, rises: [f64; 4], own: &[usize]| GoldenCandidate {
        id: format!("c{index}").into(),
        index,
        rises: Ok(rises.to_vec()),
        own: own.to_vec(),
    };
    let candidates = vec![
        candidate(0, [0.1, 0.1, -0.2, 0.0], &[]), // 0.5: no rise is no rise
        candidate(1, [0.1, 0.2, 0.3, -9.0], &[]), // 0.75
        candidate(2, [0.1, 0.2, 0.3, 0.4], &[]),  // 1
        GoldenCandidate { rises: Err(Reason::NoPrompt), ..candidate(3, [0.0; 4], &[]) },
        candidate(4, [-0.1, 0.2, 0.3, 0.4], &[]), // 0.75, more on average
        candidate(5, [5.0, -0.1, -0.1, 0.1], &[0]), // 0.5 with itself, 1/3 without
    ];
    GoldenScores::new((0..4).map(anchor).collect(), candidates).unwrap()
}

fn chosen(selection: &Selection) -> Vec<usize> {
    selection.ascending()
}

#[test]
fn the_highest_come_first() {
    let select = |rule: GoldenRule, budget| rule.choose(&scores(), budget).unwrap();
    let plain = GoldenRule::default();
    assert_eq!(chosen(&select(plain, 1)), [2]);
    assert_eq!(chosen(&select(plain, 2)), [1, 2]);
    assert_eq!(chosen(&select(GoldenRule { ties: Ties::MeanRise, ..plain }, 2)), [2, 4]);
    assert_eq!(chosen(&select(plain, 4)), [0, 1, 2, 4]);
    assert_eq!(chosen(&select(plain, 100)), [0, 1, 2, 4, 5]);
    let bound = GoldenRule { threshold: Some(0.75), ..plain };
    assert_eq!(chosen(&select(bound, 100)), [1, 2, 4]);
    assert_eq!(chosen(&select(bound, 0)), Vec::<usize>::new());

    let half = GoldenRule { threshold: Some(0.5), ..plain };
    assert_eq!(chosen(&select(half, 100)), [0, 1, 2, 4]);
    let counted = GoldenRule { own: OwnPair::Counted, ..half };
    assert_eq!(chosen(&select(counted, 100)), [0, 1, 2, 4, 5]);

    let reasons: Vec<String> =
        select(bound, 2).decisions().map(|decision| decision.reason).collect();
    assert_eq!(
        reasons,
        [
            "golden score 0.500: below 0.75",
            "golden score 0.750: number 2 of 2",
            "golden score 1.000: number 1 of 2",
            "no golden score: no token of a prompt stands before its answer",
            "golden score 0.750: number 3, beyond 2",
            "golden score 0.333: below 0.75",
        ]
    );
}

#[test]
fn a_pair_with_itself_is_left_out() {
    let scores = scores();
    let own = &scores.candidates()[5];
    let golden = own.golden(OwnPair::LeftOut).unwrap();
    assert_eq!((golden.anchors, golden.score), (3, 1.0 / 3.0));
    assert!((golden.mean_rise + 0.1 / 3.0).abs() < 1e-15);
    let counted = own.golden(OwnPair::Counted).unwrap();
    assert_eq!((counted.anchors, counted.score), (4, 0.5));
    let lonely = GoldenCandidate { own: vec![0, 1, 2, 3], ..own.clone() };
    assert_eq!(lonely.golden(OwnPair::LeftOut), None);
}
