//! Groups of systems: the mean of their scores, on the same segments.

use tamis_metrics::{
    Aggregate, BleuStats, BootstrapParams, Metric, MetricsError, RandomisationParams,
    paired_t_test, segment_means,
};

use crate::{bleu, corpus};

/// Statistics of three systems that miss about this share of the words.
fn systems(missing: f64) -> Vec<Vec<BleuStats>> {
    [0.0, 1e-3, 2e-3]
        .iter()
        .map(|more| {
            let (hypotheses, references) = corpus(60, missing + more, 3);
            bleu().segments(&hypotheses, &[&references]).unwrap()
        })
        .collect()
}

#[test]
fn the_statistic_is_the_mean_of_the_scores() {
    let (a, b) = (systems(0.1), systems(0.2));
    let bootstrap = BootstrapParams::default().check().unwrap();
    let found = bootstrap.compare_groups(&bleu(), &a, &b).unwrap();
    let mean = |group: &[Vec<BleuStats>]| {
        group.iter().map(|system| bleu().corpus_score(system)).sum::<f64>() / 3.0
    };
    assert!((found.first - mean(&a)).abs() < 1e-9 && (found.second - mean(&b)).abs() < 1e-9);
    assert!(found.p < 0.05 && found.interval.unwrap().low > 0.0);
    assert_eq!(found.n, 60);
    let exchanged = RandomisationParams::default().check().unwrap();
    let exchanged = exchanged.compare_groups(&bleu(), &a, &b).unwrap();
    assert_eq!(exchanged.difference.to_bits(), found.difference.to_bits());
    assert!(exchanged.p < 0.05);
}

/// A group of one system says what the system says, and a group of copies too.
#[test]
fn copies_change_nothing() {
    let (a, b) = (systems(0.1), systems(0.12));
    let bootstrap = BootstrapParams { seed: 9, ..BootstrapParams::default() }.check().unwrap();
    let exchange = RandomisationParams { trials: 2000, seed: 9 }.check().unwrap();
    let one = bootstrap.compare(&bleu(), &a[0], &b[0]).unwrap();
    let group = bootstrap.compare_groups(&bleu(), &a[..1], &b[..1]).unwrap();
    assert_eq!(one, group);
    let copies = |system: &Vec<BleuStats>| vec![system.clone(), system.clone()];
    let copied = bootstrap.compare_groups(&bleu(), &copies(&a[0]), &copies(&b[0])).unwrap();
    assert!((copied.p - one.p).abs() < 1e-9 && (copied.difference - one.difference).abs() < 1e-9);
    let one = exchange.compare(&bleu(), &a[0], &b[0]).unwrap();
    let copied = exchange.compare_groups(&bleu(), &copies(&a[0]), &copies(&b[0])).unwrap();
    assert_eq!((copied.p, copied.interval), (one.p, None));
}

#[test]
fn an_estimate_lies_in_its_interval() {
    let bootstrap = BootstrapParams::default().check().unwrap();
    let found = bootstrap.estimate(&bleu(), &systems(0.2)).unwrap();
    let interval = found.interval;
    assert!(interval.low < found.score && found.score < interval.high, "{found:?}");
    assert!((1.0..20.0).contains(&(interval.high - interval.low)), "{found:?}");
    // A wider interval for more confidence.
    let sure = BootstrapParams { confidence: 0.99, ..BootstrapParams::default() };
    let sure = sure.check().unwrap().estimate(&bleu(), &systems(0.2)).unwrap().interval;
    assert!(sure.low < interval.low && interval.high < sure.high);
}

#[test]
fn segments_of_a_group_as_one_system() {
    let means = segment_means(&[vec![1.0, 2.0], vec![3.0, 6.0]]).unwrap();
    assert_eq!(means, [2.0, 4.0]);
    let found = paired_t_test(&means, &[1.0, 1.0], 0.95).unwrap();
    assert!((found.difference - 2.0).abs() < 1e-12);
    assert!(matches!(segment_means::<Vec<f64>>(&[]), Err(MetricsError::NoSystems { .. })));
    assert!(matches!(
        segment_means(&[vec![1.0], vec![1.0, 2.0]]),
        Err(MetricsError::Length { found: 2, expected: 1, .. })
    ));
}

#[test]
fn groups_that_cannot_be_compared() {
    let (a, b) = (systems(0.1), systems(0.2));
    let bootstrap = BootstrapParams::default().check().unwrap();
    let exchange = RandomisationParams::default().check().unwrap();
    // The bootstrap takes groups of any sizes, an exchange needs pairs.
    assert!(bootstrap.compare_groups(&bleu(), &a, &b[..2]).is_ok());
    let error = exchange.compare_groups(&bleu(), &a, &b[..2]).unwrap_err();
    assert!(matches!(error, MetricsError::Unpaired { first: 3, second: 2 }), "{error}");
    let error = bootstrap.compare_groups(&bleu(), &a, &[]).unwrap_err();
    assert!(error.to_string().contains("second group"), "{error}");
    let mut uneven = a.clone();
    uneven[2].pop();
    let error = bootstrap.compare_groups(&bleu(), &uneven, &b).unwrap_err();
    assert!(error.to_string().contains("59 segments of system 2"), "{error}");
    let shorter: Vec<_> = b.iter().map(|system| system[..50].to_vec()).collect();
    let error = bootstrap.compare_groups(&bleu(), &a, &shorter).unwrap_err();
    assert!(error.to_string().contains("50 segments"), "{error}");
}
