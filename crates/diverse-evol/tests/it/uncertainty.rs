//! Uncertainties beside a plain loop over the logits of every position.

use std::path::{Path, PathBuf};

use tamis_artifact::NoProgress;
use tamis_dataset::{Encoded, Encodings, SampleId};
use tamis_diverse_evol::{Uncertainties, Uncertainty, UncertaintyParams, uncertainties};
use tamis_model::{Batch, CausalLm, DType, LoadOptions, NoTap, load};

use crate::fakes::contents;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures").join(name)
}

fn model(name: &str, kind: DType) -> Box<dyn CausalLm> {
    load(folder(name), &LoadOptions { kind, ..LoadOptions::default() }).unwrap()
}

fn samples(count: usize) -> Vec<Encoded> {
    let sample = |n: usize| {
        let length = 4 + (7 * n) % 9;
        Encoded {
            id: SampleId::from(format!("s{n}")),
            index: n,
            ids: (0..length).map(|t| ((13 * n + 5 * t * t) % 60 + 3) as u32).collect(),
            // Two stretches of targets, as in a conversation.
            supervised: (0..length).map(|t| t == 2 || t > 3).collect(),
            truncated: false,
        }
    };
    (0..count).map(sample).collect()
}

/// Softmax, sort and sum, one position after the other.
fn naive(model: &dyn CausalLm, sample: &Encoded) -> Uncertainties {
    let ids: Vec<i64> = sample.ids.iter().map(|&id| i64::from(id)).collect();
    let ids = tch::Tensor::from_slice(&ids).view([1, -1]);
    let logits = model.logits(&model.hidden(&ids, &mut NoTap).unwrap(), &mut NoTap).unwrap();
    let (mut confidence, mut margin, mut entropy, mut tokens) = (0.0, 0.0, 0.0, 0.0);
    for t in 1..sample.ids.len() {
        if !sample.supervised[t] {
            continue;
        }
        let row = logits.select(1, t as i64 - 1).view([-1]).to_kind(tch::Kind::Double);
        let row: Vec<f64> = Vec::try_from(row).unwrap();
        let highest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = row.iter().map(|x| (x - highest).exp()).sum();
        let mut p: Vec<f64> = row.iter().map(|x| (x - highest).exp() / total).collect();
        p.sort_by(|a, b| b.total_cmp(a));
        confidence += 1.0 - p[0];
        margin += p[0] - p[1];
        entropy -= p.iter().filter(|&&p| p > 0.0).map(|p| p * p.ln()).sum::<f64>();
        tokens += 1.0;
    }
    Uncertainties {
        least_confidence: confidence / tokens,
        margin: margin / tokens,
        entropy: entropy / tokens,
    }
}

fn close(a: Uncertainties, b: Uncertainties, tolerance: f64) {
    for kind in [Uncertainty::LeastConfidence, Uncertainty::Margin, Uncertainty::Entropy] {
        assert!((a.of(kind) - b.of(kind)).abs() < tolerance, "{kind}: {a:?} {b:?}");
    }
}

#[test]
fn as_the_plain_loop_has_them() {
    for (name, kind, tolerance) in
        [("llama", DType::F64, 1e-12), ("gpt2", DType::F64, 1e-12), ("llama", DType::F32, 2e-6)]
    {
        let model = model(name, kind);
        let samples = samples(9);
        let rows: Vec<&Encoded> = samples.iter().collect();
        let batch = Batch::new(&rows, tch::Device::Cpu).unwrap();
        let found = uncertainties(model.as_ref(), &batch, &mut NoTap).unwrap();
        assert_eq!(found.len(), 9);
        for (found, sample) in found.iter().zip(&samples) {
            close(*found, naive(model.as_ref(), sample), tolerance);
            assert!(found.entropy > 0.0 && found.margin > 0.0 && found.least_confidence < 1.0);
        }
    }
}

#[test]
fn many_targets_go_in_pieces() {
    // More targets than rows of logits are held at once.
    let model = model("llama", DType::F64);
    let samples: Vec<Encoded> = (0..170)
        .map(|n| Encoded {
            id: SampleId::from(n.to_string()),
            index: n,
            ids: (0..100).map(|t| ((n + 3 * t) % 60 + 3) as u32).collect(),
            supervised: (0..100).map(|t| t > 0).collect(),
            truncated: false,
        })
        .collect();
    let rows: Vec<&Encoded> = samples.iter().collect();
    let batch = Batch::new(&rows, tch::Device::Cpu).unwrap();
    assert!(batch.target_count() * model.shape().vocab_size > 1 << 22);
    let found = uncertainties(model.as_ref(), &batch, &mut NoTap).unwrap();
    for n in [0, 84, 169] {
        close(found[n], naive(model.as_ref(), &samples[n]), 1e-12);
    }
}

#[test]
fn a_pass_resumes_and_refuses_what_does_not_belong_to_it() {
    let temporary = tempfile::tempdir().unwrap();
    let (calm, stormy) = (temporary.path().join("calm"), temporary.path().join("stormy"));
    let (model, samples) = (model("llama", DType::F32), samples(23));
    let params = UncertaintyParams { token_budget: 40, shard_rows: 5 };
    let pass = params.check().unwrap();
    let run = |dir: &Path, samples: &[Encoded]| {
        pass.run(model.as_ref(), &Encodings::of(samples), dir, &mut NoProgress)
    };
    let all = run(&calm, &samples).unwrap();
    for (found, sample) in all.iter().zip(&samples) {
        close(*found, naive(model.as_ref(), sample), 2e-6);
    }
    // What a pass that was killed in its third shard leaves behind.
    run(&stormy, &samples).unwrap();
    let journal = std::fs::read_to_string(stormy.join("journal.jsonl")).unwrap();
    let whole: String = journal.split_inclusive('\n').take(2).collect();
    std::fs::write(stormy.join("journal.jsonl"), whole + "{\"shard\":\"ro").unwrap();
    for shard in 3..5 {
        std::fs::remove_file(stormy.join(format!("rows-{shard:05}.jsonl"))).unwrap();
    }
    assert_eq!(run(&stormy, &samples).unwrap(), all);
    assert!(contents(&stormy) == contents(&calm));
    // Read again, nothing changes by a bit.
    assert_eq!(run(&stormy, &samples).unwrap(), all);

    let error = run(&calm, &samples[1..]).unwrap_err().to_string();
    assert!(error.contains("`source.rows` is 23, expected 22"), "{error}");
    let params = UncertaintyParams { token_budget: 41, ..*pass.params() };
    let other = params.check().unwrap();
    let error =
        other.run(model.as_ref(), &Encodings::of(&samples), &calm, &mut NoProgress).unwrap_err();
    assert!(error.to_string().contains("`settings.token_budget` is 40"), "{error}");
    let none = UncertaintyParams { shard_rows: 0, ..params }.check().unwrap_err();
    assert!(none.to_string().contains("`shard_rows` is 0"), "{none}");
}
