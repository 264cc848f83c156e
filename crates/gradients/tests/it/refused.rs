//! A pass goes on with what it has written, and refuses what was made from anything else, by the name of what differs.

use std::path::{Path, PathBuf};

use tamis_artifact::{NoProgress, PassReport};
use tamis_dataset::{EncodeOptions, Encoder, Encodings, Sample, Template, TextTokenizer};
use tamis_gradients::{GradientError, GradientPass, PassParams, Reducer, RowType, Sink};
use tamis_model::{DType, LayerInfo, Reduction};
use tch::Device;

use crate::common::{body, fixture};

/// Everything that decides the rows of a store.
#[derive(Clone)]
struct Ingredients {
    rows: Vec<Sample>,
    tokenizer: PathBuf,
    template: Template,
    max_length: usize,
    model: &'static str,
    dtype: DType,
    weight: Option<f64>,
    skipped_layers: usize,
    params: PassParams,
    projection: &'static str,
    seed: u64,
    row_type: RowType,
}

impl Ingredients {
    fn run(&self, dir: &Path) -> Result<PassReport, GradientError> {
        let model = fixture(self.model, self.dtype);
        let layers: Vec<LayerInfo> = body(model.as_ref()).split_off(self.skipped_layers);
        if let Some(value) = self.weight {
            let weight = format!("{}.weight", layers[0].name);
            let _ = model.parameters().get(&weight).unwrap().get(0).get(0).fill_(value);
        }
        let options = EncodeOptions {
            append_eos: false,
            max_length: self.max_length,
            ..EncodeOptions::default()
        };
        let tokenizer = TextTokenizer::from_dir(&self.tokenizer).unwrap();
        let encoder = Encoder::new(tokenizer, self.template.clone(), options).unwrap();
        let samples = Encodings::new(&self.rows, &encoder);
        let pass = GradientPass { model: model.as_ref(), layers: &layers, params: self.params };
        let spec: tamis_gradients::ProjectionSpec = self.projection.parse().unwrap();
        let kind = model.shape().kind;
        let projection = spec.build(&layers, self.seed, kind, Device::Cpu).unwrap();
        let made_from = projection.fingerprint();
        // Looking for the finished rows refuses what running would refuse.
        let found = pass.finished(&samples, ("gradients", dir, self.row_type), made_from);
        let sinks = [Sink::new(&projection, "gradients", dir, self.row_type)];
        let ran = pass.run(&samples, &sinks, &mut NoProgress).map(|(_, report)| report);
        match (&found, &ran) {
            (Ok(found), Ok(report)) => {
                assert_eq!(found.is_some(), report.resumed == report.rows);
            }
            (Err(found), Err(ran)) => assert_eq!(found.to_string(), ran.to_string()),
            (found, ran) => panic!("{found:?} {ran:?}"),
        }
        ran
    }
}

#[test]
fn a_pass_refuses_any_other_ingredient_by_its_name_and_resumes_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = folder.path().join("tokenizer");
    std::fs::create_dir(&tokenizer).unwrap();
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/fixtures/llama");
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        let from = Path::new(original).join(file);
        if from.exists() {
            std::fs::copy(from, tokenizer.join(file)).unwrap();
        }
    }
    let other_tokenizer = folder.path().join("other");
    std::fs::create_dir(&other_tokenizer).unwrap();
    let text = std::fs::read_to_string(tokenizer.join("tokenizer.json")).unwrap();
    std::fs::write(other_tokenizer.join("tokenizer.json"), format!("{text}\n")).unwrap();
    if tokenizer.join("tokenizer_config.json").exists() {
        let name = "tokenizer_config.json";
        std::fs::copy(tokenizer.join(name), other_tokenizer.join(name)).unwrap();
    }

    let row = |n: usize| {
        Sample::instruction("le chat ".repeat(1 + n), format!(" the cat {n}"))
            .with_id(format!("r{n}"))
    };
    let own = Ingredients {
        rows: (0..4).map(row).collect(),
        tokenizer,
        template: Template::None,
        max_length: 64,
        model: "llama",
        dtype: DType::F32,
        weight: None,
        skipped_layers: 0,
        params: PassParams { shard_rows: 3, ..PassParams::default() },
        projection: "4x4",
        seed: 1,
        row_type: RowType::F16,
    };
    let dir = folder.path().join("rows");
    assert_eq!(own.run(&dir).unwrap().resumed, 0);

    let mut other_row = own.clone();
    other_row.rows[2] = row(2).with_id("another");
    let mut other_answer = own.clone();
    other_answer.rows[3] = Sample::instruction("le chat", " a dog").with_id("r3");
    let params = own.params;
    let cases: Vec<(&str, Ingredients)> = vec![
        ("source", other_row),
        ("source", other_answer),
        ("source", Ingredients { rows: own.rows[..3].to_vec(), ..own.clone() }),
        ("encoder", Ingredients { template: Template::Alpaca, ..own.clone() }),
        ("encoder", Ingredients { max_length: 32, ..own.clone() }),
        ("encoder", Ingredients { tokenizer: other_tokenizer, ..own.clone() }),
        ("model", Ingredients { model: "mistral", ..own.clone() }),
        ("model.weights", Ingredients { weight: Some(0.5), ..own.clone() }),
        ("compute_type", Ingredients { dtype: DType::F64, ..own.clone() }),
        ("settings.layers", Ingredients { skipped_layers: 1, ..own.clone() }),
        (
            "settings.reduction",
            Ingredients {
                params: PassParams { reduction: Reduction::Sum, ..params },
                ..own.clone()
            },
        ),
        (
            "settings.token_budget",
            Ingredients { params: PassParams { token_budget: 64, ..params }, ..own.clone() },
        ),
        (
            "settings.shard_rows",
            Ingredients { params: PassParams { shard_rows: 2, ..params }, ..own.clone() },
        ),
        ("made_from.reducer.projection", Ingredients { projection: "4x3", ..own.clone() }),
        ("made_from.reducer.projection", Ingredients { projection: "gaussian:4x4", ..own.clone() }),
        ("made_from.reducer.seed", Ingredients { seed: 2, ..own.clone() }),
        ("row_type", Ingredients { row_type: RowType::F32, ..own.clone() }),
    ];
    for (n, (field, other)) in cases.into_iter().enumerate() {
        let error = other.run(&dir).unwrap_err().to_string();
        assert!(error.contains(field), "case {n}, {field}: {error}");
    }
    // Nothing changed, and what cannot matter.
    let threads = tch::get_num_threads();
    for count in [threads, 1, 3] {
        tch::set_num_threads(count);
        let report = own.run(&dir).unwrap();
        assert_eq!((report.resumed, report.texts), (4, 0));
    }
    tch::set_num_threads(threads);
}
