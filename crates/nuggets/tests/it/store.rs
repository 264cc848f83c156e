//! A whole pool into a store.

use std::path::Path;

use serde_json::json;
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Content, Dataset, ReadOptions, Sample};
use tamis_model::DType;
use tamis_nuggets::{GoldenParams, GoldenScorer, read_scores};

use crate::common::{apart, model, pool, short, tokenizer};

/// A file with the rows of [`pool`], some without an answer and some that are too long.
pub(crate) fn write_pool(path: &Path, count: usize) {
    let mut text = String::new();
    for sample in pool(0, count) {
        let Content::Instruction { instruction, output, .. } = sample.content else { continue };
        let instruction = if sample.index % 11 == 7 { instruction.repeat(20) } else { instruction };
        let output = if sample.index % 9 == 4 { String::new() } else { output };
        let row = json!({ "id": sample.id, "instruction": instruction, "output": output });
        text.push_str(&row.to_string());
        text.push('\n');
    }
    std::fs::write(path, text).unwrap();
}

pub(crate) fn anchors() -> Vec<Sample> {
    pool(60, 5)
}

pub(crate) fn params() -> GoldenParams {
    GoldenParams { shard_rows: 4, token_budget: 90, ..short("llama") }
}

#[derive(Default)]
struct Told {
    total: u64,
    before: u64,
    now: u64,
}

impl Progress for Told {
    fn start(&mut self, stage: &Stage<'_>) {
        (self.total, self.before) = (stage.total, stage.done);
    }
    fn advance(&mut self, by: u64) {
        self.now += by;
    }
}

#[test]
fn a_store_holds_what_memory_would_and_is_not_computed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.jsonl");
    write_pool(&file, 14);
    let dataset = Dataset::open(&file, &ReadOptions::default()).unwrap();
    let model = model("llama", DType::F32);
    let usual =
        GoldenScorer::new(model.as_ref(), tokenizer("llama"), params(), &anchors()).unwrap();
    let dir = folder.path().join("rises");

    let mut told = Told::default();
    let report = usual.run(&dataset, &dir, &mut told).unwrap();
    assert_eq!((report.rows, report.resumed), (14, 0));
    assert_eq!((told.total, told.before, told.now), (14, 0, 14));
    let stored = read_scores(&dir).unwrap();
    let held = usual.score(&dataset.read_range(0..14).unwrap()).unwrap();
    assert!(apart(stored.candidates(), &held) <= 1e-5);
    assert_eq!(stored.anchors(), usual.anchors().unwrap());
    let scored = held.iter().filter(|candidate| candidate.rises.is_ok()).count();
    assert_eq!((report.texts, scored), (11, 11));

    let mut told = Told::default();
    let report = usual.run(&dataset, &dir, &mut told).unwrap();
    assert_eq!((report.resumed, report.texts, told.before), (14, 0, 14));

    // What an interrupted pass leaves is not taken for all: the anchors and one shard.
    let journal = std::fs::read_to_string(dir.join("journal.jsonl")).unwrap();
    let part: String = journal.split_inclusive('\n').take(2).collect();
    std::fs::write(dir.join("journal.jsonl"), part).unwrap();
    assert!(read_scores(&dir).unwrap_err().to_string().contains("unfinished"));
    let report = usual.run(&dataset, &dir, &mut NoProgress).unwrap();
    assert_eq!(report.resumed, 4);
    assert_eq!(read_scores(&dir).unwrap().candidates(), stored.candidates());
}

#[test]
fn a_damaged_shard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.jsonl");
    write_pool(&file, 6);
    let dataset = Dataset::open(&file, &ReadOptions::default()).unwrap();
    let model = model("llama", DType::F32);
    let scorer =
        GoldenScorer::new(model.as_ref(), tokenizer("llama"), params(), &anchors()).unwrap();
    let dir = folder.path().join("rises");
    scorer.run(&dataset, &dir, &mut NoProgress).unwrap();
    let shard = dir.join("rises-00001.jsonl");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let message = read_scores(&dir).unwrap_err().to_string();
    assert!(message.contains("rises-00001.jsonl"), "{message}");
}
