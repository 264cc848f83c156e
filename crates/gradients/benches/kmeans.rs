//! K-means over a store of gradients that is larger than the memory it may take: time, and the most memory.
//!
//! ```text
//! cargo bench -p tamis-gradients --bench kmeans -- FOLDER write 20000 57344
//! cargo bench -p tamis-gradients --bench kmeans -- FOLDER cluster 64 3
//! ```
//!
//! The first writes random f16 rows (so many, so wide) around 64 centres, the second clusters them (k, iterations
//! at most), from the first k rows as centroids: k-means++ would read them k times more, and needs less memory.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Instant;
use std::{env, fs};
use tamis_artifact::Provenance;

use tamis_clustering::KMeansParams;
use tamis_gradients::{GradientVectors, RowInfo, RowShard, RowStore, RowType, RowWriter};
use tamis_selection::Vectors;
use tamis_selection::vectors::ndarray::ArrayView2;
use tch::{Device, Kind, Tensor};

/// Rows of a shard.
const SHARD: usize = 128;
/// Centres that the rows lie around.
const CENTRES: i64 = 64;

fn main() {
    // Cargo adds a flag of its own.
    let words: Vec<String> = env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words.as_slice() {
        [folder, "write", rows, width] => {
            write(Path::new(folder), rows.parse().unwrap(), width.parse().unwrap());
        }
        [folder, "cluster", k, iterations] => {
            cluster(Path::new(folder), k.parse().unwrap(), iterations.parse().unwrap());
        }
        _ => println!("skipped: FOLDER write ROWS WIDTH, or FOLDER cluster K ITERATIONS"),
    }
}

fn write(folder: &Path, rows: usize, width: i64) {
    tch::manual_seed(1);
    let options = (Kind::Float, Device::Cpu);
    let centres = Tensor::randn([CENTRES, width], options);
    let made_of = Provenance::new();
    let mut store =
        RowWriter::create_or_resume(folder, "gradients", &made_of, RowType::F16).unwrap();
    for (number, first) in (0..rows).step_by(SHARD).enumerate() {
        let count = SHARD.min(rows - first);
        let infos = (first..first + count)
            .map(|index| RowInfo {
                id: index.to_string().into(),
                index,
                norm: 1.0,
                loss: 1.0,
                targets: 1,
            })
            .collect();
        let of = Tensor::randint(CENTRES, [count as i64], (Kind::Int64, Device::Cpu));
        let noise = Tensor::randn([count as i64, width], options);
        let rows = centres.index_select(0, &of) + 2.0 * noise;
        store.write(number, &RowShard { infos, rows, skipped: Vec::new() }).unwrap();
    }
    store.finish().unwrap();
}

fn cluster(folder: &Path, k: usize, max_iter: usize) {
    let begun = Instant::now();
    let store = RowStore::open(folder).unwrap();
    let indices: Vec<usize> = (0..store.artifact().shards().len())
        .flat_map(|number| store.read_packed(number).unwrap().infos)
        .map(|info| info.index)
        .collect();
    let rows = GradientVectors::new(&store, &indices).unwrap();
    println!("{} x {} looked up in {:.1?}", rows.len(), rows.width(), begun.elapsed());
    drop(indices);
    let begun = Instant::now();
    let kmeans = KMeansParams { k, max_iter, ..KMeansParams::default() }.check().unwrap();
    let mut scratch = Vec::new();
    let first = rows.block(0, k, &mut scratch).unwrap();
    let first = ArrayView2::from_shape((k, rows.width()), first).unwrap();
    let fit = kmeans.fit_from(&rows, first).unwrap();
    let took = begun.elapsed();
    println!("k {k}, {} iterations in {took:.1?}, inertia {:.6e}", fit.iterations, fit.inertia);
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    println!("{most}");
}
