//! Anchors drawn from the pool itself.

use tamis_clustering::KMeans;
use tamis_selection::Vectors;

use crate::NuggetsError;

/// The row nearest to the centre of each of the `k` clusters that `kmeans` finds among `rows`
/// in the order of the rows; of rows equally near, the first.
///
/// The paper takes 100 of them, of the mean of each text's hidden states.
///
/// # Errors
/// What k-means refuses, or fewer different rows than representatives.
pub fn representatives(rows: &dyn Vectors, kmeans: &KMeans) -> Result<Vec<usize>, NuggetsError> {
    let fit = kmeans.fit(rows)?;
    let asked = kmeans.params().k;
    let mut nearest: Vec<Option<usize>> = vec![None; asked];
    for (row, &label) in fit.labels.iter().enumerate() {
        let nearer = |best: usize| fit.distances[row] < fit.distances[best];
        if nearest[label].is_none_or(nearer) {
            nearest[label] = Some(row);
        }
    }
    let mut chosen: Vec<usize> = nearest.into_iter().flatten().collect();
    if chosen.len() < asked {
        let (found, rows) = (chosen.len(), rows.len());
        return Err(NuggetsError::Representatives { asked, found, rows });
    }
    chosen.sort_unstable();
    Ok(chosen)
}
