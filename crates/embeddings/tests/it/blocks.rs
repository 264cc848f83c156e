//! Blocks of rows: which are lent and which are copied, and that all are right.

use proptest::prelude::*;
use tamis_artifact::Provenance;
use tamis_embeddings::{EmbeddingStore, Embeddings, Shard};

use crate::{fixture, matrix, rows};

/// A store of shards of these lengths, rows of two numbers counting up.
fn store(lengths: &[usize]) -> (tempfile::TempDir, Embeddings) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let mut store = EmbeddingStore::create_or_resume(&dir, &Provenance::new()).unwrap();
    let mut first = 0;
    for (number, &length) in lengths.iter().enumerate() {
        let indices: Vec<usize> = (first..first + length).collect();
        let shard = Shard {
            ids: indices.iter().map(ToString::to_string).collect(),
            rows: (2 * first..2 * (first + length)).map(|n| n as f32).collect(),
            indices,
            columns: 2,
            skipped: Vec::new(),
        };
        store.write(number, &shard).unwrap();
        first += length;
    }
    store.finish().unwrap();
    let embeddings = Embeddings::open(&dir).unwrap();
    (folder, embeddings)
}

#[test]
fn what_lies_together_is_lent() {
    let embeddings = Embeddings::open(fixture("v1.npy")).unwrap();
    let mut scratch = Vec::new();
    assert_eq!(embeddings.block(2, 3, &mut scratch), &matrix()[10..25]);
    assert_eq!(embeddings.block(0, 7, &mut scratch), matrix());
    assert_eq!(embeddings.block(7, 0, &mut scratch), [] as [f32; 0]);
    assert_eq!(scratch.capacity(), 0);

    let (_folder, embeddings) = store(&[3, 2, 4]);
    assert_eq!(embeddings.block(3, 2, &mut scratch), [6.0, 7.0, 8.0, 9.0]);
    assert_eq!(embeddings.block(0, 3, &mut scratch).len(), 6);
    assert_eq!(scratch.capacity(), 0);
    assert_eq!(embeddings.block(2, 4, &mut scratch), [4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]);
    assert_eq!(scratch.len(), 8);
}

#[test]
#[should_panic(expected = "3 rows from 5 on of 7")]
fn there_must_be_so_many_rows() {
    let embeddings = Embeddings::open(fixture("v1.npy")).unwrap();
    embeddings.block(5, 3, &mut Vec::new());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Shards may be empty: none of their samples could be embedded.
    #[test]
    fn any_block_of_any_shards(
        lengths in prop::collection::vec(0..6usize, 1..8),
        from in 0.0..1.0f64,
        to in 0.0..1.0f64,
    ) {
        let total: usize = lengths.iter().sum();
        prop_assume!(total > 0);
        let (_folder, embeddings) = store(&lengths);
        let all: Vec<f32> = (0..2 * total).map(|n| n as f32).collect();
        prop_assert_eq!(rows(&embeddings), all.clone());
        let place = |share: f64| (share * (total + 1) as f64) as usize;
        let (first, end) = (place(from).min(place(to)), place(from).max(place(to)));
        // What an earlier block left there does not matter.
        let mut scratch = vec![-1.0; 3];
        let block = embeddings.block(first, end - first, &mut scratch);
        prop_assert_eq!(block, &all[2 * first..2 * end]);
    }
}
