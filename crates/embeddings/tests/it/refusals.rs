//! What is refused, and what the refusal says.

use std::fs;
use std::path::Path;

use tamis_embeddings::{Embeddings, EmbeddingsError};

use crate::{fixture, matrix};

fn refusal(path: &Path) -> String {
    Embeddings::open(path).unwrap_err().to_string()
}

#[test]
fn files_cut_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["v1.npy", "v2.npy", "f2.npy", "f32.safetensors", "list.parquet"] {
        let whole = fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let refused = refusal(&path);
            assert!(refused.contains(name), "{refused}");
            // Where the header is whole it says how long the file should be.
            if name == "v1.npy" && length >= 128 {
                let said = format!("{length} bytes, but its header promises 268; it is truncated");
                assert!(refused.contains(&said), "{refused}");
            }
        }
        fs::write(&path, &whole).unwrap();
        Embeddings::open(&path).unwrap();
    }
    let path = folder.path().join("v1.npy");
    let mut longer = fs::read(&path).unwrap();
    longer.push(0);
    fs::write(&path, longer).unwrap();
    assert!(refusal(&path).contains("longer than one array"));
}

#[test]
fn headers_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npy");
    let write = |version: u8, header: &[u8]| {
        let mut file = b"\x93NUMPY".to_vec();
        file.extend([version, 0]);
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header);
        file.extend([0; 16]);
        fs::write(&path, file).unwrap();
    };
    for (header, part) in [
        ("", "character 0 of its header `` should be `{`"),
        ("{'descr': '<f4', 'shape': (2, 2)}", "no entry `fortran_order`"),
        ("{'descr': '<f4', 'fortran_order': False}", "no entry `shape`"),
        ("{'fortran_order': False, 'shape': (2, 2)}", "no entry `descr`"),
        ("{'descr': '<f4', 'colour': 'red'}", "an entry `colour`"),
        ("{'descr': '<f4", "a text that ends"),
        ("{'descr': ['<f4'", "a list that ends"),
        ("{'descr': 4}", "should be a text"),
        ("{'fortran_order': 0}", "should be True or False"),
        ("{'shape': 4}", "should be `(`"),
        ("{'shape': (4.5, 2)}", "should be `)`"),
        ("{'shape': (-1, 2)}", "should be a whole number"),
        ("{'shape': (99999999999999999999999, 2)}", "should be a whole number"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2) ", "should be `}`"),
        (
            "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9), }",
            "fits into no file",
        ),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (), }", "the shape []"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", "the shape [5]"),
        ("{'descr': '<é4', 'fortran_order': False, 'shape': (2, 2), }", "`<é4`"),
    ] {
        write(1, header.as_bytes());
        let refused = refusal(&path);
        assert!(refused.contains(part), "{header}: {refused}");
    }
    write(1, b"{'descr': '\xff'}");
    assert!(refusal(&path).contains("not text"));
    write(9, b"{}");
    assert!(refusal(&path).contains("version 9.0"));
    fs::write(&path, b"PAR1").unwrap();
    assert!(refusal(&path).contains("does not begin as one"));
    // Its own way of writing is read.
    write(1, b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2)}");
    Embeddings::open(&path).unwrap();
}

#[test]
fn names_and_folders() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, b"?").unwrap();
        path
    };
    assert!(refusal(&file("x.csv")).contains("`.csv` is not known"));
    assert!(refusal(&file("x")).contains("no ending"));
    assert!(refusal(&file("x.npz")).contains("numpy.save"));
    assert!(refusal(&file("x.safetensors")).contains("not a readable .safetensors file"));
    assert!(refusal(&file("x.parquet")).contains("not a readable Parquet file"));
    assert!(refusal(folder.path()).contains("not a store"));
    for name in ["nothing", "nothing.csv", "nothing.npy", "nothing.parquet", "nothing.safetensors"]
    {
        let refused = refusal(&folder.path().join(name));
        assert!(refused.contains("nothing") && refused.contains("o such file"), "{refused}");
    }
    // Endings are told in any case.
    let upper = folder.path().join("X.NPY");
    fs::copy(fixture("v1.npy"), &upper).unwrap();
    Embeddings::open(&upper).unwrap();
}

#[test]
fn rows_that_are_not_finite() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 11, 34] {
            let mut values = matrix();
            values[place] = value;
            // The first of several is told.
            values[34] = value;
            let (row, column) = (place / 5, place % 5);
            let refused = Embeddings::from_rows(values.clone(), 5, None).unwrap_err().to_string();
            let said = format!("row {row} holds {value} in column {column}");
            assert!(refused.contains(&said), "{refused}");
            let ids = (0..7).map(|n| format!("s{n}")).collect();
            let refused = Embeddings::from_rows(values, 5, Some(ids)).unwrap_err().to_string();
            assert!(refused.contains(&format!("row {row} (`s{row}`) holds")), "{refused}");
        }
    }
    // Too great for f32.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f8.npy");
    let mut file = fs::read(fixture("f8.npy")).unwrap();
    let at = file.len() - 8;
    file[at..].copy_from_slice(&1e300_f64.to_le_bytes());
    fs::write(&path, file).unwrap();
    assert!(refusal(&path).contains("row 6 holds inf in column 4"));
}

#[test]
fn a_far_row_of_many() {
    // Beyond what is looked at in one go.
    let mut values = vec![1.0_f32; 3 * (1 << 18)];
    values[700_001] = f32::NAN;
    values[700_002] = f32::NAN;
    let refused = Embeddings::from_rows(values, 3, None).unwrap_err();
    let EmbeddingsError::NonFinite { row, column, .. } = refused else { panic!("{refused}") };
    assert_eq!((row, column), (233_333, 2));
}

#[test]
fn shapes_and_ids_in_memory() {
    let refused = |values: &[f32], columns, ids: Option<&[&str]>| {
        let ids = ids.map(|ids| ids.iter().map(|&id| id.to_owned()).collect());
        Embeddings::from_rows(values.to_vec(), columns, ids).unwrap_err().to_string()
    };
    assert!(refused(&[1.0; 5], 2, None).contains("5 numbers, expected whole rows of 2"));
    assert!(refused(&[1.0; 5], 0, None).contains("whole rows of 0"));
    assert!(refused(&[], 3, None).contains("0 rows of 3 columns"));
    assert!(refused(&[1.0; 4], 2, Some(&["a"])).contains("1 ids, expected one for each of 2 rows"));
    assert!(refused(&[1.0; 4], 2, Some(&["a", "a"])).contains("rows 0 and 1 both have the id `a`"));
}

#[test]
fn a_file_that_cannot_be_written_leaves_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let embeddings = Embeddings::open(fixture("v1.npy")).unwrap();
    let nowhere = folder.path().join("missing/x.npy");
    let refused = embeddings.write_npy(&nowhere).unwrap_err().to_string();
    assert!(refused.contains("cannot write") && refused.contains("missing/x.npy"), "{refused}");
    let path = folder.path().join("x.npy");
    embeddings.write_npy(&path).unwrap();
    // Writing over what is mapped renames: the mapping keeps the old rows.
    let mapped = Embeddings::open(&path).unwrap();
    Embeddings::from_rows(vec![9.0; 4], 2, None).unwrap().write_npy(&path).unwrap();
    assert_eq!(mapped.contiguous(), matrix());
    assert_eq!(Embeddings::open(&path).unwrap().len(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}
