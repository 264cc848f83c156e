//! How many n-grams two texts share.

/// An n-gram that may still be the beginning of a longer one in common.
struct Gram {
    /// The same for equal n-grams only.
    key: u64,
    /// The text it is in: 0 is the hypothesis, the others are references.
    text: u32,
    /// Where it begins.
    start: u32,
}

/// Writes to `matches[n - 1]` how many n-grams of the hypothesis are in a reference, each counted at
/// most as often as in the reference that has it most often (clipped counts of Papineni et al., 2002).
///
/// Equal n-grams are found by sorting. The n-grams of order n + 1 are sorted by the rank of their first
/// n tokens and the token that follows, and only those are looked at whose first n tokens are in
/// both the hypothesis and a reference, so a long line costs O(tokens · log tokens) for each order
/// and a line without anything in common costs one sort.
pub(crate) fn clipped_matches(hypothesis: &[u32], references: &[&[u32]], matches: &mut [u64]) {
    matches.fill(0);
    let texts: Vec<&[u32]> =
        std::iter::once(hypothesis).chain(references.iter().copied()).collect();
    let mut grams = Vec::with_capacity(texts.iter().map(|text| text.len()).sum());
    for (text, tokens) in (0..).zip(&texts) {
        grams.extend((0..).zip(*tokens).map(|(start, &token)| Gram {
            key: u64::from(token),
            text,
            start,
        }));
    }
    let mut counts = vec![0_u64; texts.len()];
    for (order, matched) in matches.iter_mut().enumerate() {
        grams.sort_unstable_by_key(|gram| gram.key);
        let mut longer = Vec::new();
        for (rank, equal) in (0_u64..).zip(grams.chunk_by(|a, b| a.key == b.key)) {
            counts.fill(0);
            for gram in equal {
                counts[gram.text as usize] += 1;
            }
            let most = counts[1..].iter().copied().max().unwrap_or(0);
            let shared = counts[0].min(most);
            if shared == 0 {
                continue;
            }
            *matched += shared;
            for gram in equal {
                let next = gram.start as usize + order + 1;
                if let Some(&token) = texts[gram.text as usize].get(next) {
                    longer.push(Gram { key: rank << 32 | u64::from(token), ..*gram });
                }
            }
        }
        grams = longer;
    }
}

/// How many n-grams of this order there are in so many tokens.
pub(crate) fn count(tokens: usize, order: usize) -> u64 {
    (tokens + 1).saturating_sub(order) as u64
}
