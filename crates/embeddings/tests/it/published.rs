//! Files that numpy, safetensors and pyarrow wrote.

use tamis_embeddings::{Embeddings, OpenOptions};

use crate::{SHAPE, fixture, matrix, rows};

fn options(tensor: Option<&str>, column: Option<&str>, id_column: Option<&str>) -> OpenOptions {
    let own = |name: Option<&str>| name.map(str::to_owned);
    OpenOptions { tensor: own(tensor), column: own(column), id_column: own(id_column) }
}

#[test]
fn every_file_holds_the_same_rows() {
    for (name, mapped) in [
        ("v1.npy", true),
        ("v2.npy", true),
        ("v3.npy", true),
        ("f2.npy", false),
        ("f8.npy", false),
        ("f32.safetensors", true),
        ("f16.safetensors", false),
        ("bf16.safetensors", false),
        ("f64.safetensors", false),
        ("list.parquet", false),
        ("large.parquet", false),
        ("fixed.parquet", false),
    ] {
        let embeddings = Embeddings::open(fixture(name)).unwrap();
        assert_eq!((embeddings.len(), embeddings.columns()), SHAPE, "{name}");
        assert_eq!(rows(&embeddings), matrix(), "{name}");
        assert_eq!(embeddings.is_mapped(), mapped, "{name}");
        assert_eq!(embeddings.path(), fixture(name));
        assert!(!embeddings.is_empty() && embeddings.skipped().is_empty());
        assert_eq!(embeddings.indices(), None);
    }
}

#[test]
fn ids_come_from_parquet() {
    let ids = |name: &str, id_column| {
        let options = options(None, (name == "two.parquet").then_some("a"), id_column);
        Embeddings::open_with(fixture(name), &options).unwrap().ids().map(<[String]>::to_vec)
    };
    let named: Vec<String> = (0..7).map(|n| format!("row {n}")).collect();
    assert_eq!(ids("large.parquet", None), Some(named.clone()));
    assert_eq!(ids("fixed.parquet", None), Some((100..107).map(|n| n.to_string()).collect()));
    assert_eq!(ids("list.parquet", None), None);
    assert_eq!(ids("list.parquet", Some("text")), Some(named.clone()));
    assert_eq!(ids("two.parquet", Some("name")), Some(named));
    let embeddings = Embeddings::open(fixture("large.parquet")).unwrap();
    assert_eq!(embeddings.name(3), "row 3 (`row 3`)");
    assert_eq!(Embeddings::open(fixture("v1.npy")).unwrap().name(3), "row 3");
}

#[test]
fn one_of_several_is_named() {
    let twice: Vec<f32> = matrix().iter().map(|x| 2.0 * x).collect();
    let open = |name, options| Embeddings::open_with(fixture(name), &options).unwrap();
    let tensor = |name| options(Some(name), None, None);
    assert_eq!(rows(&open("two.safetensors", tensor("first"))), matrix());
    assert_eq!(rows(&open("two.safetensors", tensor("second"))), twice);
    let column = |name| options(None, Some(name), None);
    assert_eq!(rows(&open("two.parquet", column("a"))), matrix());
    assert_eq!(rows(&open("two.parquet", column("b"))), twice);
}

#[test]
fn what_cannot_be_read_says_why() {
    for (name, parts) in [
        ("fortran.npy", ["Fortran order", "numpy.ascontiguousarray"].as_slice()),
        ("big-endian.npy", &["`>f4`", "astype('<f4')"]),
        ("integers.npy", &["`<i4`", "floating point"]),
        ("records.npy", &["[('a', '<f4'), ('b', '<i4', (2,))]"]),
        ("flat.npy", &["shape [35]", "(rows, columns)"]),
        ("cube.npy", &["shape [1, 7, 5]"]),
        ("two.safetensors", &["2 tensors", "`first` F32 [7, 5], `labels` I64 [7], `second`"]),
        ("none.safetensors", &["no tensor of two dimensions", "`labels` I64 [1, 7]"]),
        ("two.parquet", &["2 columns", "`name`", "`a`", "`b`"]),
        ("ragged.parquet", &["row 4 of column `e`", "3 numbers", "have 5"]),
        ("hole.parquet", &["row 4 of column `e`", "no value"]),
        ("null.parquet", &["row 4 of column `e`", "no number in column 2"]),
        ("float-ids.parquet", &["column `id`", "Float64", "another id column"]),
        ("missing-id.parquet", &["row 3 of column `id`", "no value"]),
        ("same-id.parquet", &["rows 1 and 5", "`row 1`"]),
    ] {
        let refused = Embeddings::open(fixture(name)).unwrap_err().to_string();
        for part in [name].iter().chain(parts) {
            assert!(refused.contains(part), "{name}: {refused}");
        }
    }
    for (name, options, part) in [
        ("two.safetensors", options(Some("third"), None, None), "no tensor `third`"),
        ("two.safetensors", options(Some("labels"), None, None), "tensor `labels` holds I64"),
        ("f32.safetensors", options(Some("norms"), None, None), "tensor `norms` has the shape [7]"),
        ("two.parquet", options(None, Some("c"), None), "no column `c`"),
        ("two.parquet", options(None, Some("name"), None), "expected lists"),
        ("two.parquet", options(None, Some("a"), Some("b")), "column `b` holds"),
        ("two.parquet", options(None, Some("a"), Some("c")), "no column `c`"),
        ("two.parquet", options(Some("a"), None, None), "only .safetensors files have"),
        ("v1.npy", options(None, Some("a"), None), "only Parquet files have"),
        ("two.safetensors", options(Some("first"), None, Some("id")), "only Parquet files have"),
    ] {
        let refused = Embeddings::open_with(fixture(name), &options).unwrap_err().to_string();
        assert!(refused.contains(part), "{name}: {refused}");
    }
}
