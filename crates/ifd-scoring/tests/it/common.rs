//! Models and samples that the tests share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tamis_artifact::Fingerprint;
use tamis_dataset::{Content, Message, Sample, TextTokenizer};
use tamis_ifd_scoring::{Measured, SampleScores, ScoreParams};
use tamis_model::{
    Attention, CausalLm, Context, DType, DeviceSpec, KvCache, LayerInfo, LoadOptions, ModelError,
    ModelShape, Parameters, Tap, load,
};
use tch::Tensor;

/// A folder of `make_fixtures.py`: `begins` or `plain`.
pub(crate) fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

pub(crate) fn model(name: &str, kind: DType) -> Box<dyn CausalLm> {
    let options = LoadOptions { device: DeviceSpec::Cpu, kind, attention: Attention::Fused };
    load(folder(name), &options).unwrap()
}

pub(crate) fn tokenizer(name: &str) -> TextTokenizer {
    TextTokenizer::from_dir(folder(name)).unwrap()
}

/// Settings within what the models read.
pub(crate) fn short(params: ScoreParams) -> ScoreParams {
    ScoreParams { max_length: 320, ..params }
}

pub(crate) fn sample(index: usize, instruction: &str, input: &str, output: &str) -> Sample {
    let content = Content::Instruction {
        instruction: instruction.to_owned(),
        input: input.to_owned(),
        output: output.to_owned(),
    };
    Sample { id: format!("s{index}").into(), index, content }
}

pub(crate) fn chat(index: usize, turns: &[(&str, &str)]) -> Sample {
    let messages = turns.iter().map(|(role, text)| Message::new(*role, *text)).collect();
    Sample { id: format!("s{index}").into(), index, content: Content::Chat { messages } }
}

/// Samples of many lengths.
pub(crate) fn pool(count: usize) -> Vec<Sample> {
    let words = ["the", "weather", "is", "nice", "today", "Größe", "天气", "return a + b", "42"];
    let text = |seed: usize, length: usize| {
        let word = |i: usize| words[(seed * 7 + i * (seed % 4 + 1)) % words.len()];
        (0..length).map(word).collect::<Vec<_>>().join(" ")
    };
    (0..count)
        .map(|n| {
            let input = if n % 3 == 0 { text(n + 5, n % 4) } else { String::new() };
            sample(n, &text(n, 2 + n % 5), &input, &text(n + 2, 1 + (n * 5) % 11))
        })
        .collect()
}

/// Every number of a sample: losses of the four terms.
pub(crate) fn losses(scores: &SampleScores) -> Vec<Option<f64>> {
    [scores.answer.clone(), scores.instruction.clone()]
        .iter()
        .flat_map(|terms| [terms.conditional.clone(), terms.direct.clone()])
        .map(|term| term.value().map(|term| term.loss))
        .collect()
}

/// The number there must be.
pub(crate) fn value(measured: &Measured<f64>) -> f64 {
    measured.value().unwrap_or_else(|| panic!("{measured:?}"))
}

pub(crate) fn assert_close(found: &[SampleScores], expected: &[SampleScores], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found.id, expected.id);
        for (a, b) in losses(found).iter().zip(losses(expected)) {
            let close = match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() <= tolerance * b.abs().max(1.0),
                (None, None) => true,
                _ => false,
            };
            assert!(close, "{}: {a:?} is not {b:?}", found.id);
        }
    }
}

/// A model that counts the rows it reads.
pub(crate) struct Counting {
    pub(crate) inner: Box<dyn CausalLm>,
    pub(crate) rows: AtomicUsize,
    pub(crate) logits: AtomicUsize,
}

impl Counting {
    pub(crate) fn new(inner: Box<dyn CausalLm>) -> Self {
        Self { inner, rows: AtomicUsize::new(0), logits: AtomicUsize::new(0) }
    }
}

impl CausalLm for Counting {
    fn layers(&self) -> &[LayerInfo] {
        self.inner.layers()
    }
    fn parameters(&self) -> &Parameters {
        self.inner.parameters()
    }
    fn shape(&self) -> ModelShape {
        self.inner.shape()
    }
    fn fingerprint(&self) -> Result<Fingerprint, ModelError> {
        self.inner.fingerprint()
    }
    fn blocks(&self) -> usize {
        self.inner.blocks()
    }
    fn embed(
        &self,
        ids: &Tensor,
        cache: Option<&KvCache>,
    ) -> Result<(Tensor, Context), ModelError> {
        self.rows.fetch_add(ids.size()[0] as usize, Ordering::Relaxed);
        self.inner.embed(ids, cache)
    }
    fn block(
        &self,
        number: usize,
        stream: &Tensor,
        context: &Context,
        cache: Option<&mut KvCache>,
        tap: &mut dyn Tap,
    ) -> Result<Tensor, ModelError> {
        self.inner.block(number, stream, context, cache, tap)
    }
    fn norm(&self, stream: &Tensor) -> Result<Tensor, ModelError> {
        self.inner.norm(stream)
    }
    fn logits(&self, hidden: &Tensor, tap: &mut dyn Tap) -> Result<Tensor, ModelError> {
        let size = hidden.size();
        self.logits
            .fetch_add(size[..size.len() - 1].iter().product::<i64>() as usize, Ordering::Relaxed);
        self.inner.logits(hidden, tap)
    }
}
