//! Packed rows against the floats they stand for.

use std::fs;
use std::path::Path;
use tamis_artifact::Provenance;

use proptest::prelude::*;
use tamis_gradients::{RowInfo, RowShard, RowStore, RowType, RowWriter};
use tch::{Device, Kind, Tensor};

use crate::common::relative_error;

const PACKED: [RowType; 3] = [RowType::Int8, RowType::Int4, RowType::Sign];
const ALL: [RowType; 6] =
    [RowType::F32, RowType::F16, RowType::Bf16, RowType::Int8, RowType::Int4, RowType::Sign];

fn shard(rows: &[Vec<f32>]) -> RowShard {
    let info = |index: usize| RowInfo {
        id: format!("s{index}").into(),
        index,
        norm: 1.0,
        loss: 2.0,
        targets: 3,
    };
    let width = rows[0].len() as i64;
    RowShard {
        infos: (0..rows.len()).map(info).collect(),
        rows: Tensor::from_slice(&rows.concat()).view([-1, width]),
        skipped: Vec::new(),
    }
}

fn store(dir: &Path, dtype: RowType, rows: &[Vec<f32>]) -> RowStore {
    let mut store =
        RowWriter::create_or_resume(dir, "gradients", &Provenance::new(), dtype).unwrap();
    store.write(0, &shard(rows)).unwrap();
    store.finish().unwrap()
}

/// The rows as they are read after they were stored.
fn stored(dtype: RowType, rows: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let dir = tempfile::tempdir().unwrap();
    let read = store(dir.path(), dtype, rows).read(0).unwrap();
    assert_eq!(read.rows.kind(), dtype.kind());
    assert_eq!(read.infos, shard(rows).infos);
    let flat = Vec::<f32>::try_from(read.rows.to_kind(Kind::Float).flatten(0, -1)).unwrap();
    flat.chunks(rows[0].len()).map(<[f32]>::to_vec).collect()
}

