//! Batch plans: which samples go through a model together.

use crate::error::DatasetError;

/// Groups samples so that little is padded and no batch is too large.
///
/// `lengths[i]` is the number of tokens of sample `i`. The samples are sorted by (length, index) and cut, in that order,
/// into batches with `rows × longest ≤ token_budget`: what a right-padded batch really costs. A sample longer than the
/// budget is a batch of its own. Every index occurs exactly once, and equal lengths and budget give an equal plan.
///
/// # Errors
/// [`DatasetError::ZeroTokenBudget`] if `token_budget` is 0.
pub fn plan_batches(
    lengths: &[usize],
    token_budget: usize,
) -> Result<Vec<Vec<usize>>, DatasetError> {
    if token_budget == 0 {
        return Err(DatasetError::ZeroTokenBudget);
    }
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_unstable_by_key(|&i| (lengths[i], i));

    let mut batches = Vec::new();
    let mut batch: Vec<usize> = Vec::new();
    for i in order {
        // Ascending order: the newest member is the longest, so it alone decides what the batch would cost.
        let cost = (batch.len() + 1).saturating_mul(lengths[i]);
        if !batch.is_empty() && cost > token_budget {
            batches.push(std::mem::take(&mut batch));
        }
        batch.push(i);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    Ok(batches)
}
