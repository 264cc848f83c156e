//! What each strategy takes.

use tamis_diverse_evol::{EvolParams, Models, Strategy, Uncertainty};
use tamis_kcenter::Metric;

use crate::fakes::{RECORDS, World, places};

fn world(strategy: Strategy) -> World {
    let mut world = World::new();
    world.params = EvolParams { strategy, ..world.params };
    world
}

#[test]
fn names_go_both_ways() {
    for strategy in Strategy::ALL {
        assert_eq!(strategy.name().parse::<Strategy>().unwrap(), strategy);
        assert_eq!(serde_json::to_value(strategy).unwrap(), strategy.name());
    }
    let error = "kcenter".parse::<Strategy>().unwrap_err().to_string();
    assert!(error.contains("`kcenter`") && error.contains("k-center, k-means"), "{error}");
}

#[test]
fn the_unsure_come_first_and_ties_go_to_the_first_in_the_pool() {
    for (strategy, kind) in [
        (Strategy::LeastConfidence, Uncertainty::LeastConfidence),
        (Strategy::Margin, Uncertainty::Margin),
        (Strategy::Entropy, Uncertainty::Entropy),
    ] {
        let mut world = world(strategy);
        let grown = world.run("out");
        for round in 1..=4 {
            let before: Vec<usize> =
                grown.rounds[..round].iter().flat_map(|r| &r.picks).map(|p| p.index).collect();
            let mut set = before.clone();
            set.sort_unstable();
            let seen = places(format!("{set:?}").as_bytes());
            let mut left: Vec<usize> = (0..RECORDS).filter(|row| !before.contains(row)).collect();
            let sign = if kind == Uncertainty::Margin { 1.0 } else { -1.0 };
            left.sort_by(|&a, &b| {
                (sign * seen[[a, 1]]).total_cmp(&(sign * seen[[b, 1]])).then(a.cmp(&b))
            });
            for (pick, expected) in grown.rounds[round].picks.iter().zip(left) {
                assert_eq!(pick.index, expected);
                assert_eq!(pick.score, Some(f64::from(seen[[expected, 1]])));
                assert_eq!(pick.radius, None);
                let start = format!("round {round}: ");
                assert!(pick.reason.starts_with(&start), "{}", pick.reason);
            }
            assert_eq!(grown.rounds[round].radius_after, None);
        }
    }
}

#[test]
fn one_shot_is_one_pick_of_the_whole_budget() {
    let mut one_shot = world(Strategy::OneShotKCenter);
    let grown = one_shot.run("out");
    // No model is trained, and the base model is looked with.
    assert!(one_shot.trainer.asked.is_empty());
    assert!(one_shot.viewer.looked.iter().all(|model| *model == one_shot.base()));
    let chosen: Vec<usize> = grown.picks().map(|pick| pick.index).collect();
    let whole = tamis_kcenter::KCenterParams { budget: 8, metric: Metric::Euclidean };
    let rows = places(b"base");
    let whole = whole.check().unwrap().pick(&rows.view(), &chosen[..3]).unwrap();
    assert_eq!(chosen[3..], whole.indices());
    let radii: Vec<Option<f64>> = grown.rounds[1..].iter().map(|r| r.radius_after).collect();
    let expected: Vec<Option<f64>> =
        [1, 3, 5, 7].iter().map(|&pick: &usize| Some(whole.coverage[pick])).collect();
    assert_eq!(radii, expected);
    // Its reasons and radii are those of k-center.
    let last = grown.picks().last().unwrap();
    assert_eq!(last.radius, whole.picks[7].radius);
    assert!(last.reason.contains("farthest from all chosen before"), "{}", last.reason);
}

#[test]
fn random_needs_neither_models_nor_views_and_changes_with_the_seed() {
    let mut world = world(Strategy::Random);
    let grown = world.run("out");
    assert!(world.trainer.asked.is_empty() && world.viewer.looked.is_empty());
    assert!(grown.rounds.iter().all(|round| round.model.is_none()));
    let chosen = |seed: u64| -> Vec<usize> {
        let mut world = self::world(Strategy::Random);
        world.params.seed = seed;
        world.run("out").picks().map(|pick| pick.index).collect()
    };
    assert_eq!(chosen(0), grown.picks().map(|pick| pick.index).collect::<Vec<_>>());
    assert_ne!(chosen(0), chosen(1));
    // The first draw does not depend on the strategy: comparisons are paired.
    let kcenter = self::world(Strategy::KCenter).run("out");
    assert_eq!(kcenter.rounds[0].picks, grown.rounds[0].picks);
}

#[test]
fn random_draws_are_even() {
    let mut drawn = vec![0_u32; RECORDS];
    let draws = 200;
    for seed in 0..draws {
        let mut world = world(Strategy::Random);
        world.params = EvolParams { seed, rounds: 2, ..world.params };
        for pick in world.run("out").picks() {
            drawn[pick.index] += 1;
        }
    }
    // 7 of 30 each time: 46.7 expected of 200, standard deviation 6.0.
    assert!(drawn.iter().all(|&count| (23..=70).contains(&count)), "{drawn:?}");
}

#[test]
fn k_means_takes_one_of_every_cluster() {
    let mut world = world(Strategy::KMeans);
    world.params.per_round = 5;
    let grown = world.run("out");
    for round in &grown.rounds[1..] {
        for pick in &round.picks {
            assert!(pick.score.unwrap() >= 0.0 && pick.radius.is_none());
            assert!(pick.reason.contains("nearest to its cluster's centre"), "{}", pick.reason);
        }
        // Rows of one place are in one cluster, which gives one row: no two picks share a place.
        let before: Vec<usize> = grown.rounds[..round.round]
            .iter()
            .flat_map(|round| &round.picks)
            .map(|pick| pick.index)
            .collect();
        let mut set = before.clone();
        set.sort_unstable();
        let rows = places(format!("{set:?}").as_bytes());
        let mut spots: Vec<String> =
            round.picks.iter().map(|pick| rows.row(pick.index).to_string()).collect();
        spots.sort();
        spots.dedup();
        assert_eq!(spots.len(), 5);
    }
}

#[test]
fn models_are_trained_where_they_are_needed_or_everywhere() {
    let trained = |strategy: Strategy, models: Models| -> Vec<usize> {
        let mut world = world(strategy);
        world.params.models = models;
        let grown = world.run("out");
        let measured = world.viewer.measured.iter().map(|round| round.unwrap());
        assert_eq!(measured.collect::<Vec<_>>(), world.trainer.finished);
        for round in &grown.rounds {
            let here = world.trainer.finished.contains(&round.round);
            assert_eq!(round.folder.is_some(), here);
            assert_eq!(round.metrics.contains_key("held_out_loss"), here);
            assert_eq!(round.metrics.contains_key("train_loss"), here);
        }
        world.trainer.finished
    };
    let all = vec![0, 1, 2, 3, 4];
    for strategy in Strategy::ALL {
        assert_eq!(trained(strategy, Models::Every), all);
        let needed = if strategy.needs_training() { &all[..4] } else { &[] };
        assert_eq!(trained(strategy, Models::Needed), needed);
    }
}
