//! Selection by scores: a pure function of scores and groups.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tamis_dataset::Reason;
use tamis_selection::selectors::{ByScore, ColumnFilter, Order, Quota};
use tamis_selection::{
    Candidates, Score, ScoredRow, Scores, Selection, SelectionError, Selector, Take,
};

/// Rows with an `ifd`, and their groups.
#[derive(Default)]
struct Pool {
    scores: Scores,
    groups: Vec<Option<String>>,
}

impl Pool {
    fn add(&mut self, ifd: Score, group: Option<&str>) {
        let index = self.groups.len();
        self.scores.columns = vec!["ifd".to_owned()];
        let id = format!("c{index}").into();
        self.scores.rows.push(ScoredRow { id, index, scores: vec![ifd] });
        self.groups.push(group.map(str::to_owned));
    }

    fn candidates(&self) -> Candidates<'_> {
        Candidates::scored(&self.scores).groups(&self.groups).unwrap()
    }
}

fn of(scores: &[f64]) -> Pool {
    let mut pool = Pool::default();
    pool.scores.columns = vec!["ifd".to_owned()];
    for &score in scores {
        pool.add(Score::Value(score), None);
    }
    pool
}

fn indices(selection: &Selection) -> Vec<usize> {
    selection.ascending()
}

fn choose(pool: &Pool, params: ByScore) -> Vec<usize> {
    indices(&params.check().unwrap().choose(&pool.candidates()).unwrap())
}

fn plain() -> ByScore {
    ByScore::new("ifd")
}

fn below_one() -> ByScore {
    ByScore { filters: vec!["ifd<1".parse().unwrap()], ..plain() }
}

#[test]
fn bounds_are_strict_or_not() {
    let pool = of(&[0.5, 1.0, 1.1, 0.2, 0.9]);
    let kept = |bounds: &[&str]| {
        let filters = bounds.iter().map(|b| b.parse().unwrap()).collect();
        choose(&pool, ByScore { filters, ..plain() })
    };
    assert_eq!(kept(&["ifd<1"]), [0, 3, 4]);
    assert_eq!(kept(&["ifd<=1"]), [0, 1, 3, 4]);
    assert_eq!(kept(&["ifd<1", "ifd>0.2"]), [0, 4]);
    assert_eq!(kept(&["ifd <= 1", "ifd>=0.2"]), [0, 1, 3, 4]);
    assert_eq!(kept(&[]), [0, 1, 2, 3, 4]);
    for text in ["ifd", "ifd<", "<1", "ifd<nan", "ifd<inf", "ifd=1"] {
        assert!(text.parse::<ColumnFilter>().is_err(), "{text}");
    }
    // A column is known where scores are: here there is none of this name.
    let filters = vec!["loss<1".parse().unwrap()];
    let error = ByScore { filters, ..plain() }.select(&pool.candidates(), 3).unwrap_err();
    assert!(matches!(error, SelectionError::Column { .. }), "{error}");
    assert_eq!("r_ifd>=0.25".parse::<ColumnFilter>().unwrap().to_string(), "r_ifd >= 0.25");
}

#[test]
fn counts_and_shares_of_a_stated_base() {
    let mut pool = of(&[0.5, 1.5, 0.3, 0.9, 2.0, 0.7, 0.1, 1.2, 0.6]);
    pool.add(Score::Missing(Reason::EmptyTarget), None);
    let take = |take| choose(&pool, ByScore { take, ..below_one() });
    assert_eq!(take(Take::Count(0)), [0usize; 0]);
    assert_eq!(take(Take::Count(2)), [3, 5]);
    assert_eq!(take(Take::Count(100)), [0, 2, 3, 5, 6, 8]);
    // 10 candidates, 6 survivors.
    assert_eq!(take(Take::ShareOfAll(0.3)), [3, 5, 8]);
    assert_eq!(take(Take::Share(0.3)), [3]);
    assert_eq!(take(Take::ShareOfAll(0.0)), [0usize; 0]);
    assert_eq!(take(Take::Share(1.0)), [0, 2, 3, 5, 6, 8]);
    for share in [-0.1, 1.1, f64::NAN] {
        let take = Take::ShareOfAll(share);
        assert!(ByScore { take, ..below_one() }.check().is_err());
    }
    // 0.29 · 100 is a little less than 29.
    let hundred = of(&vec![0.5; 100]);
    let params = ByScore { take: Take::ShareOfAll(0.29), ..below_one() };
    assert_eq!(choose(&hundred, params), (0..29).collect::<Vec<_>>());
}

#[test]
fn every_decision_has_its_reason() {
    let mut pool = of(&[0.5, 1.5, 0.9]);
    pool.add(Score::Missing(Reason::EmptyTarget), None);
    let params = ByScore { take: Take::Count(1), ..below_one() };
    let selection = params.check().unwrap().choose(&pool.candidates()).unwrap();
    let reasons: Vec<String> = selection.decisions().map(|d| d.reason).collect();
    assert_eq!(
        reasons,
        [
            "number 2 of 2 by ifd, beyond the 1 taken",
            "not ifd < 1",
            "chosen: number 1 of 2 by ifd",
            "no ifd: the target is empty",
        ]
    );
}

