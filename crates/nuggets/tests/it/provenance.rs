//! Whatever decides the rises is in the folder's manifest, without anybody giving it; rows that are in no file.

use std::fs;

use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{DatasetError, Sample, Source, Template, TextTokenizer};
use tamis_model::{CausalLm, DType};
use tamis_nuggets::{GoldenParams, GoldenScorer, read_scores};

use crate::common::{apart, folder, model, pool, tokenizer};
use crate::store::{anchors, params};

#[test]
fn another_ingredient_is_refused_by_its_name() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("rises");
    let (usual, rows) = (model("llama", DType::F32), pool(0, 5));
    let words = || tokenizer("llama");
    let run = |model: &dyn CausalLm,
               words: TextTokenizer,
               params,
               anchors: &[Sample],
               rows: &[Sample]| {
        let scorer = GoldenScorer::new(model, words, params, anchors).unwrap();
        scorer.run(&rows, &dir, &mut NoProgress)
    };
    run(&*usual, words(), params(), &anchors(), &rows).unwrap();
    // Nothing differs: resumed.
    assert_eq!(run(&*usual, words(), params(), &anchors(), &rows).unwrap().resumed, 5);

    let space = Some(" ".to_owned());
    for (other, field) in [
        (GoldenParams { separator: space, ..params() }, "`settings.separator`"),
        (GoldenParams { max_length: 60, ..params() }, "`settings.max_length`"),
        (GoldenParams { token_budget: 91, ..params() }, "`settings.token_budget`"),
        (GoldenParams { shard_rows: 3, ..params() }, "`settings.shard_rows`"),
    ] {
        let error = run(&*usual, words(), other, &anchors(), &rows).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
    let refused =
        |model: &dyn CausalLm, words, anchors: &[Sample], rows: &[Sample], field: &str| {
            let error = run(model, words, params(), anchors, rows).unwrap_err().to_string();
            assert!(error.contains(field), "{field}: {error}");
        };
    refused(&*usual, words(), &pool(61, 5), &rows, "`made_from.anchors.content`");
    refused(&*usual, words(), &anchors()[1..], &rows, "`made_from.anchors.rows`");
    refused(&*usual, words(), &anchors(), &pool(1, 5), "`source.content`");
    refused(&*usual, words(), &anchors(), &rows[..4], "`source.rows`");
    // A byte more in a file of the tokenizer.
    let copy = temporary.path().join("tokenizer");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(folder("llama")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let file = copy.join("tokenizer.json");
    fs::write(&file, fs::read_to_string(&file).unwrap() + "\n").unwrap();
    let longer = TextTokenizer::from_dir(&copy).unwrap();
    refused(&*usual, longer, &anchors(), &rows, "`encoder.tokenizer`");
    refused(&*model("llama", DType::F64), words(), &anchors(), &rows, "`settings.compute_type`");
    refused(&*model("llama-tied", DType::F32), words(), &anchors(), &rows, "`model.");
    let weight = usual.parameters().get("model.norm.weight").unwrap();
    let _ = tch::no_grad(|| weight.shallow_clone().fill_(0.5));
    refused(&*usual, words(), &anchors(), &rows, "`model.weights`");
}

/// Sums, made as they are asked for.
struct Sums(usize);

impl Source for Sums {
    fn len(&self) -> usize {
        self.0
    }
    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        let sample = |&n: &usize| {
            Sample::instruction(format!("{n} + {n}"), (2 * n).to_string())
                .with_id(format!("sum-{n}"))
        };
        Ok(positions.iter().map(sample).collect())
    }
    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(format!("sums up to {}", self.0)))
    }
}

#[test]
fn rows_need_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let model = model("begins", DType::F32);
    let params =
        GoldenParams { template: Template::None, max_length: 320, shard_rows: 4, ..params() };
    let anchors = pool(60, 3);
    let scorer = GoldenScorer::new(&*model, tokenizer("begins"), params, &anchors).unwrap();
    let report = scorer.run(&Sums(9), dir.path().join("rises"), &mut NoProgress).unwrap();
    assert_eq!((report.rows, report.texts), (9, 9));
    let stored = read_scores(dir.path().join("rises")).unwrap();
    let held = scorer.score(&Sums(9).read_range(0..9).unwrap()).unwrap();
    assert_eq!(stored.candidates()[8].id.as_str(), "sum-8");
    assert!(apart(stored.candidates(), &held) < 1e-5);
    // Rows that share an id could not be told apart.
    let twice = vec![Sample::instruction("a", "b").with_id("x"); 2];
    let error = scorer.run(&twice, dir.path().join("twice"), &mut NoProgress).unwrap_err();
    assert!(error.to_string().contains("has the id `x`"), "{error}");
}
