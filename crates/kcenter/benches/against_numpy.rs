//! K-center and facility location beside numpy and apricot-select, on the same rows, by turns.
//!
//! ```text
//! cargo bench -p tamis-kcenter --bench against_numpy -- PYTHON [memory|disk|facility ...]
//! ```
//!
//! `PYTHON` has numpy and, for `facility`, apricot-select. Without further words everything is measured:
//! 1,000 picks of 100,000 rows of 576 numbers in memory, 100 picks of 1,000,000 rows of 384 numbers mapped
//! from a file of 1.5 GB in a temporary folder (taken out of the page cache before), and facility location
//! on 20,000 rows of 384. First the machine itself: how fast it reads memory and multiplies matrices. "Of the
//! bound" is the time that the products of all rows with all picks take at that rate, for files with the time
//! that only reading the file takes before, over the time taken.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs)]

use std::fmt::{Display, Formatter};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead, BufReader, BufWriter, Lines, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use memmap2::Mmap;
use rayon::prelude::*;
use serde_json::{Value, json};
use tamis_kcenter::{FacilityParams, KCenterParams, Metric, Similarity};
use tamis_selection::vectors::ndarray::ArrayView2;

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

    fn work(&mut self, job: &Value) -> (Taken, Vec<usize>) {
        writeln!(self.to.as_mut().unwrap(), "{job}").unwrap();
        let answer = self.from.next().expect("an answer").unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        let picks = answer["picks"].as_array().unwrap();
        let picks = picks.iter().map(|pick| pick.as_u64().unwrap() as usize).collect();
        let taken = |key: &str| answer[key].as_f64().unwrap();
        (Taken { clock: taken("seconds"), processors: taken("processors") }, picks)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        drop(self.to.take());
        self.child.wait().unwrap();
    }
}

/// Seconds on the clock, and of all processors together: the latter is also right on a busy machine.
#[derive(Clone, Copy)]
struct Taken {
    clock: f64,
    processors: f64,
}

impl Display for Taken {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:.2} ({:.2})", self.clock, self.processors)
    }
}

/// Seconds that this process has used so far.
fn processors() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name, which may hold blanks; in hundredths.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn seconds<T>(work: impl FnOnce() -> T) -> (Taken, T) {
    let (begun, before) = (Instant::now(), processors());
    let result = work();
    let clock = begun.elapsed().as_secs_f64();
    (Taken { clock, processors: processors() - before }, result)
}