#[test]
fn ties_go_by_row_and_either_end_can_come_first() {
    let pool = of(&[0.5, 0.7, 0.7, 0.5, 0.7]);
    let take = |order, count| choose(&pool, ByScore { order, take: Take::Count(count), ..plain() });
    assert_eq!(take(Order::HighestFirst, 2), [1, 2]);
    assert_eq!(take(Order::HighestFirst, 4), [0, 1, 2, 4]);
    assert_eq!(take(Order::LowestFirst, 1), [0]);
    assert_eq!(take(Order::LowestFirst, 3), [0, 1, 3]);
}

/// Talk with high scores, code with low ones.
fn domains() -> Pool {
    let mut pool = Pool::default();
    (0..12).for_each(|n| pool.add(Score::Value(0.6 + 0.03 * f64::from(n)), Some("talk")));
    (0..6).for_each(|n| pool.add(Score::Value(0.1 + 0.02 * f64::from(n)), Some("code")));
    pool
}

fn counted(quota: &str, count: usize) -> Result<BTreeMap<String, usize>, SelectionError> {
    let pool = domains();
    let quota: Quota = quota.parse()?;
    assert_eq!(quota.to_string().parse::<Quota>()?, quota);
    let params = ByScore { quota, take: Take::Count(count), ..below_one() };
    let mut counts = BTreeMap::new();
    for &position in params.check()?.choose(&pool.candidates())?.positions() {
        *counts.entry(pool.groups[position].clone().unwrap()).or_default() += 1;
    }
    Ok(counts)
}

#[test]
fn groups_are_not_starved() {
    let map = |talk, code| {
        let counts = [("talk", talk), ("code", code)];
        counts.into_iter().filter(|c| c.1 > 0).map(|(g, n)| (g.to_owned(), n)).collect()
    };
    let counts = |quota, count| -> BTreeMap<String, usize> { counted(quota, count).unwrap() };
    assert_eq!(counts("none", 6), map(6, 0));
    assert_eq!(counts("proportional", 6), map(4, 2));
    assert_eq!(counts("proportional", 7), map(5, 2));
    assert_eq!(counts("at-least:2", 6), map(4, 2));
    assert_eq!(counts("at-least:100", 18), map(12, 6));
    assert_eq!(counts("at-most:3", 6), map(3, 3));
    assert_eq!(counts("at-most:3", 100), map(3, 3));
    assert_eq!(counts("code=3", 6), map(3, 3));
    assert_eq!(counts("code=1,talk=2", 6), map(5, 1));
    assert_eq!(counts("at-least:2", 0), map(0, 0));

    let refused = |quota, count| counted(quota, count).unwrap_err().to_string();
    let message = refused("at-least:4", 6);
    assert!(message.contains("promised 8 rows") && message.contains("only 6"), "{message}");
    let message = refused("math=3", 6);
    assert!(message.contains("`math`") && message.contains("code, talk"), "{message}");
    for quota in ["at-least:x", "code", "code=1,code=2", "", "at-most:-1"] {
        assert!(quota.parse::<Quota>().is_err(), "{quota}");
    }
}

#[test]
fn the_best_of_a_group_is_what_it_is_promised() {
    let pool = domains();
    let params = ByScore { quota: Quota::AtLeast(2), take: Take::Count(5), ..plain() };
    let selection = params.check().unwrap().choose(&pool.candidates()).unwrap();
    assert_eq!(indices(&selection), [9, 10, 11, 16, 17]);
    assert!(selection.reason(17).unwrap().starts_with("chosen for its group"));
    assert!(selection.reason(9).unwrap().starts_with("chosen: "));
}

#[test]
fn a_row_that_made_room_for_a_group_is_told_so() {
    let reasons = |quota: Quota, count| -> Vec<(bool, String)> {
        let params = ByScore { quota, take: Take::Count(count), ..plain() };
        let selection = params.check().unwrap().choose(&domains().candidates()).unwrap();
        selection.decisions().map(|d| (d.selected, d.reason)).collect()
    };
    // Of talk, 11 is the best and 0 the last; of code, which comes after it, 17 and 12.
    let most = reasons(Quota::AtMost(4), 6);
    assert_eq!(most[8], (true, "chosen: number 4 of 18 by ifd".to_owned()));
    assert_eq!(most[7], (false, "its group has its 4: number 5 of 18 by ifd".to_owned()));
    assert_eq!(most[0], (false, "its group has its 4: number 12 of 18 by ifd".to_owned()));
    assert_eq!(most[16], (true, "chosen: number 14 of 18 by ifd".to_owned()));
    assert_eq!(most[15], (false, "number 15 of 18 by ifd, beyond the 6 taken".to_owned()));

    let named = Quota::Named(BTreeMap::from([("code".to_owned(), 2)]));
    for quota in [named, Quota::AtLeast(2), Quota::Proportional] {
        let reasons = reasons(quota, 6);
        let displaced = "its room is promised to other groups: number 5 of 18 by ifd".to_owned();
        assert_eq!(reasons[7], (false, displaced));
        assert_eq!(reasons[5], (false, "number 7 of 18 by ifd, beyond the 6 taken".to_owned()));
        assert_eq!(reasons[17], (true, "chosen for its group: number 13 of 18 by ifd".to_owned()));
    }
    let none = reasons(Quota::AtMost(4), 0);
    assert_eq!(none[11], (false, "number 1 of 18 by ifd, beyond the 0 taken".to_owned()));
}

