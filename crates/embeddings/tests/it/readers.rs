//! Every reader gives the same rows, whatever they are.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{
    ArrayRef, FixedSizeListArray, LargeListArray, ListArray, RecordBatch, StringArray,
};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};
use tamis_artifact::Provenance;
use tamis_embeddings::{EmbeddingStore, Embeddings, Shard};

use crate::rows;

/// A `.npy` file by hand, with as much padding as it is given.
fn npy(path: &Path, descr: &str, shape: (usize, usize), padding: usize, array: &[u8]) {
    let header = format!(
        "{{\"shape\":({}L , {}),'fortran_order' :False,'descr': '{descr}'}}{}\n",
        shape.0,
        shape.1,
        " ".repeat(padding)
    );
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(array);
    fs::write(path, file).unwrap();
}

/// A `.safetensors` file by hand, whose numbers begin wherever the header happens to end.
fn safetensors_unpadded(path: &Path, shape: (usize, usize), array: &[u8]) {
    let header = format!(
        r#"{{"e":{{"dtype":"F32","shape":[{},{}],"data_offsets":[0,{}]}}}}"#,
        shape.0,
        shape.1,
        array.len()
    );
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(array);
    fs::write(path, file).unwrap();
}

fn safetensors_file(path: &Path, dtype: Dtype, shape: (usize, usize), array: &[u8]) {
    let view = TensorView::new(dtype, vec![shape.0, shape.1], array).unwrap();
    let none: Option<HashMap<String, String>> = None;
    fs::write(path, safetensors::serialize([("e", view)], none).unwrap()).unwrap();
}

fn parquet_file(path: &Path, lists: ArrayRef) {
    let ids: Vec<String> = (0..lists.len()).map(|n| format!("id {n}")).collect();
    let ids: ArrayRef = Arc::new(StringArray::from(ids));
    let batch = RecordBatch::try_from_iter([("e", lists), ("id", ids)]).unwrap();
    let mut writer =
        ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// The same rows in every layout.
fn write_all(folder: &Path, values: &[f32], columns: usize, shard: usize) -> Vec<PathBuf> {
    let shape = (values.len() / columns, columns);
    let single: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let double: Vec<u8> = values.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
    let own = Embeddings::from_rows(values.to_vec(), columns, None).unwrap();
    own.write_npy(folder.join("own.npy")).unwrap();
    for padding in 0..4 {
        npy(&folder.join(format!("hand{padding}.npy")), "<f4", shape, padding, &single);
    }
    npy(&folder.join("double.npy"), "<f8", shape, 0, &double);
    safetensors_file(&folder.join("single.safetensors"), Dtype::F32, shape, &single);
    safetensors_file(&folder.join("double.safetensors"), Dtype::F64, shape, &double);
    safetensors_unpadded(&folder.join("unpadded.safetensors"), shape, &single);

    let singles = || values.chunks(columns).map(|row| Some(row.iter().copied().map(Some)));
    let doubles =
        || values.chunks(columns).map(|row| Some(row.iter().map(|&x| Some(f64::from(x)))));
    let list = ListArray::from_iter_primitive::<Float32Type, _, _>(singles());
    parquet_file(&folder.join("list.parquet"), Arc::new(list));
    let large = LargeListArray::from_iter_primitive::<Float64Type, _, _>(doubles());
    parquet_file(&folder.join("large.parquet"), Arc::new(large));
    let fixed =
        FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(singles(), columns as i32);
    parquet_file(&folder.join("fixed.parquet"), Arc::new(fixed));

    let mut store =
        EmbeddingStore::create_or_resume(folder.join("store"), &Provenance::new()).unwrap();
    for (number, rows) in values.chunks(shard * columns).enumerate() {
        let indices: Vec<usize> =
            (0..rows.len() / columns).map(|row| number * shard + row).collect();
        let ids = indices.iter().map(|n| format!("id {n}")).collect();
        let shard = Shard { ids, indices, rows: rows.to_vec(), columns, skipped: Vec::new() };
        store.write(number, &shard).unwrap();
    }
    store.finish().unwrap();
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths: Vec<PathBuf> = entries.collect();
    assert_eq!(paths.len(), 13);
    paths
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn the_same_bits_from_every_reader(
        bits in prop::collection::vec(any::<u32>(), 1..400),
        columns in 1..12usize,
        shard in 1..9usize,
    ) {
        // Any finite number there is: negative zero, the smallest, the greatest.
        let finite = |bits: u32| f32::from_bits(bits & !(1 << 23));
        let mut values: Vec<f32> = bits.into_iter().map(finite).collect();
        values.truncate(values.len() / columns * columns);
        prop_assume!(!values.is_empty());
        let folder = tempfile::tempdir().unwrap();
        let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        for path in write_all(folder.path(), &values, columns, shard) {
            let embeddings = Embeddings::open(&path).unwrap();
            prop_assert_eq!(embeddings.columns(), columns);
            prop_assert_eq!(bits(&rows(&embeddings)), bits(&values), "{}", path.display());
            if let Some(ids) = embeddings.ids() {
                let expected: Vec<String> = (0..embeddings.len()).map(|n| format!("id {n}")).collect();
                prop_assert_eq!(ids, expected);
            }
        }
    }
}