/// How many picks both have in common before they part.
fn common(a: &[usize], b: &[usize]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Row by row, a b in place of `c`, for rows of a of so many numbers and so many rows of b.
fn multiply(a: &[f32], b: &[f32], c: &mut [f32], width: usize) {
    let (m, n, k) = (a.len() / width, b.len() / width, width as isize);
    assert_eq!(c.len(), m * n);
    let (row, alone) = (n as isize, gemm::Parallelism::None);
    let (to, a, b) = (c.as_mut_ptr(), a.as_ptr(), b.as_ptr());
    // SAFETY: all numbers of m rows of a, of the rows of b, n each, and of m × n of c lie in their slices.
    #[allow(unsafe_code)]
    unsafe {
        gemm::gemm(
            m, n, width, to, 1, row, false, a, 1, k, b, 1, row, 1.0, 1.0, false, false, false,
            alone,
        );
    }
}

/// Billions of operations a second that products reach.
#[derive(Clone, Copy)]
struct Peak {
    /// Of all threads, by the clock.
    clock: f64,
    /// Of one, by what processors were used.
    alone: f64,
}

/// Says how fast memory is read and matrices are multiplied.
fn machine(python: &mut Python) -> Peak {
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
    let five = || {
        for _ in 0..5 {
            black_box(read());
        }
    };
    let bandwidth = 5e-9 * (4 * memory.len()) as f64 / seconds(five).0.clock;

    // As here: blocks of 256 rows, 512 columns, all in the cache.
    let threads = rayon::current_num_threads();
    let products = || {
        (0..threads).into_par_iter().for_each(|_| {
            let (a, b) = (vec![1.0_f32; 256 * 576], vec![1.0_f32; 512 * 576]);
            let mut c = vec![0.0; 256 * 512];
            for _ in 0..400 {
                multiply(&a, &b, &mut c, 576);
            }
            black_box(c);
        });
    };
    products();
    let operations = (threads * 400 * 2 * 256 * 576 * 512) as f64;
    let taken = seconds(products).0;
    let peak = Peak {
        clock: 1e-9 * operations / taken.clock,
        alone: 1e-9 * operations / taken.processors,
    };
    let numpy = python.work(&json!({ "work": "product" })).0;
    let operations = 1e-9 * 5.0 * 2.0 * 4096_f64.powi(3);
    println!(
        "{threads} threads read {bandwidth:.1} GB/s from memory and multiply matrices in f32 at {:.0} GFLOP/s; \
         numpy at {:.0}. Per second of one processor: {:.0}, numpy {:.0} GFLOP.\n\n\
         Times are seconds on the clock (of all processors together).\n",
        peak.clock,
        operations / numpy.clock,
        peak.alone,
        operations / numpy.processors,
    );
    peak
}

/// Seconds on the clock in which all threads touch every page of a file that is not in memory.
fn read(file: &Path) -> f64 {
    forget(file);
    let bytes = map(file);
    let touch = |part: &[u8]| part.iter().step_by(4096).map(|&byte| u64::from(byte)).sum::<u64>();
    seconds(|| black_box(bytes.par_chunks(1 << 19).map(touch).sum::<u64>())).0.clock
}

#[allow(clippy::too_many_arguments)]
fn k_center(
    python: &mut Python,
    file: &Path,
    rows: usize,
    columns: usize,
    budget: usize,
    mapped: bool,
    peak: Peak,
    title: &str,
) {
    let kcenter = KCenterParams { budget, metric: Metric::Euclidean }.check().unwrap();
    let owned = if mapped { Vec::new() } else { numbers(&map(file)).to_vec() };
    let mut here = Vec::new();
    let mut picks = Vec::new();
    let mut reading = vec![0.0];
    for _ in 0..5 {
        if mapped {
            reading.push(read(file));
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
    let share = budget as f64 / part as f64;
    let differences =
        Taken { clock: differences.clock * share, processors: differences.processors * share };
    here.sort_by(|a, b| a.clock.total_cmp(&b.clock));
    let here = here[2];
    reading.sort_by(f64::total_cmp);
    let reading = reading[reading.len() / 2];
    let operations = 2e-9 * (rows * columns * budget) as f64;
    let by_clock = 100.0 * (reading + operations / peak.clock) / here.clock;
    let by_processors = if mapped {
        format!("{reading:.2} s to read")
    } else {
        format!("{:.0} %", 100.0 * operations / peak.alone / here.processors)
    };
    println!(
        "| {title} | {here} | {by_clock:.0} % ({by_processors}) | {products} | {:.1} | {differences} | {:.0} | {} of {budget}, {} of {part} |",
        products.clock / here.clock,
        differences.clock / here.clock,
        common(&picks, &theirs),
        common(&picks, &exact),
    );
}

fn facility(
    python: &mut Python,
    file: &Path,
    rows: usize,
    columns: usize,
    budgets: &[usize],
    title: &str,
) {
    let bytes = map(file);
    let view = ArrayView2::from_shape((rows, columns), numbers(&bytes)).unwrap();
    for &budget in budgets {
        let facility = FacilityParams { budget, similarity: Similarity::Cosine }.check().unwrap();
        let (here, found) = seconds(|| facility.pick(&view, &[]).unwrap());
        print!("| {title}, {budget} picks | {here} |");
        for form in ["default", "lazy"] {
            let job = json!({ "work": "facility", "file": file, "rows": rows, "columns": columns,
                              "picks": budget, "form": form, "mapped": false });
            let (there, theirs) = python.work(&job);
            let same = common(&found.indices(), &theirs);
            print!(" {there} | {:.1} | {same} |", there.clock / here.clock);
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
    let peak = machine(&mut python);
    println!(
        "| k-center | here | of the bound | numpy, products | ÷ | numpy, differences | ÷ | same picks from the start |\n\
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
            "\n| facility location | here | apricot | ÷ | same picks | apricot, lazy | ÷ | same picks |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        );
        // Where nothing is to be found all gains are alike, and laziness gains nothing: fewer picks.
        for (kind, budgets) in [(Kind::Clustered, [100, 1000].as_slice()), (Kind::Uniform, &[10])] {
            make(&file, 20_000, 384, kind);
            let title = format!("20,000 × 384, {}", kind.name());
            facility(&mut python, &file, 20_000, 384, budgets, &title);
        }
    }
}
