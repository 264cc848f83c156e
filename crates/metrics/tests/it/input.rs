//! Bad settings and bad input are refused in words.

use tamis_metrics::{
    BleuParams, BootstrapParams, ChrfParams, Mean, MeanStats, Metric, MetricsError,
    RandomisationParams, Smoothing, StudentT, Summary, Tokenizer, mean, paired_t_test, sample_std,
};

use crate::{bleu, chrf, ter};

/// The error's text must have all parts.
fn says<T: std::fmt::Debug>(result: Result<T, MetricsError>, parts: &[&str]) {
    let text = result.unwrap_err().to_string();
    for part in parts {
        assert!(text.contains(part), "`{text}` does not say `{part}`");
    }
}

#[test]
fn settings() {
    for value in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        for smoothing in [Smoothing::Floor(value), Smoothing::AddK(value)] {
            let params = BleuParams { smoothing, ..BleuParams::default() };
            says(params.check(), &["smoothing", &value.to_string(), "above 0"]);
        }
    }
    let params = ChrfParams::default();
    says(ChrfParams { char_order: 0, ..params }.check(), &["char_order", "0", "1 to 6"]);
    says(ChrfParams { char_order: 7, ..params }.check(), &["char_order", "7"]);
    says(ChrfParams { word_order: 3, ..params }.check(), &["word_order", "3", "0 to 2"]);
    says(ChrfParams { beta: 0, ..params }.check(), &["beta"]);
    let params = BootstrapParams::default();
    says(BootstrapParams { resamples: 0, ..params }.check(), &["resamples"]);
    for confidence in [0.0, 1.0, -0.5, 95.0, f64::NAN] {
        says(BootstrapParams { confidence, ..params }.check(), &["confidence"]);
        says(Summary::of(&[1.0, 2.0], confidence), &["confidence"]);
    }
    says(RandomisationParams { trials: 0, seed: 0 }.check(), &["trials"]);
    for degrees in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        says(StudentT::new(degrees), &["degrees_of_freedom"]);
    }
}

#[test]
fn words() {
    for word in ["13a", "zh", "char", "intl", "none"] {
        assert_eq!(word.parse::<Tokenizer>().unwrap().to_string(), word);
        let quoted = format!("\"{word}\"");
        assert_eq!(
            serde_json::from_str::<Tokenizer>(&quoted).unwrap(),
            word.parse::<Tokenizer>().unwrap()
        );
    }
    says("moses".parse::<Tokenizer>(), &["moses", "13a, zh, char, intl, none"]);
    for word in ["none", "floor=0.1", "floor=0.01", "add-k=1", "add-k=0.5", "exp"] {
        assert_eq!(word.parse::<Smoothing>().unwrap().to_string(), word);
    }
    assert_eq!("floor".parse::<Smoothing>().unwrap(), Smoothing::Floor(0.1));
    assert_eq!("add-k".parse::<Smoothing>().unwrap(), Smoothing::AddK(1.0));
    for word in ["", "exp=1", "floor=", "floor=x", "add-k=0", "floor=-1", "add-k=nan", "chen"] {
        says(word.parse::<Smoothing>(), &[if word.contains('=') { "" } else { "expected one of" }]);
    }
}

#[test]
fn hypotheses_and_references_of_different_length() {
    says(bleu().segments(&["a", "b"], &[&["a"]]), &["2 hypotheses", "1 references"]);
    says(ter().segments(&["a"], &[&["a"][..], &["a", "b"][..]]), &["1 hypotheses", "2 references"]);
    says(chrf().segments::<_, &str>(&["a"], &[]), &["no references"]);
    // No segments at all are nothing to refuse, but nothing to test either.
    assert_eq!(bleu().segments::<&str, &str>(&[], &[&[]]).unwrap(), []);
}

#[test]
fn too_few_segments() {
    let bootstrap = BootstrapParams::default().check().unwrap();
    let exchange = RandomisationParams::default().check().unwrap();
    for scores in [&[][..], &[1.0]] {
        let found = format!("{} segments", scores.len());
        let stats = Mean::segments(scores).unwrap();
        says(bootstrap.compare(&Mean, &stats, &stats), &[&found, "at least 2"]);
        says(bootstrap.estimate(&Mean, &[&stats]), &[&found]);
        says(exchange.compare(&Mean, &stats, &stats), &[&found]);
        says(paired_t_test(scores, scores, 0.95), &[&found]);
    }
    says(mean(&[]), &["0 values"]);
    says(sample_std(&[1.0]), &["1 values"]);
}

#[test]
fn scores_of_different_length_or_not_finite() {
    says(paired_t_test(&[1.0, 2.0], &[1.0], 0.95), &["1 segment scores", "2 segment scores"]);
    let bootstrap = BootstrapParams::default().check().unwrap();
    let exchange = RandomisationParams::default().check().unwrap();
    let (two, three) = (vec![MeanStats::default(); 2], vec![MeanStats::default(); 3]);
    says(bootstrap.compare(&Mean, &two, &three), &["3 segments", "2 segments"]);
    says(exchange.compare(&Mean, &three, &two), &["2 segments", "3 segments"]);
    says(Mean::segments(&[1.0, f64::NAN]), &["segment 1", "NaN"]);
    says(paired_t_test(&[1.0, 2.0], &[1.0, f64::INFINITY], 0.95), &["value 1", "inf"]);
    let stats = vec![MeanStats { sum: f64::MAX, count: 1 }; 2];
    says(bootstrap.compare(&Mean, &stats, &stats), &["the test set", "inf"]);
}

/// Numbers that are all the same leave no spread to test with, but are no error.
#[test]
fn no_spread() {
    let same = paired_t_test(&[3.0, 4.0], &[3.0, 4.0], 0.95).unwrap();
    assert_eq!((same.difference, same.p), (0.0, 1.0));
    let moved = paired_t_test(&[3.0, 4.0], &[2.0, 3.0], 0.95).unwrap();
    assert_eq!((moved.difference, moved.p), (1.0, 0.0));
    let json = serde_json::to_value(moved).unwrap();
    assert!(json["t"].is_null() && json["degrees_of_freedom"] == 1.0, "{json}");
    let stats = Mean::segments(&[1.0, 2.0, 5.0]).unwrap();
    let bootstrap = BootstrapParams::default().check().unwrap();
    let exchange = RandomisationParams::default().check().unwrap();
    let p = [
        bootstrap.compare(&Mean, &stats, &stats).unwrap().p,
        exchange.compare(&Mean, &stats, &stats).unwrap().p,
    ];
    assert!(p.iter().all(|p| (p - 1.0).abs() < 1e-12), "{p:?}");
}

/// Whatever is in a line, it can be scored.
#[test]
fn a_segment_without_references() {
    assert_eq!(bleu().segment("a b", &[]).matches, [0; 4]);
    assert_eq!(chrf().segment("a b", &[]), tamis_metrics::ChrfStats::default());
    assert_eq!(ter().segment("a b", &[]), tamis_metrics::TerStats::default());
}
