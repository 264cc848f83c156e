//! A whole data set into a store.

use std::path::Path;

use serde_json::json;
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Content, Dataset, ReadOptions};
use tamis_ifd_scoring::{IfdScorer, Measures, Preset, Ratio, ScoreParams, read_scores};
use tamis_model::DType;

use crate::common::{assert_close, model, pool, short, tokenizer};

/// A file with the rows of [`pool`] and some that cannot be scored.
pub(crate) fn write_pool(path: &Path, count: usize) {
    let mut text = String::new();
    for sample in pool(count) {
        let Content::Instruction { instruction, input, output } = sample.content else { continue };
        let output = if sample.index % 9 == 4 { String::new() } else { output };
        let row = json!({ "id": sample.id, "instruction": instruction, "input": input, "output": output });
        text.push_str(&row.to_string());
        text.push('\n');
    }
    std::fs::write(path, text).unwrap();
}

pub(crate) fn params() -> ScoreParams {
    ScoreParams {
        shard_rows: 6,
        token_budget: 600,
        measures: Measures::ALL,
        ..short(Preset::Reflection.scoring())
    }
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
    write_pool(&file, 20);
    let dataset = Dataset::open(&file, &ReadOptions::default()).unwrap();
    let model = model("begins", DType::F32);
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("begins"), params()).unwrap();
    let dir = folder.path().join("terms");

    let mut told = Told::default();
    let report = scorer.run(&dataset, &dir, &mut told).unwrap();
    assert_eq!((report.rows, report.resumed), (20, 0));
    assert_eq!((told.total, told.before, told.now), (20, 0, 20));
    let stored = read_scores(&dir, Ratio::Perplexity).unwrap();
    let held = scorer.score(&dataset.read_range(0..20).unwrap()).unwrap();
    assert_close(&stored, &held, 2e-6);
    for (stored, held) in stored.iter().zip(&held) {
        assert_eq!(stored.ifd().reason(), held.ifd().reason());
        assert_eq!(stored.index, held.index);
    }
    // Any ratio can be made of the same terms.
    let ratio = read_scores(&dir, Ratio::Loss).unwrap();
    let terms = ratio[0].answer.clone();
    let quotient = terms.conditional.value().unwrap().loss / terms.direct.value().unwrap().loss;
    assert_eq!(ratio[0].ifd().value().unwrap(), quotient);

    let report = scorer.run(&dataset, &dir, &mut NoProgress).unwrap();
    assert_eq!((report.resumed, report.texts), (20, 0));

    // What an interrupted pass leaves is not taken for all.
    let journal = std::fs::read_to_string(dir.join("journal.jsonl")).unwrap();
    let part: String = journal.split_inclusive('\n').take(2).collect();
    std::fs::write(dir.join("journal.jsonl"), part).unwrap();
    assert!(read_scores(&dir, Ratio::Perplexity).unwrap_err().to_string().contains("unfinished"));
    let report = scorer.run(&dataset, &dir, &mut NoProgress).unwrap();
    assert_eq!(report.resumed, 12);
    assert_eq!(read_scores(&dir, Ratio::Perplexity).unwrap(), stored);
}

#[test]
fn a_damaged_shard_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pool.jsonl");
    write_pool(&file, 8);
    let dataset = Dataset::open(&file, &ReadOptions::default()).unwrap();
    let model = model("plain", DType::F32);
    let scorer = IfdScorer::new(model.as_ref(), tokenizer("plain"), params()).unwrap();
    let dir = folder.path().join("terms");
    scorer.run(&dataset, &dir, &mut NoProgress).unwrap();
    let shard = dir.join("terms-00001.jsonl");
    let mut bytes = std::fs::read(&shard).unwrap();
    bytes[10] ^= 1;
    std::fs::write(&shard, bytes).unwrap();
    let message = read_scores(&dir, Ratio::Perplexity).unwrap_err().to_string();
    assert!(message.contains("terms-00001.jsonl"), "{message}");
}
