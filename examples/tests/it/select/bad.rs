//! What makes no sense is refused, with what to do.

use std::fs;

use tamis::embeddings::Embeddings;

use super::{COLUMNS, ROWS, Select, embedding, embeddings, rows, write};
use crate::pools;

#[test]
fn flags_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], parts: &[&str]| {
        Select::new(folder.path(), "out").with(flags).refuse(parts);
    };
    refused(&["--strategy=qdit"], &["--quality", "facility-location"]);
    refused(&["--quality=q.txt"], &["--quality is for --strategy qdit", "k-center"]);
    refused(&["--alpha=0.5"], &["--alpha is for --strategy qdit"]);
    refused(&["--clusters=3"], &["--clusters is for --strategy k-means"]);
    refused(&["--strategy=random", "--within=nearest"], &["--within is for --strategy k-means"]);
    refused(&["--strategy=k-means", "--within=best-score"], &["random or nearest"]);
    refused(&["--strategy=k-means", "--clusters=61"], &["--clusters is 61", "60 rows"]);
    refused(&["--strategy=k-centre"], &["k-centre", "facility-location"]);
    refused(&["--metric=manhattan"], &["manhattan", "euclidean, cosine"]);
    refused(&["--model=somewhere"], &["cannot be used with"]);
    refused(&["--similarity=cosine"], &["--similarity is for --strategy facility-location"]);
    // What only a model has a use for.
    refused(&["--pool=response"], &["--pool <POOL>", "cannot be used with", "--embeddings"]);
    refused(&["--dtype=f32"], &["--dtype <DTYPE>", "cannot be used with"]);
    refused(&["--budget=0"], &["--budget is 0", "between 1 and 60"]);
    refused(&["--budget=61"], &["--budget is 61", "between 1 and 60"]);
    refused(&["--budget=58", "--initial=1,2,3"], &["between 1 and 57", "3 of them initial"]);
    refused(&["--initial=3,9,3"], &["--initial names row 3 twice"]);
    refused(&["--initial=60"], &["--initial names row 60", "from 0 to 59"]);
    refused(&["--initial=-1"], &["--initial"]);
    Select::new(folder.path(), "out").without("--embeddings").refuse(&["--embeddings"]);
    Select::bare(folder.path(), "out").with(&["--model=somewhere"]).refuse(&["--data"]);
    let select = Select::new(folder.path(), "out").without("--data");
    select.with(&["--in-order"]).refuse(&["--data <DATA>"]);
    write(&folder.path().join("file"), "");
    Select::new(folder.path(), "file").refuse(&["--out", "file is a file"]);
    assert!(!folder.path().join("out").exists(), "an output folder although nothing was chosen");
}

#[test]
fn data_and_embeddings_that_do_not_belong_together() {
    let folder = tempfile::tempdir().unwrap();
    let select = |out: &str| Select::new(folder.path(), out);
    let (rows, data) = (rows(), folder.path().join("short.jsonl"));
    pools::write(folder.path(), "short.jsonl", &rows[..59]);
    let data = format!("--data={}", data.display());
    select("out").with(&[&data]).refuse(&["rows.npy has 60 rows", "short.jsonl has 59"]);

    let mut broken = rows.clone();
    broken[7] = "{".to_owned();
    pools::write(folder.path(), "short.jsonl", &broken);
    select("out").with(&[&data]).refuse(&["line 8"]);
    select("out").with(&[&data, "--skip-bad-rows"]).refuse(&["1 rows", "without the ids"]);

    let parquet =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/embeddings/tests/fixtures/large.parquet");
    let parquet = format!("--embeddings={parquet}");
    select("out").with(&[&parquet]).refuse(&["row 0", "`r0`", "no embedding", "--in-order"]);
    select("out").with(&[&parquet, "--in-order"]).refuse(&["has 7 rows", "has 60"]);
    pools::write(folder.path(), "short.jsonl", &rows[..7]);
    let run = select("out").with(&[&data, &parquet, "--in-order", "--budget=2"]).succeed();
    assert_eq!(run.scores()[6]["id"], "r6");
    let named = |count: usize| -> Vec<String> {
        (0..count).map(|n| rows[n].replace(&format!("\"r{n}\""), &format!("\"row {n}\""))).collect()
    };
    pools::write(folder.path(), "short.jsonl", &named(6));
    select("out").with(&[&data, &parquet, "--budget=2"]).refuse(&["row 6", "`row 6`", "no row"]);
    pools::write(folder.path(), "short.jsonl", &named(7));
    let run = select("out").with(&[&data, &parquet, "--budget=2"]).succeed();
    assert_eq!(run.selected().len(), 2);
    // With ids, rows that cannot be read may be missing from both.
    let mut broken = named(7);
    broken.push("{".to_owned());
    pools::write(folder.path(), "short.jsonl", &broken);
    let run = select("out").with(&[&data, &parquet, "--budget=2", "--skip-bad-rows"]).succeed();
    assert_eq!((run.count("read"), run.count("rejected")), (8, 1));
}

