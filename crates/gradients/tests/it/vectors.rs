//! Stored rows as what selection works on, against the same rows gathered into memory.

use std::fs;
use std::path::Path;
use tamis_artifact::Provenance;

use proptest::prelude::*;
use tamis_clustering::{KMeansParams, Metric};
use tamis_gradients::{
    GradientError, GradientVectors, RowInfo, RowShard, RowStore, RowType, RowWriter,
};
use tamis_selection::Vectors;
use tamis_selection::vectors::ndarray::{Array2, s};
use tch::{Device, Kind, Tensor};

const ALL: [RowType; 6] =
    [RowType::F32, RowType::F16, RowType::Bf16, RowType::Int8, RowType::Int4, RowType::Sign];

/// A store of shards of so many rows; every third sample of the pool was skipped.
fn store(dir: &Path, dtype: RowType, shards: &[usize], width: usize) -> RowStore {
    tch::manual_seed(5);
    let mut store =
        RowWriter::create_or_resume(dir, "gradients", &Provenance::new(), dtype).unwrap();
    let mut index = 0;
    for (number, &count) in shards.iter().enumerate() {
        let info = |_| {
            index += if index % 3 == 1 { 2 } else { 1 };
            let id = format!("s{index}").into();
            RowInfo { id, index, norm: 1.0, loss: 2.0, targets: 3 }
        };
        let infos = (0..count).map(info).collect();
        let rows = Tensor::randn([count as i64, width as i64], (Kind::Float, Device::Cpu));
        // The first row of all is zeros.
        if number == 0 {
            let _ = rows.get(0).fill_(0.0);
        }
        store.write(number, &RowShard { infos, rows, skipped: Vec::new() }).unwrap();
    }
    store.finish().unwrap()
}

/// Places in the pool of all rows of a store.
fn indices(store: &RowStore) -> Vec<usize> {
    store.shards().flat_map(|shard| shard.unwrap().infos).map(|info| info.index).collect()
}

fn gathered(store: &RowStore, indices: &[usize]) -> Array2<f32> {
    let rows = store.gather(indices).unwrap();
    let shape = (rows.size()[0] as usize, rows.size()[1] as usize);
    Array2::from_shape_vec(shape, Vec::try_from(rows.flatten(0, -1)).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_block_is_the_rows_as_gathered(
        which in 0usize..6,
        shards in prop::collection::vec(1usize..7, 1..4),
        width in 1usize..1300,
        places in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        in_order in prop::bool::ANY,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), ALL[which], &shards, width);
        let all = indices(&store);
        let some: Vec<usize> = places.iter().map(|place| *place.get(&all)).collect();
        let asked = if in_order { all } else { some };
        let (expected, found) =
            (gathered(&store, &asked), GradientVectors::new(&store, &asked).unwrap());
        prop_assert_eq!([found.len(), found.width()], expected.shape());
        let mut scratch = vec![7.0; 5];
        for first in 0..asked.len() {
            for count in [0, 1, 2, asked.len() - first] {
                let count = count.min(asked.len() - first);
                let block = found.block(first, count, &mut scratch).unwrap();
                let expected = expected.slice(s![first..first + count, ..]);
                prop_assert_eq!(block, expected.as_slice().unwrap());
            }
        }
        let unit = found.unit();
        let block = unit.block(0, asked.len(), &mut scratch).unwrap();
        for (unit, row) in block.chunks(width).zip(expected.rows()) {
            let length = row.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
            for (&unit, &x) in unit.iter().zip(row) {
                let expected = if length > 0.0 { f64::from(x) / length } else { 0.0 };
                prop_assert!((f64::from(unit) - expected).abs() <= 1e-7);
            }
        }
    }
}

#[test]
fn k_means_over_a_store_is_that_over_the_rows_in_memory() {
    let dir = tempfile::tempdir().unwrap();
    for dtype in ALL {
        let store = store(&dir.path().join(dtype.to_string()), dtype, &[200, 1, 140, 259], 37);
        // Without the row of zeros, which has no direction.
        let all = &indices(&store)[1..];
        let (rows, stored) = (gathered(&store, all), GradientVectors::new(&store, all).unwrap());
        for metric in [Metric::Euclidean, Metric::Cosine] {
            let kmeans = KMeansParams { k: 9, metric, seed: 3, ..KMeansParams::default() };
            let kmeans = kmeans.check().unwrap();
            assert_eq!(kmeans.fit(&stored).unwrap(), kmeans.fit(&rows).unwrap(), "{dtype}");
        }
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), RowType::F16, &[4, 4], 6);
    let all = indices(&store);
    // The first sample was skipped.
    let error = GradientVectors::new(&store, &[all[3], 0]).unwrap_err();
    assert!(matches!(error, GradientError::NoRow { index: 0 }), "{error}");

    let rows = GradientVectors::new(&store, &all).unwrap();
    let shard = dir.path().join("rows-00001.safetensors");
    let bytes = fs::read(&shard).unwrap();
    // Lost after it was looked up.
    fs::write(&shard, &bytes[..bytes.len() - 200]).unwrap();
    rows.block(0, 4, &mut Vec::new()).unwrap();
    let error = rows.block(2, 6, &mut Vec::new()).unwrap_err().to_string();
    assert!(error.contains("cannot read rows of") && error.contains("rows-00001"), "{error}");
    // Changed before.
    let mut wrong = bytes;
    *wrong.last_mut().unwrap() ^= 1;
    fs::write(&shard, wrong).unwrap();
    let error = GradientVectors::new(&store, &all).unwrap_err().to_string();
    assert!(error.contains("rows-00001"), "{error}");
}
