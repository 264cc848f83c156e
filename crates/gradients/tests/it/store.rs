//! Stores of rows: rows asked for by position, and manifests that do not say what is in them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use tamis_artifact::{Manifest, Provenance, StoreWriter};
use tamis_gradients::{GradientError, RowInfo, RowShard, RowStore, RowType, RowWriter};
use tch::{Device, Kind, Tensor};

const FOLDER: &str = "TAMIS_TEST_GATHER_FOLDER";

/// `count` rows from `first` on, whose numbers are their index in the pool.
fn shard(first: usize, count: usize, width: i64) -> RowShard {
    let info = |index: usize| RowInfo {
        id: format!("s{index}").into(),
        index,
        norm: 1.0,
        loss: 2.0,
        targets: 3,
    };
    let (first_number, count_numbers) = (first as i64, count as i64);
    let numbers = Tensor::arange(count_numbers, (Kind::Float, Device::Cpu)) + first_number;
    RowShard {
        infos: (first..first + count).map(info).collect(),
        rows: numbers.unsqueeze(1).expand([count_numbers, width], false),
        skipped: Vec::new(),
    }
}

fn store(dir: &Path, dtype: RowType, shards: usize, rows: usize, width: i64) -> RowStore {
    let mut store =
        RowWriter::create_or_resume(dir, "gradients", &Provenance::new(), dtype).unwrap();
    for n in 0..shards {
        store.write(n, &shard(n * rows, rows, width)).unwrap();
    }
    store.finish().unwrap()
}

#[test]
fn one_row_is_gathered_for_every_position_asked_for() {
    let asked = [7, 2, 7, 0, 11, 2, 7];
    for dtype in [RowType::F32, RowType::F16, RowType::Int8] {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path(), dtype, 3, 4, 6);
        let gathered = store.gather(&asked).unwrap();
        assert_eq!(gathered.size(), [7, 6]);
        assert_eq!(gathered.kind(), Kind::Float);
        for (row, index) in (0i64..).zip(asked) {
            let error = (gathered.get(row) - index as f64).abs().max().double_value(&[]);
            assert!(error < 1e-5 * index as f64 + 1e-9, "{dtype} row {row}: off by {error:e}");
        }
        for asked in [&[3, 12, 3, 99][..], &[12]] {
            let error = store.gather(asked).unwrap_err();
            assert!(matches!(error, GradientError::NoRow { index: 12 }), "{error}");
        }
        assert_eq!(store.gather(&[]).unwrap().numel(), 0);
    }
}

/// Shards of the store that the child gathers from, bytes of each, and rows of each.
const SHARDS: usize = 16;
const SHARD_BYTES: usize = 4 << 20;
const ROWS: usize = 64;

/// Not a test of its own: the process whose memory the test below looks at.
#[test]
#[ignore = "started by another test"]
fn child() {
    let Some(dir) = std::env::var_os(FOLDER) else { return };
    let store = RowStore::open(PathBuf::from(dir)).unwrap();
    let peak = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
    };
    let indices: Vec<usize> = (0..SHARDS).map(|n| n * ROWS + n).collect();
    // What one shard takes, whatever of it is kept, is there from here on.
    let _ = store.gather(&indices[..1]).unwrap();
    let before = peak();
    let rows = store.gather(&indices).unwrap();
    // The system counts pages roughly, so the second figure may be the lower one.
    let grown = peak().saturating_sub(before);
    assert_eq!(rows.size()[0], SHARDS as i64);
    assert!(grown < SHARDS * SHARD_BYTES / 2, "one row of each shard took {} MiB", grown >> 20);
}

/// In a process of its own, as other tests take memory meanwhile.
#[test]
#[cfg(target_os = "linux")]
fn gathering_one_row_of_every_shard_does_not_keep_the_shards() {
    for dtype in [RowType::F32, RowType::Int8] {
        let dir = tempfile::tempdir().unwrap();
        // As floats, which packed rows become when they are read, a shard has the same size.
        let width = SHARD_BYTES / 4 / ROWS;
        drop(store(dir.path(), dtype, SHARDS, ROWS, width as i64));
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "store::child", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{dtype}: {said}");
    }
}

#[test]
fn a_manifest_that_does_not_say_how_rows_are_stored_is_refused_by_the_field() {
    for (value, found) in [(None, "missing"), (Some(json!(32)), "32"), (Some(json!("f8")), "f8")] {
        let dir = tempfile::tempdir().unwrap();
        let fields: Map<String, Value> =
            value.into_iter().map(|value| ("row_type".to_owned(), value)).collect();
        let manifest = Manifest { kind: "gradients".to_owned(), format: 1, fields };
        StoreWriter::create_or_resume(dir.path(), &manifest).unwrap().finish().unwrap();
        let error = RowStore::open(dir.path()).unwrap_err();
        assert!(matches!(error, GradientError::Manifest { field: "row_type", .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("`row_type`") && text.contains(found), "{text}");
        assert!(text.contains(&dir.path().display().to_string()), "{text}");
    }
}
