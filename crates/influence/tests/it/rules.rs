//! Rules on made-up score tables.

use tamis_dataset::Skipped;
use tamis_dataset::{Reason, SampleId};
use tamis_gradients::RowInfo;
use tamis_influence::{Candidate, InfluenceError, Rule, ScoreTable};
use tamis_selection::{Candidates, Selector};

fn table(rows: &[(&[f32], f64)]) -> ScoreTable {
    let candidates = rows
        .iter()
        .enumerate()
        .map(|(index, (scores, norm))| Candidate {
            info: RowInfo {
                id: SampleId::from(format!("c{index}")),
                index,
                norm: *norm,
                loss: 1.0,
                targets: 3,
            },
            scores: scores.to_vec(),
        })
        .collect();
    ScoreTable { candidates, ..ScoreTable::default() }
}

fn example() -> ScoreTable {
    table(&[
        (&[1.0, 1.0, 1.0, 1.0], 10.0),  // helps all; normalised 0.1
        (&[4.0, 4.0, 4.0, -4.0], 10.0), // three quarters; mean 2, normalised 0.2
        (&[9.0, 9.0, -1.0, -1.0], 8.0), // half; mean 4, normalised 0.5
        (&[-1.0, -1.0, -1.0, 1.0], 1.0),
        (&[2.0, 2.0, 2.0, 2.0], 100.0), // helps all; normalised 0.02
        (&[0.0, 0.0, 0.0, 0.0], 0.0),   // no gradient at all
    ])
}

#[test]
fn the_statistics_are_what_they_say() {
    let t = example();
    let c = &t.candidates[1];
    assert_eq!((c.mean(), c.mean_normalised(), c.min(), c.share_helped()), (2.0, 0.2, -4.0, 0.75));
    // A candidate without a gradient helps nobody and divides by nothing.
    let none = &t.candidates[5];
    assert_eq!((none.mean_normalised(), none.share_helped()), (0.0, 0.0));
}

#[test]
fn each_rule_keeps_what_it_says() {
    let t = example();
    let kept = |rule: &str, budget, enough| {
        rule.parse::<Rule>().unwrap().apply(&t, budget, enough).unwrap().positions
    };
    assert_eq!(kept("all", 1, 3), [0, 4]);
    assert_eq!(kept("share:0.75", 1, 3), [0, 1, 4]);
    assert_eq!(kept("mean", 1, 3), [1, 2, 4]);
    assert_eq!(kept("normalised", 1, 3), [0, 1, 2]);
    assert_eq!(kept("top:2", 1, 3), [1, 2]);
    assert_eq!(kept("top:2:mean", 1, 1), [1, 2]);
}

#[test]
fn auto_relaxes_in_its_order_and_says_so() {
    let t = example();
    let auto = |budget, enough| Rule::Auto.apply(&t, budget, enough).unwrap();
    let strict = auto(2, 4);
    assert_eq!(
        (strict.positions.as_slice(), strict.used.as_str()),
        (&[0, 4][..], "every seed helped")
    );
    let share = auto(3, 3);
    assert_eq!(share.positions, [0, 1, 4]);
    assert!(share.used.contains("0.750") && share.used.contains("2 candidates help every seed"));
    // Room to choose from: a lower share, but not below one half.
    assert_eq!(auto(3, 4).positions, [0, 1, 2, 4]);
    let means = auto(3, 5);
    assert_eq!(means.positions.len(), 5);
    assert!(means.used.contains("normalised means") && means.used.contains("4 at least half"));
    assert_eq!(means.helping_all, 2);
    assert!(means.relaxed && share.relaxed && !strict.relaxed);
}

#[test]
fn a_rule_alone_chooses() {
    let mut t = example();
    t.skipped.push(Skipped { id: SampleId::from("empty"), index: 6, reason: Reason::EmptyTarget });
    let columns = t.columns();
    let rule = Rule::Share { at_least: 0.5 };
    let chosen = rule.select(&Candidates::scored(&columns), 2).unwrap();
    // Of rows 0, 1, 2 and 4 the normalised means 0.2 and 0.5 are the highest.
    assert_eq!(chosen.positions(), [1, 2]);
    assert_eq!(chosen.len(), 7);
    assert!(chosen.reason(0).unwrap().contains("others"));
    assert!(chosen.reason(3).unwrap().contains("not helpful"));
    assert!(chosen.reason(6).unwrap().contains("empty"));
}

#[test]
fn too_small_a_pool_is_an_error_not_a_smaller_choice() {
    let t = example();
    for rule in ["auto", "all", "normalised"] {
        let error = rule.parse::<Rule>().unwrap().apply(&t, 7, 7).unwrap_err();
        assert!(matches!(error, InfluenceError::TooFew { wanted: 7, available: 6 }));
    }
    let error = Rule::All.apply(&t, 3, 3).unwrap_err();
    assert!(matches!(error, InfluenceError::RuleTooStrict { wanted: 3, passing: 2, .. }));
    assert!(error.to_string().contains("rule all"), "{error}");
}

#[test]
fn rules_are_read_and_written() {
    for text in ["auto", "all", "share:0.9", "mean", "normalised", "top:5", "top:5:mean"] {
        assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
    }
    for wrong in ["", "share:2", "share:x", "top", "top:-1", "top:0", "best"] {
        assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
    }
}

/// Which candidates a rule keeps does not depend on their order.
#[test]
fn order_of_the_pool_does_not_matter_without_ties() {
    let t = example();
    let mut reversed = t.clone();
    reversed.candidates.reverse();
    for rule in ["auto", "all", "mean", "normalised", "share:0.5"] {
        let rule: Rule = rule.parse().unwrap();
        let ids = |t: &ScoreTable| {
            let kept = rule.apply(t, 2, 3).unwrap().positions;
            let mut ids: Vec<_> = kept.iter().map(|&p| t.candidates[p].info.id.clone()).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&t), ids(&reversed), "{rule}");
    }
}