#[test]
fn rows_that_are_no_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.npy");
    Embeddings::from_rows(embeddings(), COLUMNS, None).unwrap().write_npy(&path).unwrap();
    let mut file = fs::read(&path).unwrap();
    let at = file.len() - 4 * COLUMNS * (ROWS - 17);
    file[at..at + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, file).unwrap();
    let flag = format!("--embeddings={}", path.display());
    Select::new(folder.path(), "out").with(&[&flag]).refuse(&["nan.npy", "row 17 holds NaN"]);
    for name in ["fortran.npy", "integers.npy", "nothing.npy"] {
        let path =
            format!("{}/../crates/embeddings/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        Select::bare(folder.path(), "out").with(&[&format!("--embeddings={path}")]).refuse(&[name]);
    }
    let zero: Vec<f32> =
        (0..ROWS).flat_map(|n| if n == 9 { [0.0; 4] } else { embedding(n) }).collect();
    let path = folder.path().join("zero.npy");
    Embeddings::from_rows(zero, COLUMNS, None).unwrap().write_npy(&path).unwrap();
    let flag = format!("--embeddings={}", path.display());
    // A row without a direction is one like others to k-center.
    Select::new(folder.path(), "out").with(&[&flag, "--metric=cosine"]).succeed();
}

#[test]
fn qualities_that_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, lines: &[String], flags: &[&str], parts: &[&str]| {
        let file = write(&folder.path().join(name), &lines.join("\n"));
        let quality = format!("--quality={file}");
        let select = Select::new(folder.path(), "out").with(&["--strategy=qdit", &quality]);
        select.with(flags).refuse(parts);
    };
    let numbers = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    let with = |place: usize, text: &str| {
        let mut lines = numbers(ROWS);
        lines[place] = text.to_owned();
        lines
    };
    refused("q.txt", &numbers(59), &[], &["q.txt has 59 qualities", "60 rows"]);
    refused("q.txt", &with(4, "good"), &[], &["line 5 is `good`"]);
    refused("q.txt", &with(4, "NaN"), &[], &["row 4 (`r4`) has no finite quality"]);
    refused("q.txt", &numbers(ROWS), &["--alpha=1.5"], &["`alpha` is 1.5", "from 0 to 1"]);
    refused("q.txt", &numbers(ROWS), &["--quality-field=x"], &["q.txt is no .jsonl file"]);

    let object = |n: usize| format!(r#"{{"id":"r{n}","quality":{n},"ifd":null}}"#);
    let with = |place: usize, text: &str| {
        let mut lines: Vec<String> = (0..ROWS).map(object).collect();
        lines[place] = text.to_owned();
        lines
    };
    let good = with(0, &object(0));
    refused("q.jsonl", &good, &["--quality-field=ifd"], &["row 0 (`r0`) has no finite quality"]);
    refused("q.jsonl", &good, &["--quality-field=x"], &["line 1 has no field `x`"]);
    refused("q.jsonl", &with(2, "{"), &[], &["line 3"]);
    refused("q.jsonl", &with(2, r#"{"quality":1}"#), &[], &["line 3 has no `id`"]);
    refused("q.jsonl", &with(2, &object(3)), &[], &["line 4 has the id `r3` again"]);
    refused("q.jsonl", &with(2, &object(99)), &[], &["no quality of row 2 (`r2`)"]);
    refused("q.jsonl", &with(2, r#"{"id":"r2","quality":"x"}"#), &[], &["line 3", "\"x\""]);
    let missing = folder.path().join("missing.txt");
    let quality = format!("--quality={}", missing.display());
    Select::new(folder.path(), "out").with(&["--strategy=qdit", &quality]).refuse(&["missing.txt"]);
}

#[test]
fn inputs_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    Select::new(folder.path(), "out").succeed();
    let data = folder.path().join("out/selected.jsonl");
    fs::copy(folder.path().join("rows.jsonl"), &data).unwrap();
    let select = Select::new(folder.path(), "out").with(&[&format!("--data={}", data.display())]);
    select.refuse(&["would be overwritten", "another --out"]);
}