fn squared_error(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// Normal numbers, (rows, width).
fn normal(rows: usize, width: usize, seed: i64) -> Tensor {
    tch::manual_seed(seed);
    Tensor::randn([rows as i64, width as i64], (Kind::Float, Device::Cpu))
}

fn rows_of(tensor: &Tensor) -> Vec<Vec<f32>> {
    let width = tensor.size()[1] as usize;
    let flat = Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
    flat.chunks(width).map(<[f32]>::to_vec).collect()
}

/// Rows of one width from 1 to 70, magnitudes over many orders, and some zeros.
fn cases() -> impl Strategy<Value = Vec<Vec<f32>>> {
    (1usize..70, -30i32..30).prop_flat_map(|(width, exponent)| {
        let number = prop_oneof![
            6 => (-1.0f32..1.0).prop_map(move |x| x * 10f32.powi(exponent)),
            1 => (-1.0f32..1.0).prop_map(move |x| x * 100.0 * 10f32.powi(exponent)),
            1 => Just(0.0f32),
        ];
        prop::collection::vec(prop::collection::vec(number, width), 1..6)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn eight_bits_are_off_by_half_a_step_at_most(rows in cases()) {
        for (row, read) in rows.iter().zip(stored(RowType::Int8, &rows)) {
            let largest = row.iter().fold(0f32, |most, x| most.max(x.abs()));
            for (x, y) in row.iter().zip(read) {
                prop_assert!((x - y).abs() <= largest / 127.0 * 0.5001, "{x} became {y}");
            }
        }
    }

    /// The naive way: round to sevenths of the largest magnitude.
    #[test]
    fn four_bits_are_never_worse_than_sevenths_of_the_largest(rows in cases()) {
        for (row, read) in rows.iter().zip(stored(RowType::Int4, &rows)) {
            let step = row.iter().fold(0f32, |most, x| most.max(x.abs())) / 7.0;
            let naive: Vec<f32> = row
                .iter()
                .map(|x| if step > 0.0 { (x / step).round_ties_even() * step } else { 0.0 })
                .collect();
            let (error, bound) = (squared_error(row, &read), squared_error(row, &naive));
            let size: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
            prop_assert!(error <= bound + 1e-6 * size, "{error} above {bound}");
            // Fifteen different numbers at most.
            let mut codes = read.clone();
            codes.sort_by(f32::total_cmp);
            codes.dedup();
            prop_assert!(codes.len() <= 15);
        }
    }

    #[test]
    fn one_bit_is_the_sign_times_the_mean_magnitude(rows in cases()) {
        for (row, read) in rows.iter().zip(stored(RowType::Sign, &rows)) {
            let mean = row.iter().map(|x| f64::from(x.abs())).sum::<f64>() / row.len() as f64;
            for (x, y) in row.iter().zip(read) {
                let expected = if *x < 0.0 { -mean } else { mean };
                prop_assert!((f64::from(y) - expected).abs() <= 1e-6 * mean);
            }
        }
    }
}

/// Widths that fill no byte, no word or no vector, and more rows than a task has.
#[test]
fn products_and_norms_are_those_of_the_rows_as_read() {
    let sizes =
        [(1, 1, 1), (3, 7, 2), (5, 9, 1), (70, 33, 3), (9, 511, 4), (2, 1030, 5), (131, 2500, 16)];
    for (n, (rows, width, queries)) in sizes.into_iter().enumerate() {
        // Rows of different sizes, so that a scale of another row would show.
        let factors = Tensor::arange(rows as i64, (Kind::Float, Device::Cpu)).unsqueeze(1) + 1.0;
        let numbers = normal(rows, width, n as i64) * factors;
        let queries = normal(queries, width, 100 + n as i64);
        for dtype in ALL {
            let dir = tempfile::tempdir().unwrap();
            let store = store(dir.path(), dtype, &rows_of(&numbers));
            let read = store.read(0).unwrap().rows.to_kind(Kind::Double);
            let packed = store.read_packed(0).unwrap().rows;
            assert_eq!((packed.len(), packed.width(), packed.dtype()), (rows, width, dtype));
            let expected = read.matmul(&queries.to_kind(Kind::Double).tr());
            let found = packed.dot(&queries).unwrap().to_kind(Kind::Double);
            // Relative to the norms: a product may cancel to anything.
            let norms = read.norm_scalaropt_dim(2, [1i64].as_slice(), true);
            let sizes = &norms * queries.norm_scalaropt_dim(2, [1i64].as_slice(), true).tr();
            let worst = ((found - expected).abs() / sizes).max().double_value(&[]);
            assert!(worst < 1e-5, "{dtype} of width {width}: {worst}");
            let found = Tensor::from_slice(&packed.norms().unwrap());
            assert!(relative_error(&found, &norms.flatten(0, -1)) < 1e-6, "{dtype}");
        }
    }
}

#[test]
fn rows_of_zeros_stay_zeros() {
    let rows = vec![vec![0.0; 11], vec![-1.0; 11], vec![1e-41; 11]];
    for dtype in PACKED {
        let read = stored(dtype, &rows);
        assert_eq!(read[0], [0.0; 11]);
        assert_eq!(read[2], [0.0; 11]);
        read[1].iter().for_each(|x| assert!((x + 1.0).abs() < 1e-6, "{dtype}: {x}"));
        let dir = tempfile::tempdir().unwrap();
        let packed = store(dir.path(), dtype, &rows).read_packed(0).unwrap().rows;
        let products = packed.dot(&Tensor::ones([1, 11], (Kind::Float, Device::Cpu))).unwrap();
        let products = Vec::<f32>::try_from(products.flatten(0, -1)).unwrap();
        assert!(products[0] == 0.0 && (products[1] + 11.0).abs() < 1e-5, "{products:?}");
        assert_eq!(packed.norms().unwrap()[0], 0.0);
    }
}

#[test]
fn a_row_takes_the_bytes_that_its_type_says() {
    let rows = rows_of(&normal(40, 1001, 1));
    let size = |dtype: RowType| {
        let dir = tempfile::tempdir().unwrap();
        drop(store(dir.path(), dtype, &rows));
        fs::metadata(dir.path().join("rows-00000.safetensors")).unwrap().len() as usize
    };
    let bytes = ALL.map(|dtype| dtype.row_bytes(1001));
    assert_eq!(bytes, [4004, 2002, 2002, 1005, 505, 130]);
    // What is beside the rows is the same for all, but for a line on the packed tensors.
    let beside = size(RowType::F32) - 40 * bytes[0];
    for (dtype, bytes) in ALL.into_iter().zip(bytes) {
        let found = size(dtype) - 40 * bytes;
        assert!(found.abs_diff(beside) < 100, "{dtype}: {found} beside the rows, {beside} of f32");
    }
}

#[test]
fn what_is_no_row_of_its_type_is_refused() {
    let rows = rows_of(&normal(3, 20, 2));
    for dtype in PACKED {
        let mut broken = rows.clone();
        broken[1][4] = f32::INFINITY;
        let dir = tempfile::tempdir().unwrap();
        let mut fresh =
            RowWriter::create_or_resume(dir.path(), "gradients", &Provenance::new(), dtype)
                .unwrap();
        let message = fresh.write(0, &shard(&broken)).unwrap_err().to_string();
        assert!(message.contains("sample s1") && message.contains(&dtype.to_string()), "{message}");

        fresh.write(0, &shard(&rows)).unwrap();
        let queries = normal(1, 21, 3);
        let store = fresh.finish().unwrap();
        let message = store.read_packed(0).unwrap().rows.dot(&queries).unwrap_err().to_string();
        assert!(message.contains("[1, 21]"), "{message}");

        // A store of another type is not gone on with.
        let other =
            RowWriter::create_or_resume(dir.path(), "gradients", &Provenance::new(), RowType::F16);
        let message = other.unwrap_err().to_string();
        assert!(message.contains("row_type") && message.contains(dtype.to_string().as_str()));

        // One bit of the rows turned over.
        let file = dir.path().join("rows-00000.safetensors");
        let mut bytes = fs::read(&file).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&file, bytes).unwrap();
        let store = RowStore::open(dir.path()).unwrap();
        let message = store.read_packed(0).unwrap_err().to_string();
        assert!(message.contains("rows-00000"), "{message}");
        assert!(store.read(0).is_err());
    }
}

/// A run that ended after the first of two shards and goes on leaves the bytes of an undisturbed one.
#[test]
fn a_packed_store_is_gone_on_with() {
    let parts = [rows_of(&normal(7, 37, 8)), rows_of(&normal(5, 37, 9))];
    for dtype in PACKED {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let open = |dir: &Path| {
            RowWriter::create_or_resume(dir, "gradients", &Provenance::new(), dtype).unwrap()
        };
        for (dir, stops) in dirs.iter().zip([false, true]) {
            let mut store = open(dir.path());
            store.write(0, &shard(&parts[0])).unwrap();
            if stops {
                drop(store);
                store = open(dir.path());
                assert!(store.has(0) && !store.has(1));
            }
            store.write(1, &shard(&parts[1])).unwrap();
            store.finish().unwrap();
        }
        let bytes = |dir: &Path, n: usize| fs::read(dir.join(format!("rows-0000{n}.safetensors")));
        for n in 0..2 {
            assert_eq!(bytes(dirs[0].path(), n).unwrap(), bytes(dirs[1].path(), n).unwrap());
        }
        let store = RowStore::open(dirs[1].path()).unwrap();
        let queries = normal(2, 37, 10);
        let found = store.packed_shards().map(|shard| shard.unwrap().rows.dot(&queries).unwrap());
        let read = store.shards().map(|shard| shard.unwrap().rows.matmul(&queries.tr()));
        for (found, expected) in found.zip(read) {
            assert!(relative_error(&found, &expected) < 1e-5, "{dtype}");
        }
        assert_eq!(store.shards().count(), 2);
    }
}

/// Rows of a random projection are nearly normal: what each type keeps of them.
#[test]
fn fewer_bits_keep_most_of_normal_rows() {
    let numbers = normal(20, 4096, 5);
    let rows = rows_of(&numbers);
    for (dtype, least, most) in
        [(RowType::Int8, 0.0, 0.01), (RowType::Int4, 0.09, 0.12), (RowType::Sign, 0.59, 0.62)]
    {
        let read = Tensor::from_slice(&stored(dtype, &rows).concat()).view([20, -1]);
        // The best 15 levels at equal steps leave 0.114, the two best 0.603 = √(1 − 2/π).
        let error = relative_error(&read, &numbers);
        assert!((least..most).contains(&error), "{dtype}: {error}");
    }
}

/// Rows a second, the best of many short runs, for the README: `cargo test -p tamis-gradients rows_a_second -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn rows_a_second() {
    const WIDTH: usize = 8192;
    const ROWS: usize = 1024;
    let rows = rows_of(&normal(ROWS, WIDTH, 6));
    for dtype in [RowType::F16, RowType::Int8, RowType::Int4, RowType::Sign] {
        let dir = tempfile::tempdir().unwrap();
        let begun = std::time::Instant::now();
        let store = store(dir.path(), dtype, &rows);
        let written = begun.elapsed().as_secs_f64();
        let begun = std::time::Instant::now();
        let packed = store.read_packed(0).unwrap().rows;
        let read = begun.elapsed().as_secs_f64();
        print!(
            "{dtype}: {} bytes a row, {:.0} rows/s written, {:.0} rows/s read; rows/s (GB/s) at queries",
            dtype.row_bytes(WIDTH),
            ROWS as f64 / written,
            ROWS as f64 / read
        );
        for queries in [1, 4, 16] {
            let queries = normal(queries, WIDTH, 7);
            let mut best = f64::MAX;
            for _ in 0..100 {
                let begun = std::time::Instant::now();
                let products = packed.dot(&queries).unwrap();
                best = best.min(begun.elapsed().as_secs_f64());
                assert_eq!(products.size()[0], ROWS as i64);
            }
            let rate = ROWS as f64 / best;
            let bytes = rate * dtype.row_bytes(WIDTH) as f64 / 1e9;
            print!("  {}: {rate:.0} ({bytes:.2})", queries.size()[0]);
        }
        println!();
    }
}
