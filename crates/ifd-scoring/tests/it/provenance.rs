//! Whatever decides the terms is in the folder's manifest, without anybody giving it.

use std::fs;

use tamis_artifact::NoProgress;
use tamis_dataset::{Sample, Source, Template, TextTokenizer, Truncation};
use tamis_ifd_scoring::{DirectContext, IfdScorer, Measures, Ratio, ScoreParams};
use tamis_model::{CausalLm, DType};

use crate::common::{folder, model, pool};
use crate::store::params;

#[test]
fn another_ingredient_is_refused_by_its_name() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("terms");
    let (usual, rows) = (model("begins", DType::F32), pool(7));
    let words = || TextTokenizer::from_dir(folder("begins")).unwrap();
    let run = |model: &dyn CausalLm, words: TextTokenizer, params, rows: &dyn Source| {
        IfdScorer::new(model, words, params).unwrap().run(rows, &dir, &mut NoProgress)
    };
    run(&*usual, words(), params(), &rows).unwrap();
    // Nothing differs: resumed. The form of the ratio can be chosen afterwards.
    assert_eq!(run(&*usual, words(), params(), &rows.clone()).unwrap().resumed, 7);
    let loss = ScoreParams { ratio: Ratio::Loss, ..params() };
    assert_eq!(run(&*usual, words(), loss, &rows).unwrap().resumed, 7);

    let table = [
        (ScoreParams { measures: Measures::IFD, ..params() }, "`settings.scoring.measures.r_ifd`"),
        (ScoreParams { template: Template::Alpaca, ..params() }, "`encoder.template`"),
        (ScoreParams { max_length: 300, ..params() }, "`encoder.max_length`"),
        (ScoreParams { truncation: Truncation::RejectCut, ..params() }, "`encoder.truncation`"),
        (
            ScoreParams { request: "What makes one write {response}?".to_owned(), ..params() },
            "`settings.scoring.request`",
        ),
        (
            ScoreParams { direct: DirectContext::Cue, template: Template::Alpaca, ..params() },
            "`settings.scoring.direct`",
        ),
        (ScoreParams { token_budget: 601, ..params() }, "`settings.token_budget`"),
        (ScoreParams { shard_rows: 5, ..params() }, "`settings.shard_rows`"),
    ];
    for (other, field) in table {
        let error = run(&*usual, words(), other, &rows).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    }
    let refused = |model: &dyn CausalLm, words, rows: &Vec<Sample>, field: &str| {
        let error = run(model, words, params(), rows).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    };
    let mut changed = rows.clone();
    changed[3].content = rows[2].content.clone();
    refused(&*usual, words(), &changed, "`source.content`");
    refused(&*usual, words(), &rows[1..].to_vec(), "`source.rows`");
    // A byte more in a file of the tokenizer.
    let copy = temporary.path().join("tokenizer");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(folder("begins")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let file = copy.join("tokenizer.json");
    fs::write(&file, fs::read_to_string(&file).unwrap() + "\n").unwrap();
    refused(&*usual, TextTokenizer::from_dir(&copy).unwrap(), &rows, "`encoder.tokenizer`");
    refused(&*model("begins", DType::F64), words(), &rows, "`settings.scoring.compute_type`");
    refused(&*model("plain", DType::F32), words(), &rows, "`model.");
    let weight = usual.parameters().get("model.norm.weight").unwrap();
    let _ = tch::no_grad(|| weight.shallow_clone().fill_(0.5));
    refused(&*usual, words(), &rows, "`model.weights`");
}
