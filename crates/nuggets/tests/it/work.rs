//! What is run: every example once, and what the estimate says.

use std::sync::atomic::{AtomicUsize, Ordering};

use tamis_artifact::Fingerprint;
use tamis_dataset::{Encoded, Template};
use tamis_model::{
    CausalLm, Context, DType, KvCache, LayerInfo, ModelError, ModelShape, Parameters, Tap,
};
use tamis_nuggets::{GoldenParams, GoldenScorer};
use tch::Tensor;

use crate::common::{encoded, model, pool, short, tokenizer};

/// A model that counts the tokens it reads, padding included, and the logits it gives.
struct Counting {
    inner: Box<dyn CausalLm>,
    tokens: AtomicUsize,
    logits: AtomicUsize,
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
        self.tokens.fetch_add(ids.numel(), Ordering::Relaxed);
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
        self.logits.fetch_add(hidden.size()[0] as usize, Ordering::Relaxed);
        self.inner.logits(hidden, tap)
    }
}

#[test]
fn an_example_is_read_once() {
    let inner = model("plain", DType::F32);
    let model = Counting { inner, tokens: AtomicUsize::new(0), logits: AtomicUsize::new(0) };
    let (candidates, anchors) = (pool(0, 6), pool(20, 9));
    // A budget of 1: every batch is a single text, and nothing is padded.
    let params = GoldenParams { template: Template::Alpaca, token_budget: 1, ..short("plain") };
    let scorer = GoldenScorer::new(&model, tokenizer("plain"), params, &anchors).unwrap();
    let estimate = scorer.estimate(&candidates, 60).unwrap();
    assert_eq!(model.tokens.load(Ordering::Relaxed), 0);
    scorer.anchors().unwrap();
    let alone = encoded(tokenizer("plain"), Template::Alpaca, &anchors);
    let read: usize = alone.iter().map(|anchor| anchor.len() - 1).sum();
    let targets: usize = alone.iter().map(Encoded::targets).sum();
    assert_eq!(model.tokens.swap(0, Ordering::Relaxed), read);
    assert_eq!(model.logits.swap(0, Ordering::Relaxed), targets);

    let mut done = 0;
    let (_, work) = scorer.score_counted(&candidates, |more| done += more).unwrap();
    assert_eq!(done, 6);
    assert_eq!(model.tokens.load(Ordering::Relaxed), work.tokens);
    assert_eq!(model.logits.load(Ordering::Relaxed), work.targets);
    assert_eq!(work.targets, 6 * targets);
    // Each example with its separator once, and of the anchors less than all of their words.
    let glue = tokenizer("plain").ids("\n\n", false).unwrap().len();
    let examples = encoded(tokenizer("plain"), Template::Alpaca, &candidates);
    let examples: usize = examples.iter().map(|example| example.len() + glue).sum();
    let behind = work.tokens - examples;
    assert!(behind.is_multiple_of(6) && behind / 6 < read / 2, "{behind} of {read}");

    let total = |name| estimate.total(name).unwrap();
    assert_eq!(total("tokens to read"), 10.0 * work.tokens as f64);
    assert_eq!(total("tokens to predict"), 10.0 * work.targets as f64);
    assert_eq!(total("if nothing were shared"), 10.0 * (examples * 9 + 6 * read) as f64);
    assert_eq!(total("of them without a score"), 0.0);
    let text = estimate.to_string();
    assert!(text.contains("60 rows") && text.contains("9 anchors"), "{text}");
}
