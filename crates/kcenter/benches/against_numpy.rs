//! K-center and facility location beside numpy and apricot-select, on the same rows, by turns.
//!
//! ```text
//! cargo bench -p tamis-kcenter --bench against_numpy -- PYTHON [memory|disk|facility ...]
//! ```
//!
//! `PYTHON` has numpy and, for `facility`, apricot-select. Without further words everything is measured:
//! 1,000 picks of 100,000 rows of 576 numbers in memory, 100 picks of 1,000,000 rows of 384 numbers mapped
//! from a file of 1.5 GB in a temporary folder (taken out of the page cache before), and facility location
//! on 20,000 rows of 384. First the machine itself: how fast it reads memory and multiplies matrices.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use memmap2::Mmap;
use rayon::prelude::*;
use serde_json::{Value, json};
use tamis_kcenter::ndarray::{Array2, ArrayView2, linalg::general_mat_mul};
use tamis_kcenter::{FacilityParams, KCenterParams, Metric, Similarity};

/// Rows per piece that is made at a time.
const PIECE: usize = 10_000;

/// The loop over differences is timed over this share of the picks; each takes the same time.
const SHARE: usize = 20;

#[derive(Clone, Copy)]
enum Kind {
    /// Uniform in −1 to 1: nothing to be found.
    Uniform,
    /// 300 Gaussian clusters, the larger the earlier, around Gaussian centres twice as wide.
    Clustered,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Uniform, Self::Clustered];

    fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Clustered => "clustered",
        }
    }
}

struct Numbers(u64);

impl Numbers {
    /// Uniform in 0 to 1.
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// The sum of uniform ones, which is Gaussian enough, of variance one.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.next()).sum::<f32>() * 2.0_f32.sqrt() - 3.0 * 2.0_f32.sqrt()
    }
}

fn make(path: &Path, rows: usize, columns: usize, kind: Kind) {
    let mut numbers = Numbers(1);
    let centers: Vec<f32> = (0..300 * columns).map(|_| 2.0 * numbers.normal()).collect();
    let mut file = BufWriter::new(File::create(path).unwrap());
    for first in (0..rows).step_by(PIECE) {
        let row = |row: usize| {
            let mut numbers = Numbers((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
            numbers.next();
            // Cubed: a cluster of number n has about n^(−2/3) of the rows.
            let center = (numbers.next().powi(3) * 300.0) as usize * columns;
            (0..columns)
                .flat_map(|column| {
                    let value = match kind {
                        Kind::Uniform => 2.0 * numbers.next() - 1.0,
                        Kind::Clustered => centers[center + column] + numbers.normal(),
                    };
                    value.to_le_bytes()
                })
                .collect::<Vec<u8>>()
        };
        let piece: Vec<_> = (first..rows.min(first + PIECE)).into_par_iter().map(row).collect();
        for bytes in piece {
            file.write_all(&bytes).unwrap();
        }
    }
    file.flush().unwrap();
}

fn map(path: &Path) -> Mmap {
    let file = File::open(path).unwrap();
    // SAFETY: the file lies in a temporary folder of this program, which does not write to it any more.
    #[allow(unsafe_code)]
    unsafe { Mmap::map(&file) }.unwrap()
}

/// The numbers of a mapped file.
fn numbers(bytes: &[u8]) -> &[f32] {
    // SAFETY: every pattern of bits is an f32; what is not aligned would be left out.
    #[allow(unsafe_code)]
    let (before, numbers, after) = unsafe { bytes.align_to::<f32>() };
    assert!(before.is_empty() && after.is_empty());
    numbers
}

/// Takes a file out of the page cache.
fn forget(path: &Path) {
    let file = format!("of={}", path.display());
    let arguments = ["oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none", &file];
    assert!(Command::new("dd").args(arguments).status().unwrap().success());
}

struct Python {
    child: Child,
    to: Option<ChildStdin>,
    from: Lines<BufReader<ChildStdout>>,
}

impl Python {
    fn start(python: &str) -> Self {
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/numpy_side.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("starting Python");
        let to = child.stdin.take();
        let mut from = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(from.next().expect("Python with numpy").unwrap(), "ready");
        Self { child, to, from }
    }

    fn work(&mut self, job: &Value) -> (f64, Vec<usize>) {
        writeln!(self.to.as_mut().unwrap(), "{job}").unwrap();
        let answer = self.from.next().expect("an answer").unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let picks = answer["picks"].as_array().unwrap();
        let picks = picks.iter().map(|pick| pick.as_u64().unwrap() as usize).collect();
        (answer["seconds"].as_f64().unwrap(), picks)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.to.take());
        self.child.wait().unwrap();
    }
}

fn seconds<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let result = work();
    (begun.elapsed().as_secs_f64(), result)
}

