//! Embeddings from every kind of file, with and without data.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tamis::artifact::Provenance;
use tamis::embeddings::{EmbeddingStore, NoEmbedding, Shard};

use super::{COLUMNS, ROWS, Select, embedding, embeddings, picked, rows};
use crate::pools;

/// A file of the embeddings crate: one matrix of 7 rows in many layouts.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/embeddings/tests/fixtures").join(name)
}

fn embeddings_flag(path: &Path) -> String {
    format!("--embeddings={}", path.display())
}

#[test]
fn every_layout_gives_the_same_choice() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, flags: &[&str]| {
        let select = Select::bare(folder.path(), "out").with(&["--budget=3"]);
        select.with(&[&embeddings_flag(&fixture(name))]).with(flags).succeed()
    };
    let expected = picked(&run("v1.npy", &[]));
    assert_eq!(expected.len(), 3);
    for (name, flags) in [
        ("f2.npy", [].as_slice()),
        ("f8.npy", &[]),
        ("f32.safetensors", &[]),
        ("bf16.safetensors", &[]),
        ("two.safetensors", &["--tensor=first"]),
        ("list.parquet", &[]),
        ("fixed.parquet", &[]),
        ("two.parquet", &["--column=b", "--id-column=name"]),
    ] {
        assert_eq!(picked(&run(name, flags)), expected, "{name}");
    }
}

#[test]
fn without_data_the_rows_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, flags: &[&str]| {
        let select = Select::bare(folder.path(), "out").with(&["--budget=3", "--initial=2"]);
        select.with(&[&embeddings_flag(&fixture(name))]).with(flags).succeed()
    };
    // By their numbers, or by the ids that the file has.
    let number: fn(usize) -> String = |n| n.to_string();
    let integer: fn(usize) -> String = |n| (100 + n).to_string();
    let text: fn(usize) -> String = |n| format!("row {n}");
    for (name, flags, id) in [
        ("v1.npy", [].as_slice(), number),
        ("fixed.parquet", &[], integer),
        ("list.parquet", &["--id-column=text"], text),
    ] {
        let run = run(name, flags);
        let mut chosen = picked(&run);
        chosen.sort_unstable();
        let expected: Vec<Value> =
            chosen.iter().map(|&n| json!({ "index": n, "id": id(n) })).collect();
        let found: Vec<Value> =
            run.selected().iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found, expected);
        for (n, line) in run.scores().iter().enumerate() {
            assert_eq!((&line["index"], &line["id"]), (&json!(n), &json!(id(n))));
        }
        assert!(run.text("report.html").contains("Rows in two dimensions"));
    }
}

/// A folder of embeddings in another order than the rows, in shards, without some of them.
fn store(dir: &Path, without: &[usize]) {
    let mut store = EmbeddingStore::create_or_resume(dir, &Provenance::new()).unwrap();
    let order: Vec<usize> = (0..ROWS).rev().filter(|n| !without.contains(n)).collect();
    for (number, rows) in order.chunks(7).enumerate() {
        let skipped = |&index: &usize| NoEmbedding {
            id: format!("r{index}"),
            index,
            reason: "empty_target".to_owned(),
        };
        let shard = Shard {
            ids: rows.iter().map(|n| format!("r{n}")).collect(),
            indices: rows.to_vec(),
            rows: rows.iter().flat_map(|&n| embedding(n)).collect(),
            columns: COLUMNS,
            skipped: if number == 0 { without.iter().map(skipped).collect() } else { Vec::new() },
        };
        store.write(number, &shard).unwrap();
    }
    store.finish().unwrap();
}

#[test]
fn ids_join_in_any_order() {
    let folder = tempfile::tempdir().unwrap();
    // Greedy rules take the first of equals, which depends on the order: there are none without
    // the rows that are there twice.
    let without: Vec<usize> = (0..ROWS).filter(|n| n % 12 == 11).collect();
    let dir = folder.path().join("store");
    store(&dir, &without);
    let first = ROWS - 2;
    let initial = format!("--initial={first}");
    let joined =
        Select::new(folder.path(), "a").with(&[&embeddings_flag(&dir), &initial]).succeed();
    let lines = joined.scores();
    for &n in &without {
        assert_eq!(lines[n]["reason"], "no embedding: the target is empty");
        assert_eq!((&lines[n]["nearest"], &lines[n]["selected"]), (&Value::Null, &json!(false)));
    }
    assert_eq!((joined.count("read"), joined.count("embedded")), (60, 55));
    assert_eq!(joined.count("rejected"), 5);

    // The same rows one after the other.
    let kept: Vec<usize> = (0..ROWS).filter(|n| !without.contains(n)).collect();
    let lines: Vec<String> = kept.iter().map(|&n| rows()[n].clone()).collect();
    let data = pools::write(folder.path(), "kept.jsonl", &lines);
    let values = kept.iter().flat_map(|&n| embedding(n)).collect();
    let npy = folder.path().join("kept.npy");
    tamis::embeddings::Embeddings::from_rows(values, COLUMNS, None)
        .unwrap()
        .write_npy(&npy)
        .unwrap();
    let plain = Select::bare(folder.path(), "b").with(&[
        &embeddings_flag(&npy),
        &format!("--data={}", data.display()),
        &format!("--initial={}", kept.iter().position(|&n| n == first).unwrap()),
    ]);
    assert_eq!(plain.succeed().selected(), joined.selected());

    // Without data, rows are named as the data would have them.
    let alone =
        Select::bare(folder.path(), "c").with(&[&embeddings_flag(&dir), &initial]).succeed();
    assert_eq!(picked(&alone), picked(&joined));
    assert_eq!(alone.scores()[11]["reason"], "no embedding: the target is empty");
}

#[test]
fn a_choice_does_not_depend_on_where_rows_lie() {
    let folder = tempfile::tempdir().unwrap();
    let (npy, plain) = (folder.path().join("rows.npy"), Select::new(folder.path(), "a").succeed());
    // Rows that are not aligned in the file.
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    let header = format!("{{'descr':'<f4','fortran_order':False,'shape':({ROWS},{COLUMNS})}}\n");
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(embeddings().iter().flat_map(|x| x.to_le_bytes()));
    assert_ne!((file.len() - 4 * ROWS * COLUMNS) % 4, 0);
    std::fs::write(&npy, file).unwrap();
    assert_eq!(Select::new(folder.path(), "b").succeed().result(), plain.result());
}
