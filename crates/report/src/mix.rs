//! Numbers that look random and depend on nothing but a key and a counter.

/// Mixes key and counter to 64 bits (the finaliser of `SplitMix64`: Steele, Lea and Flood, 2014).
pub(crate) fn mix(key: u64, counter: u64) -> u64 {
    let mut z = key.wrapping_add(counter.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Uniform in (-1, 1).
pub(crate) fn uniform(key: u64, counter: u64) -> f64 {
    // 53 bits, in the middle of their intervals.
    ((mix(key, counter) >> 11) as f64 + 0.5) * (2.0 / 9_007_199_254_740_992.0) - 1.0
}

/// At most `limit` of the given positions, in order, the same ones every time.
pub(crate) fn thin_out(positions: Vec<usize>, limit: usize) -> Vec<usize> {
    if positions.len() <= limit {
        return positions;
    }
    let mut keyed: Vec<(u64, usize)> =
        positions.into_iter().map(|position| (mix(0, position as u64), position)).collect();
    keyed.sort_unstable();
    keyed.truncate(limit);
    let mut kept: Vec<usize> = keyed.into_iter().map(|(_, position)| position).collect();
    kept.sort_unstable();
    kept
}

#[cfg(test)]
mod tests {
    use super::{mix, thin_out, uniform};

    /// First outputs of the published generator seeded with 1234567.
    #[test]
    fn equals_the_published_generator() {
        let published =
            [6_457_827_717_110_365_317_u64, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        for (counter, expected) in published.into_iter().enumerate() {
            assert_eq!(mix(1_234_567, counter as u64), expected);
        }
    }

    #[test]
    fn uniform_fills_its_interval() {
        let values: Vec<f64> = (0..10_000).map(|i| uniform(7, i)).collect();
        let mean = values.iter().sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 0.03, "{mean}");
        assert!(values.iter().all(|v| v.abs() < 1.0));
        assert!(values.iter().any(|v| *v > 0.99) && values.iter().any(|v| *v < -0.99));
    }

    #[test]
    fn thinning_keeps_order_and_spreads() {
        let kept = thin_out((0..1000).collect(), 100);
        assert_eq!(kept.len(), 100);
        assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
        let front = kept.iter().filter(|&&p| p < 500).count();
        assert!((30..70).contains(&front), "{front}");
        assert_eq!(thin_out(vec![3, 1], 5), [3, 1]);
    }
}
