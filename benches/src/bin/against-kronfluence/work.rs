//! What both sides are given: a folder with the settings and the tokens of every sample.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use tamis::dataset::{
    Dataset, EncodeOptions, Encoded, Encoder, Outcome, ReadOptions, SampleId, Template,
    TextTokenizer,
};
use tamis_benches::{equal_blocks, short_pairs};

/// Settings, as `work.json` keeps them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// The model folder.
    pub model: PathBuf,
    /// Names of the layers, in the model's order.
    pub layers: Vec<String>,
    /// What kronfluence's loss reads: `all` logits, or those at `targets`.
    pub logits: String,
    /// What kronfluence's batches are padded to: the longest of the `batch` or the `longest` sample.
    pub padding: String,
    /// kronfluence's samples a batch.
    pub batches: Batches,
}

/// kronfluence's batch sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Batches {
    /// For covariances.
    pub covariances: usize,
    /// For scores and for the eigenvalues of EK-FAC: both form gradients.
    pub scores: usize,
}

impl std::fmt::Display for Batches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { covariances, scores } = self;
        write!(
            f,
            "kronfluence's batches: {covariances} samples for covariances, {scores} for scores"
        )
    }
}

impl Work {
    /// Reads the settings in `folder`.
    pub(crate) fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join("work.json")).expect("work.json");
        serde_json::from_str(&text).expect("settings in work.json")
    }

    /// Writes them.
    pub(crate) fn write(&self, folder: &Path) {
        let text = serde_json::to_string_pretty(self).expect("settings as JSON");
        fs::write(folder.join("work.json"), text).expect("writing work.json");
    }
}

/// Training samples and queries.
pub(crate) struct Samples {
    pub train: Vec<Encoded>,
    pub queries: Vec<Encoded>,
}

impl Samples {
    /// Writes `samples.safetensors`: for `train` and `queries` the tokens of all samples one after the
    /// other (`ids`, i64), which of them are targets (`supervised`, u8), and the samples' `lengths` (i64).
    pub(crate) fn write(&self, folder: &Path) {
        let mut tensors = Vec::new();
        for (part, samples) in [("train", &self.train), ("queries", &self.queries)] {
            let long = |n: usize| (n as i64).to_le_bytes();
            let tokens: Vec<u8> =
                samples.iter().flat_map(|s| &s.ids).flat_map(|&id| long(id as usize)).collect();
            let targets: Vec<u8> =
                samples.iter().flat_map(|s| &s.supervised).map(|&s| u8::from(s)).collect();
            let lengths: Vec<u8> = samples.iter().flat_map(|s| long(s.len())).collect();
            tensors.push((format!("{part}.ids"), Dtype::I64, targets.len(), tokens));
            tensors.push((format!("{part}.supervised"), Dtype::U8, targets.len(), targets));
            tensors.push((format!("{part}.lengths"), Dtype::I64, samples.len(), lengths));
        }
        let views = tensors.iter().map(|(name, dtype, count, bytes)| {
            (name, TensorView::new(*dtype, vec![*count], bytes).expect("a shape that fits"))
        });
        safetensors::serialize_to_file(views, None, &folder.join("samples.safetensors"))
            .expect("writing the samples");
    }

    /// Reads them.
    pub(crate) fn read(folder: &Path) -> Self {
        let bytes = fs::read(folder.join("samples.safetensors")).expect("the samples");
        let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let part = |name: &str| {
            let data =
                |what: &str| file.tensor(&format!("{name}.{what}")).expect("a tensor").data();
            let longs = |what: &str| -> Vec<i64> {
                let chunks = data(what).as_chunks::<8>().0.iter();
                chunks.map(|&chunk| i64::from_le_bytes(chunk)).collect()
            };
            let (ids, supervised) = (longs("ids"), data("supervised"));
            let mut at = 0;
            let sample = |(index, length): (usize, i64)| {
                let range = at..at + length as usize;
                at = range.end;
                Encoded {
                    id: SampleId::from(format!("{name}-{index}")),
                    index,
                    ids: ids[range.clone()].iter().map(|&id| id as u32).collect(),
                    supervised: supervised[range].iter().map(|&s| s != 0).collect(),
                    truncated: false,
                }
            };
            longs("lengths").into_iter().enumerate().map(sample).collect()
        };
        Self { train: part("train"), queries: part("queries") }
    }

    /// `train` samples and then `queries` from `data`: `short` or `blocks` are made up, anything else
    /// is a file of translation pairs, of which `first` rows are passed over.
    pub(crate) fn find(data: &str, model: &Path, sizes: &Sizes, vocabulary: usize) -> Self {
        let count = sizes.train + sizes.queries;
        let mut train = match data {
            "short" => short_pairs(count, vocabulary),
            "blocks" => equal_blocks(count, sizes.length, vocabulary),
            file => pairs(file, model, sizes.first, count),
        };
        let queries = train.split_off(sizes.train);
        Self { train, queries }
    }
}

/// How many samples.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Sizes {
    /// Training samples
    #[arg(long, default_value_t = 2000)]
    pub train: usize,
    /// Queries
    #[arg(long, default_value_t = 64)]
    pub queries: usize,
    /// Rows of a file that are passed over
    #[arg(long, default_value_t = 0)]
    pub first: usize,
    /// Tokens of a block
    #[arg(long, default_value_t = 128)]
    pub length: usize,
}

fn pairs(file: &str, model: &Path, first: usize, count: usize) -> Vec<Encoded> {
    let dataset = Dataset::open(file, &ReadOptions::default()).expect("translation pairs");
    let tokenizer = TextTokenizer::from_dir(model).expect("the model's tokenizer");
    let template = Template::Translation { target_language: "English".to_owned() };
    let encoder =
        Encoder::new(tokenizer, template, EncodeOptions::default()).expect("translation template");
    let rows = dataset.read_range(first..first + count).expect("rows");
    let encoded = encoder.encode_all(&rows);
    let usable = encoded.into_iter().map(|outcome| match outcome {
        Outcome::Scored(sample) => sample,
        Outcome::Unscorable { id, reason, .. } => panic!("{id}: {reason}"),
    });
    usable.collect()
}
