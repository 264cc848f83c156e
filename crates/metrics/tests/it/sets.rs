//! Lengths, repetitions and overlap of selections.

use proptest::prelude::*;
use tamis_metrics::{LengthSummary, MetricsError, Overlap, TextDuplicates};

/// `numpy.quantile(x, [0.05, 0.5, 0.95])` and `x.mean()`.
#[test]
fn quantiles_of_numpy() {
    let lengths = [17, 3, 250, 44, 44, 9, 1021, 62, 5, 88, 130];
    let found = LengthSummary::of(&lengths).unwrap();
    assert_eq!((found.count, found.total, found.min, found.max), (11, 1673, 3, 1021));
    assert!((found.mean - 152.090_909_090_909_1).abs() < 1e-12);
    let quantiles = [found.p05, found.median, found.p95];
    assert!(quantiles.iter().zip([4.0, 44.0, 635.5]).all(|(a, b)| (a - b).abs() < 1e-9));
}

#[test]
fn one_length_is_all_of_them_and_none_is_refused() {
    let found = LengthSummary::of(&[7]).unwrap();
    assert_eq!((found.p05, found.median, found.p95, found.mean), (7.0, 7.0, 7.0, 7.0));
    let refused = LengthSummary::of(&[]).unwrap_err();
    assert!(matches!(refused, MetricsError::TooFew { found: 0, .. }));
}

#[test]
fn duplicates_by_letters_and_by_words() {
    let texts =
        ["Größe?", "größe", "", "", "!?", "?!", "a b", "A-B", "ab", "写一首诗。", "写一首诗"];
    // Exact: the second "". Alike: that, größe, A-B and the poem; "!?" and "?!" have no word and differ.
    assert_eq!(TextDuplicates::of(texts), TextDuplicates { exact: 1, alike: 4 });
    assert_eq!(TextDuplicates::of::<&str>([]), TextDuplicates::default());
}

proptest! {
    /// Counted by looking at all texts before each.
    #[test]
    fn duplicates_by_looking_back(texts in prop::collection::vec("[aA .b]{0,3}", 0..30)) {
        let words = |text: &str| {
            let words: Vec<_> =
                text.split([' ', '.']).filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
            if words.is_empty() { vec![format!("only {text}")] } else { words }
        };
        let before = |same: &dyn Fn(&str, &str) -> bool| {
            (0..texts.len()).filter(|&n| texts[..n].iter().any(|other| same(other, &texts[n]))).count()
        };
        let found = TextDuplicates::of(&texts);
        prop_assert_eq!(found.exact, before(&|a, b| a == b));
        prop_assert_eq!(found.alike, before(&|a, b| words(a) == words(b)));
    }

    #[test]
    fn overlap_by_counting(
        a in prop::collection::vec(0..20_u32, 0..20),
        b in prop::collection::vec(0..20_u32, 0..20),
    ) {
        let both = (0..20).filter(|n| a.contains(n) && b.contains(n)).count();
        let either = (0..20).filter(|n| a.contains(n) || b.contains(n)).count();
        let (found, turned) = (Overlap::of(&a, &b), Overlap::of(&b, &a));
        prop_assert_eq!(found, turned);
        prop_assert_eq!(found.common, both);
        let expected = if either == 0 { 1.0 } else { both as f64 / either as f64 };
        prop_assert!((found.jaccard - expected).abs() < 1e-12);
    }
}