/// How many picks both have in common before they part.
fn common(a: &[usize], b: &[usize]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Bytes a second that all threads read, and operations a second of matrix products: here, in numpy.
fn machine(python: &mut Python) -> (f64, f64) {
    let memory = vec![1.0_f32; 256 << 20];
    let read = || {
        let sum = |part: &[f32]| {
            let mut lanes = [0.0_f32; 32];
            for numbers in part.chunks_exact(32) {
                lanes.iter_mut().zip(numbers).for_each(|(lane, x)| *lane += x);
            }
            lanes.iter().sum::<f32>()
        };
        memory.par_chunks(1 << 20).map(sum).sum::<f32>()
    };
    black_box(read());
    let bandwidth = 5.0 * 1e-9 * (4 * memory.len()) as f64
        / seconds(|| {
            for _ in 0..5 {
                black_box(read());
            }
        })
        .0;

    // As here: blocks of 256 rows, 512 columns, all in the cache.
    let threads = rayon::current_num_threads();
    let products = || {
        (0..threads).into_par_iter().for_each(|_| {
            let (a, b) =
                (Array2::from_elem((256, 576), 1.0_f32), Array2::from_elem((512, 576), 1.0_f32));
            let mut c = Array2::zeros((256, 512));
            for _ in 0..200 {
                general_mat_mul(1.0, &a, &b.t(), 0.0, &mut c);
            }
            black_box(c);
        });
    };
    products();
    let operations = (threads * 200 * 2 * 256 * 576 * 512) as f64;
    let peak = 1e-9 * operations / seconds(products).0;
    let other = 1e-9 * 2.0 * 4096_f64.powi(3) / python.work(&json!({ "work": "product" })).0;
    println!(
        "{threads} threads read {bandwidth:.1} GB/s from memory, multiply matrices in f32 at {peak:.0} GFLOP/s \
         (numpy: {other:.0})\n"
    );
    (bandwidth, peak)
}

#[allow(clippy::too_many_arguments)]
fn k_center(
    python: &mut Python,
    file: &Path,
    rows: usize,
    columns: usize,
    budget: usize,
    mapped: bool,
    peak: f64,
    title: &str,
) {
    let kcenter = KCenterParams { budget, metric: Metric::Euclidean }.check().unwrap();
    let owned = if mapped { Vec::new() } else { numbers(&map(file)).to_vec() };
    let mut here = Vec::new();
    let mut picks = Vec::new();
    for _ in 0..3 {
        if mapped {
            forget(file);
        }
        // Mapped anew: pages that are mapped are not forgotten.
        let bytes = map(file);
        let numbers = if mapped { numbers(&bytes) } else { &owned };
        let view = ArrayView2::from_shape((rows, columns), numbers).unwrap();
        let (taken, found) = seconds(|| kcenter.pick(&view, &[]).unwrap());
        here.push(taken);
        picks = found.indices();
    }
    let job = |form: &str, picks: usize| {
        json!({ "work": "k-center", "file": file, "rows": rows, "columns": columns, "picks": picks,
                "form": form, "mapped": mapped })
    };
    if mapped {
        forget(file);
    }
    let (products, theirs) = python.work(&job("products", budget));
    let part = (budget / SHARE).max(3);
    let (differences, exact) = python.work(&job("differences", part));
    let differences = differences * budget as f64 / part as f64;
    here.sort_by(f64::total_cmp);
    let middle = here[1];
    let pace = 2e-9 * (rows * columns * budget) as f64 / middle;
    println!(
        "| {title} | {middle:.2} ({:.2} … {:.2}) | {pace:.0} ({:.0} %) | {products:.1} | {differences:.0} | {:.1} | {:.0} | {} of {budget}, {} of {part} |",
        here[0],
        here[2],
        100.0 * pace / peak,
        products / middle,
        differences / middle,
        common(&picks, &theirs),
        common(&picks, &exact),
    );
}

fn facility(python: &mut Python, file: &Path, rows: usize, columns: usize, title: &str) {
    let bytes = map(file);
    let view = ArrayView2::from_shape((rows, columns), numbers(&bytes)).unwrap();
    for budget in [100, 1000] {
        let facility = FacilityParams { budget, similarity: Similarity::Cosine }.check().unwrap();
        let (here, found) = seconds(|| facility.pick(&view, &[]).unwrap());
        print!("| {title}, {budget} picks | {here:.2} |");
        for form in ["default", "lazy"] {
            let job = json!({ "work": "facility", "file": file, "rows": rows, "columns": columns,
                              "picks": budget, "form": form, "mapped": false });
            let (there, theirs) = python.work(&job);
            let same = common(&found.indices(), &theirs);
            print!(" {there:.1} | {:.1} | {same} |", there / here);
        }
        println!();
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let (python, wanted) = words.split_first().map_or(("python3", &[][..]), |(a, b)| (a, b));
    let wants = |what: &str| wanted.is_empty() || wanted.iter().any(|word| word == what);
    let mut python = Python::start(python);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.f32");
    let (_, peak) = machine(&mut python);
    println!(
        "| k-center | here, s (least … most of 3) | GFLOP/s (of products) | numpy, products, s | numpy, differences, s | ÷ | ÷ | same picks from the start |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    );
    for kind in Kind::ALL {
        for (what, rows, columns, budget) in
            [("memory", 100_000, 576, 1000), ("disk", 1_000_000, 384, 100)]
        {
            if wants(what) {
                make(&file, rows, columns, kind);
                let title = format!("{budget} of {rows} × {columns}, {what}, {}", kind.name());
                k_center(&mut python, &file, rows, columns, budget, what == "disk", peak, &title);
            }
        }
    }
    if wants("facility") {
        println!(
            "\n| facility location | here, s | apricot, s | ÷ | same picks | apricot, lazy, s | ÷ | same picks |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        );
        for kind in Kind::ALL {
            make(&file, 20_000, 384, kind);
            let title = format!("20,000 × 384, {}", kind.name());
            facility(&mut python, &file, 20_000, 384, &title);
        }
    }
}
