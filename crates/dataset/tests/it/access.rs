//! Rows here and there: in any order, again and again, and without opening or decoding the file each time.

use std::fs::{self, File};
use std::path::Path;

use tamis_dataset::{Dataset, DatasetError, ReadOptions, Sample};

use crate::support::{Folder, all, pair};

const ROWS: usize = 3000;

/// Positions without a pattern, with repeats.
fn scattered(count: usize) -> impl Iterator<Item = usize> {
    let mut state = 1_usize;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % ROWS
    })
    .take(count)
}

fn lines(letter: &str) -> String {
    (0..ROWS).map(|i| format!("{{\"src\": \"{letter}{i}\", \"tgt\": \"{i}\"}}\n")).collect()
}

/// A file of another content that no look at the folder tells apart from the one before.
fn replace(path: &Path, bytes: impl AsRef<[u8]>) {
    let before = fs::metadata(path).unwrap();
    let other = path.with_extension("other");
    fs::write(&other, &bytes).unwrap();
    assert_eq!(fs::metadata(&other).unwrap().len(), before.len());
    File::options()
        .write(true)
        .open(&other)
        .unwrap()
        .set_modified(before.modified().unwrap())
        .unwrap();
    fs::rename(&other, path).unwrap();
}

/// Reads positions of every kind, singly and together, against the samples that a reading from front to back gave.
fn read_anywhere(data: &Dataset, whole: &[Sample]) {
    for position in scattered(10_000) {
        assert_eq!(data.read(&[position]).unwrap(), [whole[position].clone()]);
    }
    let many: Vec<usize> = scattered(4000).chain([5, 5, 4, 0, ROWS - 1]).collect();
    let expected: Vec<Sample> = many.iter().map(|&position| whole[position].clone()).collect();
    assert_eq!(data.read(&many).unwrap(), expected);
    assert_eq!(data.read_range(7..9).unwrap(), whole[7..9]);
    assert_eq!(data.read(&[]).unwrap(), []);
    assert!(matches!(
        data.read(&[0, ROWS]),
        Err(DatasetError::OutOfRange { position: ROWS, len: ROWS, .. })
    ));
}

/// What is read after another file took the name is still the file that was opened: it is not opened again.
#[test]
fn text_files_stay_open() {
    let folder = Folder::new();
    let array = |letter| format!("[{}]", lines(letter).trim_end().replace('\n', ","));
    let tsv = |letter: &str| (0..ROWS).map(|i| format!("{letter}{i}\t{i}\n")).collect::<String>();
    let files: [(&str, String, String); 3] = [
        ("a.jsonl", lines("a"), lines("b")),
        ("a.json", array("a"), array("b")),
        ("a.tsv", tsv("a"), tsv("b")),
    ];
    for (name, text, other) in files {
        let data = folder.open(name, text).unwrap();
        let whole = all(&data);
        assert_eq!(whole[17].content, pair("a17", "17"));
        replace(data.path(), other);
        read_anywhere(&data, &whole);
    }

    let side = |letter: &str| (0..ROWS).map(|i| format!("{letter}{i}\n")).collect::<String>();
    let (source, target) = (folder.file("a.de", side("a")), folder.file("a.en", side("b")));
    let data = Dataset::open_parallel(&source, &target, &ReadOptions::default()).unwrap();
    let whole = all(&data);
    replace(&source, side("c"));
    replace(&target, side("d"));
    read_anywhere(&data, &whole);
}

/// Rows longer than what is read at once, and rows that begin before those read last.
#[test]
fn long_rows_between_short_ones() {
    let row = |i: usize| {
        let text = "é".repeat(if i % 7 == 3 { 50_000 } else { i % 50 });
        format!("{{\"src\": \"{i}\", \"tgt\": \"{text}\"}}\n")
    };
    let folder = Folder::new();
    let data = folder.open("a.jsonl", (0..200).map(row).collect::<String>()).unwrap();
    let whole = all(&data);
    for step in [1, 3, 77, 199] {
        let positions: Vec<usize> = (0..400).map(|i| (i * step) % 200).collect();
        let read = data.read(&positions).unwrap();
        assert!(read.iter().zip(&positions).all(|(sample, &at)| *sample == whole[at]), "{step}");
    }
}

#[test]
#[cfg(feature = "parquet")]
fn row_groups_are_not_decoded_again() {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::WriterProperties;

    let folder = Folder::new();
    let write = |path: &Path, letter: &str| {
        let text = |letter: &str| -> ArrayRef {
            Arc::new((0..ROWS).map(|i| Some(format!("{letter}{i}"))).collect::<StringArray>())
        };
        let batch =
            RecordBatch::try_from_iter([("src", text(letter)), ("tgt", text("t"))]).unwrap();
        let groups = WriterProperties::builder().set_max_row_group_row_count(Some(500)).build();
        let file = File::create(path).unwrap();
        let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(groups)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    };
    let (path, other) = (folder.path().join("a.parquet"), folder.path().join("b.parquet"));
    write(&path, "a");
    write(&other, "b");
    let data = Dataset::open(&path, &ReadOptions::default()).unwrap();
    assert_eq!(data.decoded(), 6, "once for each row group");
    let whole = all(&data);
    assert_eq!(whole[1234].content, pair("a1234", "t1234"));
    replace(&path, fs::read(&other).unwrap());
    read_anywhere(&data, &whole);
    assert_eq!(data.decoded(), 6, "all of the file fits into what is kept");
}

#[test]
fn several_threads_read_one_data_set() {
    let folder = Folder::new();
    let data = folder.open("a.jsonl", lines("a")).unwrap();
    let whole = all(&data);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| read_anywhere(&data, &whole));
        }
    });
}
