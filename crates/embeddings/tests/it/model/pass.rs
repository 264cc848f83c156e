//! A whole data set into a store.

use std::path::Path;

use serde_json::json;
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Content, Dataset, ReadOptions};
use tamis_embeddings::{Embedder, Embeddings};
use tamis_model::{DType, Pool};

use super::{difference, encoder, model, params, samples};

/// A file with the rows of [`samples`], every ninth without an answer.
pub(super) fn write_pool(path: &Path, count: usize) {
    let mut text = String::new();
    for sample in samples(count) {
        let Content::Instruction { instruction, output, .. } = sample.content else { continue };
        let output = if sample.index % 9 == 4 { String::new() } else { output };
        let row =
            json!({ "id": sample.id, "instruction": instruction, "input": "", "output": output });
        text.push_str(&row.to_string());
        text.push('\n');
    }
    std::fs::write(path, text).unwrap();
}

#[derive(Default)]
struct Told(u64, u64, u64);

impl Progress for Told {
    fn start(&mut self, stage: &Stage<'_>) {
        assert_eq!((stage.name, stage.unit), ("embeddings", "rows"));
        (self.0, self.1) = (stage.total, stage.done);
    }
    fn advance(&mut self, by: u64) {
        self.2 += by;
    }
}

#[test]
fn a_store_holds_what_memory_would_and_is_not_computed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.jsonl");
    write_pool(&file, 20);
    let dataset = Dataset::open(&file, &ReadOptions::default()).unwrap();
    let (model, encoder, params) =
        (model("begins", DType::F32), encoder("begins"), params(Pool::All, 200));
    let embedder = Embedder::new(model.as_ref(), &encoder, &params).unwrap();
    let dir = folder.path().join("embeddings");

    let mut told = Told::default();
    let report = embedder.run(&dataset, &dir, &mut told).unwrap();
    assert_eq!((report.rows, report.resumed), (20, 0));
    assert_eq!((report.texts, report.skipped), (18, 2));
    assert_eq!((told.0, told.1, told.2), (20, 0, 20));

    let stored = Embeddings::open(&dir).unwrap();
    assert!(stored.is_mapped());
    assert_eq!((stored.len(), stored.columns()), (18, 16));
    let held = embedder.embed(&dataset.read_range(0..20).unwrap()).unwrap();
    let held: Vec<_> = held.into_iter().filter_map(tamis_dataset::Outcome::scored).collect();
    assert_eq!(held.len(), 18);
    for (row, held) in held.iter().enumerate() {
        assert_eq!(stored.ids().unwrap()[row], held.id.as_str());
        assert_eq!(stored.indices().unwrap()[row], held.index);
        let mut scratch = Vec::new();
        assert!(difference(&held.values, stored.block(row, 1, &mut scratch)) < 3e-6);
    }
    let skipped: Vec<_> =
        stored.skipped().iter().map(|s| (s.id.as_str(), s.index, s.reason.as_str())).collect();
    assert_eq!(skipped, [("s4", 4, "empty_target"), ("s13", 13, "empty_target")]);

    let report = embedder.run(&dataset, &dir, &mut NoProgress).unwrap();
    assert_eq!((report.resumed, report.texts, report.tokens), (20, 0, 0));
    // What an interrupted pass leaves is not taken for all.
    let journal = std::fs::read_to_string(dir.join("journal.jsonl")).unwrap();
    let part: String = journal.split_inclusive('\n').take(1).collect();
    std::fs::write(dir.join("journal.jsonl"), part).unwrap();
    assert!(Embeddings::open(&dir).unwrap_err().to_string().contains("unfinished"));
    let report = embedder.run(&dataset, &dir, &mut NoProgress).unwrap();
    assert_eq!((report.resumed, report.rows), (6, 20));
}

#[test]
fn an_estimate_counts_what_will_be_read() {
    let (model, encoder, params) =
        (model("begins", DType::F32), encoder("begins"), params(Pool::All, 200));
    let embedder = Embedder::new(model.as_ref(), &encoder, &params).unwrap();
    let samples = samples(12);
    let tokens: usize = encoder
        .encode_all(&samples)
        .iter()
        .filter_map(|outcome| outcome.as_scored().map(tamis_dataset::Encoded::len))
        .sum();
    let estimate = embedder.estimate(&samples, 24).unwrap();
    let read = estimate.total("tokens to read").unwrap();
    assert!((read - 2.0 * tokens as f64).abs() < 1e-9);
    // Two blocks of width 16, inner 24, two query heads and one of keys and values of 8 each.
    let weights = 2 * (16 * 16 + 2 * 8 * 16 + 16 * 16 + 3 * 16 * 24);
    assert!((estimate.total_flops().unwrap() - 2.0 * read * f64::from(weights)).abs() < 1e-6);
    assert_eq!(estimate.total_disk().0, 24 * 16 * 4);
    assert!(estimate.to_string().starts_with("24 rows, "), "{estimate}");
}
