//! Whatever decides an embedding is in the folder's manifest, without anybody giving it; rows that are in no file.

use std::fs;

use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{
    DatasetError, EncodeOptions, Encoder, Sample, Source, Template, TextTokenizer, Truncation,
};
use tamis_embeddings::{EmbedParams, Embedder, Embeddings};
use tamis_model::{CausalLm, DType, Pool};

use super::{difference, encoder, encoder_with, folder, model, params, samples};

#[test]
fn another_ingredient_is_refused_by_its_name() {
    let temporary = tempfile::tempdir().unwrap();
    let dir = temporary.path().join("embeddings");
    let (usual, words, rows) = (model("begins", DType::F32), encoder("begins"), samples(8));
    let good = params(Pool::All, 200);
    let run = |model: &dyn CausalLm, encoder: &Encoder, params: &EmbedParams, rows: &[Sample]| {
        Embedder::new(model, encoder, params).unwrap().run(&rows, &dir, &mut NoProgress)
    };
    run(&*usual, &words, &good, &rows).unwrap();
    // Nothing differs: resumed.
    assert_eq!(run(&*usual, &words, &good, &rows).unwrap().resumed, 8);

    let refused = |model: &dyn CausalLm,
                   encoder: &Encoder,
                   params: &EmbedParams,
                   rows: &[Sample],
                   field: &str| {
        let error = run(model, encoder, params, rows).unwrap_err().to_string();
        assert!(error.contains(field), "{field}: {error}");
    };
    refused(&*usual, &words, &params(Pool::Targets, 200), &rows, "`settings.pool`");
    refused(&*usual, &words, &params(Pool::All, 201), &rows, "`settings.token_budget`");
    let shards = EmbedParams { shard_rows: 7, ..good.clone() };
    refused(&*usual, &words, &shards, &rows, "`settings.shard_rows`");
    let options = || EncodeOptions { max_length: 320, ..EncodeOptions::default() };
    for (options, field) in [
        (EncodeOptions { truncation: Truncation::KeepPrefix, ..options() }, "`encoder.truncation`"),
        (EncodeOptions { max_length: 300, ..options() }, "`encoder.max_length`"),
        (EncodeOptions { append_eos: !options().append_eos, ..options() }, "`encoder.append_eos`"),
    ] {
        refused(&*usual, &encoder_with("begins", options), &good, &rows, field);
    }
    let tokenizer = TextTokenizer::from_dir(folder("begins")).unwrap();
    let vicuna = Encoder::new(tokenizer, Template::Vicuna, options()).unwrap();
    refused(&*usual, &vicuna, &good, &rows, "`encoder.template`");
    // A byte more in a file of the tokenizer.
    let copy = temporary.path().join("tokenizer");
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(folder("begins")).unwrap().map(Result::unwrap) {
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let file = copy.join("tokenizer.json");
    fs::write(&file, fs::read_to_string(&file).unwrap() + "\n").unwrap();
    let longer = TextTokenizer::from_dir(&copy).unwrap();
    let longer = Encoder::new(longer, Template::None, options()).unwrap();
    refused(&*usual, &longer, &good, &rows, "`encoder.tokenizer`");
    refused(&*usual, &words, &good, &rows[..7], "`source.rows`");
    let mut changed = rows.clone();
    changed[3].content = rows[2].content.clone();
    refused(&*usual, &words, &good, &changed, "`source.content`");
    refused(&*model("begins", DType::F64), &words, &good, &rows, "`settings.compute_type`");
    let weight = usual.parameters().get("model.norm.weight").unwrap();
    let _ = tch::no_grad(|| weight.shallow_clone().fill_(0.5));
    refused(&*usual, &words, &good, &rows, "`model.weights`");
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
    let dir = dir.path().join("embeddings");
    let (model, encoder, params) =
        (model("begins", DType::F32), encoder("begins"), params(Pool::All, 200));
    let embedder = Embedder::new(&*model, &encoder, &params).unwrap();
    let report = embedder.run(&Sums(9), &dir, &mut NoProgress).unwrap();
    assert_eq!((report.rows, report.texts), (9, 9));
    let (stored, rows) = (Embeddings::open(&dir).unwrap(), Sums(9).read_range(0..9).unwrap());
    assert_eq!(stored.ids().unwrap()[8], "sum-8");
    let mut scratch = Vec::new();
    for (row, held) in embedder.embed(&rows).unwrap().into_iter().enumerate() {
        let held = held.scored().unwrap();
        assert!(difference(&held.values, stored.block(row, 1, &mut scratch)) < 3e-6);
    }
}
