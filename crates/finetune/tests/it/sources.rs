//! Training from a source of rows: the same weights, and no more rows read than the next steps need.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::json;
use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{
    DatasetError, EncodeOptions, Encoder, Encodings, Reason, Sample, Source, Template,
    TextTokenizer,
};
use tamis_finetune::{CheckpointParams, Checkpoints, FinetuneError, Job, TrainParams, TrainReport};
use tamis_model::DType;

use crate::common::{fixture, llama, settings};

/// Rows that are made as they are asked for, and how many were asked for each time.
struct Made {
    rows: usize,
    name: &'static str,
    asked: Mutex<Vec<usize>>,
}

impl Made {
    fn new(rows: usize, name: &'static str) -> Self {
        Self { rows, name, asked: Mutex::default() }
    }
}

/// Words of the tiny model's vocabulary.
fn words(seed: usize, count: usize) -> String {
    let word = |k| format!("w{}", 1 + (7 * seed + 5 * k + seed * k) % 47);
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

impl Source for Made {
    fn len(&self) -> usize {
        self.rows
    }

    fn read(&self, positions: &[usize]) -> Result<Vec<Sample>, DatasetError> {
        self.asked.lock().unwrap().push(positions.len());
        let sample = |&n: &usize| {
            let answer = match n % 100 {
                7 => String::new(),
                9 => words(n, 60),
                _ => words(n + 3, 2 + n % 3),
            };
            Sample::instruction(words(n, 3), answer).with_id(format!("row-{n}"))
        };
        Ok(positions.iter().map(sample).collect())
    }

    fn fingerprint(&self) -> Result<Fingerprint, DatasetError> {
        Ok(Fingerprint::from(json!({ "made": self.name, "rows": self.rows })))
    }
}

fn encoder(max_length: usize) -> Encoder {
    let vocabulary: BTreeMap<String, usize> = (0..48).map(|n| (format!("w{n}"), n)).collect();
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": { "type": "WhitespaceSplit" },
        "post_processor": null,
        "decoder": null,
        "model": { "type": "WordLevel", "vocab": vocabulary, "unk_token": "w0" },
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
    let tokenizer = TextTokenizer::from_dir(folder.path()).unwrap();
    let options = EncodeOptions { max_length, ..EncodeOptions::default() };
    Encoder::new(tokenizer, Template::None, options).unwrap()
}

fn params() -> TrainParams {
    TrainParams { batch_size: 100, token_budget: 2048, ..settings() }
}

fn trained(rows: &Encodings<'_>) -> (TrainReport, String) {
    let mut model = llama(DType::F32);
    let report = params().check().unwrap().train(model.as_mut(), rows, &mut NoProgress).unwrap();
    (report, model.parameters().fingerprint().unwrap())
}

#[test]
fn rows_of_a_source_train_the_weights_that_samples_in_memory_do() {
    let (source, encoder) = (Made::new(330, "a"), encoder(128));
    let rows = Encodings::new(&source, &encoder);
    let (mut samples, _) = rows.read_all().unwrap();
    samples.retain(|sample| sample.ids.len() <= 32);
    assert_eq!(samples.len(), 322);
    let (from_source, from_memory) = (trained(&rows), trained(&Encodings::of(&samples)));
    assert_eq!(from_source.0.losses, from_memory.0.losses);
    assert_eq!(from_source.1, from_memory.1);
    // Each epoch takes four steps of 322 rows.
    assert_eq!(from_source.0.steps, 8);
    let skipped: Vec<(usize, &str)> =
        from_source.0.skipped.iter().map(|row| (row.index, row.id.as_str())).collect();
    let expected = [7, 9, 107, 109, 207, 209, 307, 309];
    assert_eq!(skipped.iter().map(|&(at, _)| at).collect::<Vec<_>>(), expected);
    assert!(skipped.iter().all(|(at, id)| *id == format!("row-{at}")));
    let [empty, long, ..] = &from_source.0.skipped[..] else { panic!("{skipped:?}") };
    assert_eq!(empty.reason, Reason::EmptyTarget);
    let (tokens, limit) = (63, 32);
    assert_eq!(long.reason, Reason::TooLong { tokens, limit, with: None });
    assert!(from_memory.0.skipped.is_empty());
}

#[test]
fn a_pool_of_any_size_is_read_a_few_steps_at_a_time() {
    let encoder = encoder(128);
    for rows in [1500, 3000] {
        let source = Made::new(rows, "a");
        let (report, _) = trained(&Encodings::new(&source, &encoder));
        let asked = source.asked.lock().unwrap();
        let checks = rows.div_ceil(1024);
        let (checked, read) = asked.split_at(checks);
        assert_eq!((checked.iter().sum::<usize>(), checked[0]), (rows, 1024));
        // Two epochs over the usable rows, two steps of 100 at a time.
        assert_eq!(read.iter().sum::<usize>(), 2 * (rows - report.skipped.len()));
        assert_eq!(read.iter().max(), Some(&200));
    }
}

#[test]
fn data_without_a_usable_row_is_refused_with_the_first_reason() {
    let (source, encoder) = (Made::new(20, "a"), encoder(128));
    let rows = Encodings::new(&source, &encoder);
    let bad = rows.at(&[9, 7]).unwrap();
    let refused =
        settings().check().unwrap().train(llama(DType::F32).as_mut(), &bad, &mut NoProgress);
    let error = refused.unwrap_err();
    let expected = "none of the 2 rows can be trained on; the first, row-9 (row 0): 63 tokens, at \
                    most 32 are read";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_checkpoint_of_other_rows_or_another_encoder_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let go = |rows: &Encodings<'_>, params: TrainParams| {
        let (mut model, every) = (llama(DType::F32), CheckpointParams::default());
        let mut checkpoints = Checkpoints::open(folder.path(), fixture("llama"), every)?;
        let checkpoints = Some(&mut checkpoints);
        let job = Job { checkpoints, ..Job::new(model.as_mut(), rows) };
        params.check()?.run(job, &mut NoProgress).map(|report| report.resumed)
    };
    let (here, other, more) = (Made::new(200, "a"), Made::new(200, "b"), Made::new(201, "a"));
    let (whole, cut) = (encoder(128), encoder(100));
    let rows = Encodings::new(&here, &whole);
    assert_eq!(go(&rows, params()).unwrap(), None);
    let seed = TrainParams { seed: 9, ..params() };
    let table = [
        (Encodings::new(&other, &whole), params(), "field `source.made` is \"a\", expected \"b\""),
        (Encodings::new(&more, &whole), params(), "field `source.rows` is 200, expected 201"),
        (rows.at(&[1, 2, 3]).unwrap(), params(), "field `source."),
        (Encodings::new(&here, &cut), params(), "field `encoder."),
        (rows.clone(), seed, "field `settings.training.seed` is 3, expected 9"),
    ];
    for (rows, params, expected) in table {
        let error = go(&rows, params).unwrap_err();
        assert!(matches!(error, FinetuneError::OtherRun { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    }
    assert_eq!(go(&rows, params()).unwrap(), Some(4));
}
