//! Batches of few texts, with little padding.

/// What a forward pass costs beside its tokens, in tokens: about the time it takes to fetch the weights.
const PASS: usize = 64;

/// Divides texts of the given lengths into batches of at most `token_budget` padded tokens (a longer
/// text is a batch of its own), so that padded tokens and [`PASS`] a batch are fewest in all.
///
/// The anchors' batches are run once for every candidate, and anchors are few: full batches of texts in
/// the order of their lengths, which are best for a long list, pad a third of them. In that order a
/// best division is found exactly, from those of its beginnings.
pub(crate) fn tight_batches(lengths: &[usize], token_budget: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| (lengths[text], text));
    // The cost of the first texts, and where their last batch begins.
    let mut best = vec![(0, 0)];
    for end in 1..=order.len() {
        let longest = lengths[order[end - 1]];
        let fits = |&start: &usize| start + 1 == end || (end - start) * longest <= token_budget;
        let cost = |start: usize| best[start].0 + (end - start) * longest + PASS;
        let ways = (0..end).rev().take_while(fits).map(|start| (cost(start), start));
        best.push(ways.min().unwrap_or((0, 0)));
    }
    let (mut batches, mut end) = (Vec::new(), order.len());
    while end > 0 {
        let start = best[end].1;
        batches.push(order[start..end].to_vec());
        end = start;
    }
    batches.reverse();
    batches
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cost(batches: &[Vec<usize>], lengths: &[usize]) -> usize {
        let of = |batch: &Vec<usize>| {
            batch.len() * batch.iter().map(|&text| lengths[text]).max().unwrap_or(0) + PASS
        };
        batches.iter().map(of).sum()
    }

    /// The cheapest of all ways to cut the sorted texts.
    fn naive(lengths: &[usize], token_budget: usize) -> usize {
        let mut order: Vec<usize> = (0..lengths.len()).collect();
        order.sort_by_key(|&text| lengths[text]);
        let ways = 0..1u32 << (order.len() - 1);
        let costs = ways.filter_map(|cuts| {
            let mut batches = vec![vec![order[0]]];
            for (n, &text) in order.iter().enumerate().skip(1) {
                if cuts >> (n - 1) & 1 == 1 {
                    batches.push(Vec::new());
                }
                batches.last_mut()?.push(text);
            }
            let fits = |batch: &Vec<usize>| {
                batch.len() == 1
                    || cost(std::slice::from_ref(batch), lengths) - PASS <= token_budget
            };
            batches.iter().all(fits).then(|| cost(&batches, lengths))
        });
        costs.min().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn no_division_is_cheaper(
            lengths in proptest::collection::vec(1usize..200, 1..10),
            token_budget in 1usize..1000,
        ) {
            let batches = tight_batches(&lengths, token_budget);
            let mut all = batches.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..lengths.len()).collect::<Vec<_>>());
            for batch in &batches {
                prop_assert!(batch.len() == 1 || cost(std::slice::from_ref(batch), &lengths) - PASS <= token_budget);
            }
            prop_assert_eq!(cost(&batches, &lengths), naive(&lengths, token_budget));
        }
    }
}