#[test]
fn promises_that_cannot_be_kept_are_told_before_anything_is_scored() {
    let groups = || domains().groups;
    let check = |quota: &str, take| {
        let params = ByScore { quota: quota.parse().unwrap(), take, ..below_one() };
        let groups = groups();
        params.check().unwrap().check_groups(groups.iter().map(Option::as_deref))
    };
    let six = Take::Count(6);
    for quota in
        ["none", "proportional", "at-most:1", "at-least:3", "code=6", "code=100", "code=2,talk=4"]
    {
        check(quota, six).unwrap();
    }
    // As many as the groups have: 6 of code and 12 of talk.
    check("at-least:100", Take::All).unwrap();
    check("at-least:100", Take::Share(1.0)).unwrap();
    // A count of 0 chooses nothing, whatever was promised.
    check("at-least:100", Take::Count(0)).unwrap();
    for (take, quota, promised) in [
        (six, "at-least:4", "promised 8 rows"),
        (six, "code=3,talk=4", "promised 7 rows"),
        (six, "code=100,talk=1", "promised 7 rows"),
        (Take::ShareOfAll(0.25), "at-least:3", "promised 6 rows"),
        (Take::Share(0.25), "at-least:3", "promised 6 rows"),
    ] {
        let error = check(quota, take).unwrap_err();
        assert!(matches!(&error, SelectionError::Quota { .. }), "{error}");
        assert!(error.to_string().contains(promised), "{error}");
    }
    for take in [six, Take::All, Take::Count(0)] {
        let error = check("math=3", take).unwrap_err().to_string();
        assert!(error.contains("`math`") && error.contains("code, talk"), "{error}");
    }
}

#[test]
fn scores_that_cannot_be_ranked_are_refused() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let pool = of(&[0.5, bad]);
        let error = below_one().check().unwrap().choose(&pool.candidates()).unwrap_err();
        assert!(matches!(&error, SelectionError::NotFinite { index: 1, .. }), "{error}");
    }
    let pool = of(&[0.5, 0.6]);
    let rank = "r_ifd".to_owned();
    let error =
        ByScore { rank, ..below_one() }.check().unwrap().choose(&pool.candidates()).unwrap_err();
    assert!(error.to_string().contains("r_ifd"), "{error}");
    assert!(choose(&of(&[]), below_one()).is_empty());
}

proptest! {
    #[test]
    fn a_selection_is_the_best_within_its_bounds(
        scores in prop::collection::vec((0..20u32, 0..3u8), 0..60),
        budget in 0..70usize,
        quota in 0..4usize,
    ) {
        let mut pool = of(&[]);
        for &(score, group) in &scores {
            pool.add(Score::Value(f64::from(score) / 10.0), Some(&group.to_string()));
        }
        let quota =
            [Quota::None, Quota::Proportional, Quota::AtMost(4), Quota::AtLeast(1)][quota].clone();
        prop_assume!(quota != Quota::AtLeast(1) || budget == 0 || budget >= 3);
        let selector = ByScore { quota: quota.clone(), ..below_one() }.check().unwrap();
        let selection = selector.select(&pool.candidates(), budget).unwrap();
        prop_assert_eq!(selection.len(), scores.len());
        prop_assert!(selection.decisions().all(|d| !d.reason.is_empty()));
        let chosen = indices(&selection);
        prop_assert!(chosen.iter().all(|&n| scores[n].0 < 10));
        let survivors = scores.iter().filter(|s| s.0 < 10).count();
        if quota != Quota::AtMost(4) {
            prop_assert_eq!(chosen.len(), budget.min(survivors));
        }
        for group in 0..3u8 {
            // Within a group nothing that was left is better than what was taken.
            let taken = |n: &usize| selection.is_selected(*n);
            let own = (0..scores.len()).filter(|&n| scores[n].1 == group && scores[n].0 < 10);
            let key = |n: usize| (scores[n].0, std::cmp::Reverse(n));
            let (inside, outside): (Vec<usize>, Vec<usize>) = own.partition(taken);
            let worst = inside.into_iter().map(key).min();
            let best = outside.into_iter().map(key).max();
            if let (Some(worst), Some(best)) = (worst, best) {
                prop_assert!(worst > best);
            }
        }
        prop_assert_eq!(&selection, &selector.select(&pool.candidates(), budget).unwrap());
    }
}
