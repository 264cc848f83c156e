//! Selection works on embeddings wherever they are.

use proptest::prelude::*;
use tamis_artifact::Provenance;
use tamis_embeddings::{EmbeddingStore, Embeddings, Shard};
use tamis_kcenter::{KCenterParams, Metric};
use tamis_selection::vectors::ndarray::ArrayView2;

/// The same rows mapped as one file, and as shards of some length.
fn written(
    folder: &std::path::Path,
    values: &[f32],
    columns: usize,
    shard: usize,
) -> [Embeddings; 2] {
    let (npy, dir) = (folder.join("rows.npy"), folder.join("store"));
    Embeddings::from_rows(values.to_vec(), columns, None).unwrap().write_npy(&npy).unwrap();
    let mut store = EmbeddingStore::create_or_resume(&dir, &Provenance::new()).unwrap();
    for (number, rows) in values.chunks(shard * columns).enumerate() {
        let first = number * shard;
        let indices: Vec<usize> = (first..first + rows.len() / columns).collect();
        let ids = indices.iter().map(ToString::to_string).collect();
        let rows = rows.to_vec();
        store.write(number, &Shard { ids, indices, rows, columns, skipped: Vec::new() }).unwrap();
    }
    store.finish().unwrap();
    [npy, dir].map(|path| Embeddings::open(path).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_same_picks_from_memory_file_and_shards(
        values in prop::collection::vec(-4.0..4.0f32, 40..700),
        columns in 1..7usize,
        shard in 1..40usize,
        cosine in any::<bool>(),
    ) {
        let rows = values.len() / columns;
        let values = &values[..rows * columns];
        let folder = tempfile::tempdir().unwrap();
        let metric = if cosine { Metric::Cosine } else { Metric::Euclidean };
        let k_center = KCenterParams { budget: rows / 2, metric }.check().unwrap();
        let view = ArrayView2::from_shape((rows, columns), values).unwrap();
        let expected = k_center.pick(&view, &[rows - 1]).unwrap();
        for embeddings in written(folder.path(), values, columns, shard) {
            prop_assert_eq!(&k_center.pick(&embeddings, &[rows - 1]).unwrap(), &expected);
        }
    }
}
