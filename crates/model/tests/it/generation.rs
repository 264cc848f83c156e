//! Generated text: equal to that of the `transformers` library, whatever the batch.

use std::fs;

use proptest::prelude::*;
use serde::Deserialize;
use tamis_model::{
    Attention, CausalLm, DType, DecodingStrategy, Finish, GenerateParams, Generated, KvCache,
    NoTap, load,
};
use tch::Tensor;

use crate::support::{FIXTURES, difference, folder, model, options, some_ids};

#[derive(Deserialize)]
struct Expected {
    max_new_tokens: usize,
    stop: Vec<u32>,
    prompts: Vec<Vec<u32>>,
    greedy: Vec<Vec<u32>>,
    beam: Vec<Beam>,
}

#[derive(Deserialize)]
struct Beam {
    beams: usize,
    length_penalty: f64,
    early_stopping: bool,
    ids: Vec<Vec<u32>>,
}

fn expected(name: &str) -> Expected {
    serde_json::from_slice(&fs::read(folder(name).join("generation.json")).unwrap()).unwrap()
}

fn run(model: &dyn CausalLm, prompts: &[Vec<u32>], params: GenerateParams) -> Vec<Generated> {
    let mut told = 0;
    let generator = params.check().unwrap();
    let texts = generator.generate(model, prompts, &mut NoTap, &mut |done| told = done).unwrap();
    assert_eq!(told, prompts.len());
    texts
}

fn ids(texts: &[Generated]) -> Vec<Vec<u32>> {
    texts.iter().map(|text| text.ids.clone()).collect()
}

fn params(expected: &Expected, strategy: DecodingStrategy) -> GenerateParams {
    GenerateParams {
        max_new_tokens: expected.max_new_tokens,
        stop: expected.stop.clone(),
        strategy,
        ..GenerateParams::default()
    }
}

/// log p(new tokens, stop token included | prompt) from one pass without a cache.
fn log_prob(model: &dyn CausalLm, prompt: &[u32], text: &[u32]) -> f64 {
    let all: Vec<i64> = prompt.iter().chain(text).map(|&id| i64::from(id)).collect();
    let ids = Tensor::from_slice(&all).unsqueeze(0);
    let hidden = model.hidden(&ids, &mut NoTap).unwrap();
    let logits = tch::no_grad(|| model.logits(&hidden, &mut NoTap).unwrap());
    let log_probs = logits.squeeze_dim(0).log_softmax(-1, tch::Kind::Double);
    let from = prompt.len();
    (0..text.len())
        .map(|n| log_probs.double_value(&[(from + n) as i64 - 1, i64::from(text[n])]))
        .sum()
}

#[test]
fn greedy_equals_transformers() {
    let mut full = 0;
    for name in FIXTURES {
        let expected = expected(name);
        for attention in [Attention::Fused, Attention::Math] {
            let model = load(folder(name), &options(DType::F32, attention)).unwrap();
            let texts =
                run(&*model, &expected.prompts, params(&expected, DecodingStrategy::Greedy));
            assert_eq!(ids(&texts), expected.greedy, "{name} {attention:?}");
            for text in &texts {
                let whole = text.ids.len() == expected.max_new_tokens;
                assert_eq!(text.finish, if whole { Finish::Length } else { Finish::Stop });
            }
            assert!(texts.iter().any(|text| text.finish == Finish::Stop), "{name}");
            full += texts.iter().filter(|text| text.finish == Finish::Length).count();
        }
    }
    assert!(full > 0, "no text reaches the limit");
}

#[test]
fn beams_equal_transformers() {
    for name in FIXTURES {
        let expected = expected(name);
        let model = model(name, DType::F32);
        for beam in &expected.beam {
            let Beam { beams, length_penalty, early_stopping, .. } = *beam;
            let strategy = DecodingStrategy::Beam { beams, length_penalty, early_stopping };
            let texts = run(&*model, &expected.prompts, params(&expected, strategy));
            assert_eq!(ids(&texts), beam.ids, "{name} {strategy:?}");
        }
    }
}

#[test]
fn one_beam_is_greedy() {
    let expected = expected("llama");
    let model = model("llama", DType::F32);
    let strategy = DecodingStrategy::Beam { beams: 1, length_penalty: 1.0, early_stopping: true };
    let texts = run(&*model, &expected.prompts, params(&expected, strategy));
    assert_eq!(ids(&texts), expected.greedy);
}

#[test]
fn log_probabilities_are_those_of_the_text() {
    for name in ["llama", "gpt2"] {
        let expected = expected(name);
        let model = model(name, DType::F64);
        let beam = DecodingStrategy::Beam { beams: 3, length_penalty: 1.0, early_stopping: false };
        let sample = DecodingStrategy::Sample { temperature: 0.8, top_p: 0.9, top_k: 20, seed: 3 };
        for strategy in [DecodingStrategy::Greedy, beam, sample] {
            let texts = run(&*model, &expected.prompts, params(&expected, strategy));
            for (prompt, text) in expected.prompts.iter().zip(&texts) {
                // Which of the stop tokens ended the text is not told: one of them must fit.
                let candidates: Vec<Vec<u32>> = match text.finish {
                    Finish::Length => vec![text.ids.clone()],
                    Finish::Stop => {
                        let with = |id: &u32| text.ids.iter().chain([id]).copied().collect();
                        expected.stop.iter().map(with).collect()
                    }
                };
                let off = candidates
                    .iter()
                    .map(|ids| (log_prob(&*model, prompt, ids) - text.log_prob).abs())
                    .fold(f64::INFINITY, f64::min);
                assert!(off < 1e-9, "{name} {strategy:?}: off by {off}");
            }
        }
    }
}

#[test]
fn a_cache_changes_nothing() {
    for name in FIXTURES {
        let model = model(name, DType::F64);
        // Two rows, 5 and 9 tokens; then 1 and 3 more at once.
        let all = some_ids(2, 13);
        let mut cache = KvCache::new(&[5, 9], 4);
        let hidden = model.extend(&all.narrow(1, 0, 9), &mut cache, &mut NoTap).unwrap();
        let row = |number: i64, ids: &[Tensor]| {
            let ids: Vec<Tensor> = ids.iter().map(|ids| ids.narrow(0, number, 1)).collect();
            tch::no_grad(|| model.hidden(&Tensor::cat(&ids, 1), &mut NoTap).unwrap())
        };
        let prompt = |number: i64| all.narrow(1, 0, if number == 0 { 5 } else { 9 });
        for number in 0..2 {
            let whole = row(number, &[prompt(number)]);
            let part = hidden.narrow(0, number, 1).narrow(1, 0, whole.size()[1]);
            assert!(difference(&part, &whole) < 1e-10, "{name} prompt {number}");
        }
        let (one, three) = (all.narrow(1, 9, 1), all.narrow(1, 10, 3));
        let first = model.extend(&one, &mut cache, &mut NoTap).unwrap();
        cache.select(&[1, 0, 1]).unwrap();
        assert_eq!(cache.rows(), 3);
        let swapped = three.index_select(0, &Tensor::from_slice(&[1i64, 0, 1]));
        let second = model.extend(&swapped, &mut cache, &mut NoTap).unwrap();
        for number in 0..2 {
            let whole = row(number, &[prompt(number), one.shallow_clone(), three.shallow_clone()]);
            let length = prompt(number).size()[1];
            let off = difference(&first.narrow(0, number, 1), &whole.narrow(1, length, 1));
            assert!(off < 1e-10, "{name} row {number}: {off}");
            let off = difference(&second.narrow(0, 1 - number, 1), &whole.narrow(1, length + 1, 3));
            assert!(off < 1e-10, "{name} row {number}: {off}");
        }
        let off = difference(&second.narrow(0, 0, 1), &second.narrow(0, 2, 1));
        assert!(off < 1e-10, "{name}: {off}");
        let full = model.extend(&some_ids(3, 1), &mut cache, &mut NoTap).err().unwrap().to_string();
        assert!(full.contains("room for 0 columns"), "{full}");
        let wrong = model.extend(&some_ids(2, 1), &mut cache, &mut NoTap).err().unwrap();
        assert!(wrong.to_string().contains("3 rows"), "{wrong}");
        assert!(cache.select(&[3]).is_err());
    }
}

#[test]
fn generation_ends_at_the_last_position() {
    let model = model("gpt2", DType::F32);
    let limit = model.shape().max_positions;
    let prompt: Vec<u32> = (0..limit as u32 - 3).map(|n| 4 + n % 200).collect();
    for strategy in [
        DecodingStrategy::Greedy,
        DecodingStrategy::Beam { beams: 2, length_penalty: 1.0, early_stopping: false },
    ] {
        let params = GenerateParams { strategy, ..GenerateParams::default() };
        let text = &run(&*model, &[prompt.clone(), vec![5]], params)[0];
        assert_eq!((text.ids.len(), text.finish), (3, Finish::Length));
    }
}

#[test]
fn samples_follow_the_distribution() {
    let model = model("llama", DType::F64);
    let prompt = vec![7u32, 8, 9];
    let ids = Tensor::from_slice(&[7i64, 8, 9]).unsqueeze(0);
    let hidden = tch::no_grad(|| model.hidden(&ids, &mut NoTap).unwrap()).narrow(1, 2, 1);
    let logits = tch::no_grad(|| model.logits(&hidden, &mut NoTap).unwrap()).flatten(0, -1);
    let (temperature, top_p, top_k) = (1.7, 0.8, 12);
    // The naive way: sort, cut, renormalise.
    let logits: Vec<f64> = Vec::try_from(&logits).unwrap();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(top_k);
    let mut shares: Vec<f64> = order.iter().map(|&id| (logits[id] / temperature).exp()).collect();
    let total: f64 = shares.iter().sum();
    for share in &mut shares {
        *share /= total;
    }
    let mut kept = 0;
    let mut sum = 0.0;
    while sum < top_p {
        sum += shares[kept];
        kept += 1;
    }
    assert!(kept > 2 && kept < top_k, "a case that cuts: {kept}");
    let draws = 4000;
    let params = GenerateParams {
        max_new_tokens: 1,
        strategy: DecodingStrategy::Sample { temperature, top_p, top_k, seed: 5 },
        ..GenerateParams::default()
    };
    let texts = run(&*model, &vec![prompt; draws], params);
    let mut counts = vec![0usize; logits.len()];
    for text in &texts {
        counts[text.ids[0] as usize] += 1;
    }
    let mut chi = 0.0;
    for (rank, &id) in order.iter().enumerate() {
        if rank >= kept {
            assert_eq!(counts[id], 0);
            continue;
        }
        let mean = draws as f64 * shares[rank] / sum;
        chi += (counts[id] as f64 - mean).powi(2) / mean;
    }
    assert_eq!(counts.iter().sum::<usize>(), draws);
    // Mean of χ² is its degrees of freedom, its variance twice that: five standard deviations.
    let freedom = (kept - 1) as f64;
    assert!(chi < freedom + 5.0 * (2.0 * freedom).sqrt(), "χ² {chi} of {freedom}");
}

#[test]
fn a_stream_draws_the_same_in_any_company() {
    let model = model("llama", DType::F32);
    let prompts: Vec<Vec<u32>> = (1..7).map(|length| (5..5 + length).collect()).collect();
    let streams: Vec<u64> = vec![7, 3, u64::MAX, 0, 9, 3];
    let strategy = DecodingStrategy::Sample { temperature: 1.5, top_p: 1.0, top_k: 0, seed: 4 };
    let params = GenerateParams { max_new_tokens: 8, strategy, ..GenerateParams::default() };
    let generator = params.clone().check().unwrap();
    let generate = |prompts: &[Vec<u32>], streams: &[u64]| {
        generator.generate_streams(&*model, prompts, streams, &mut NoTap, &mut |_| {})
    };
    let together = generate(&prompts, &streams).unwrap();
    for (place, text) in together.iter().enumerate() {
        let alone = generate(&prompts[place..=place], &streams[place..=place]).unwrap();
        assert_eq!(alone[0].ids, text.ids);
    }
    // Without streams, those are the places.
    let places: Vec<u64> = (0..6).collect();
    let (by_place, plain) = (generate(&prompts, &places).unwrap(), run(&*model, &prompts, params));
    for (text, plain) in by_place.iter().zip(&plain) {
        assert_eq!(text.ids, plain.ids);
    }
    assert_ne!(together[0].ids, by_place[0].ids);
    let error = generate(&prompts, &places[1..]).err().unwrap().to_string();
    assert!(error.contains("found 5, expected 6"), "{error}");
}

#[test]
fn a_model_without_probabilities_is_refused() {
    let model = model("llama", DType::F32);
    let mut weight = model.parameters().get("model.norm.weight").unwrap().shallow_clone();
    let _ = tch::no_grad(|| weight.fill_(f64::NAN));
    for strategy in [
        DecodingStrategy::Greedy,
        DecodingStrategy::Beam { beams: 2, length_penalty: 1.0, early_stopping: false },
        DecodingStrategy::Sample { temperature: 1.0, top_p: 0.9, top_k: 0, seed: 0 },
    ] {
        let generator = GenerateParams { strategy, ..GenerateParams::default() }.check().unwrap();
        let result = generator.generate(&*model, &[vec![5]], &mut NoTap, &mut |_| {});
        let error = result.err().unwrap().to_string();
        assert!(error.contains("not finite") && error.contains("token 0"), "{error}");
    }
}

#[test]
fn bad_settings_and_prompts_are_refused() {
    let refused = |params: GenerateParams| params.check().err().unwrap().to_string();
    let zero = GenerateParams { max_new_tokens: 0, ..GenerateParams::default() };
    assert!(refused(zero).contains("max_new_tokens"));
    for (temperature, top_p, name) in [
        (0.0, 1.0, "temperature"),
        (f64::NAN, 1.0, "temperature"),
        (1.0, 0.0, "top_p"),
        (1.0, 1.5, "top_p"),
    ] {
        let strategy = DecodingStrategy::Sample { temperature, top_p, top_k: 0, seed: 0 };
        assert!(refused(GenerateParams { strategy, ..GenerateParams::default() }).contains(name));
    }
    let strategy = DecodingStrategy::Beam { beams: 0, length_penalty: 1.0, early_stopping: false };
    assert!(refused(GenerateParams { strategy, ..GenerateParams::default() }).contains("beams"));

    let model = model("gpt2", DType::F32);
    let generator = GenerateParams::default().check().unwrap();
    let refused = |prompt: Vec<u32>| {
        let prompts = [vec![5], prompt];
        let result = generator.generate(&*model, &prompts, &mut NoTap, &mut |_| {});
        result.err().unwrap().to_string()
    };
    assert!(refused(vec![]).contains("prompt 1 of 0 tokens"));
    assert!(refused(vec![5; 128]).contains("prompt 1 of 128 tokens"));
    assert!(refused(vec![999]).contains("prompt 1 of token id 999"));
    let many = DecodingStrategy::Beam { beams: 200, length_penalty: 1.0, early_stopping: false };
    let generator = GenerateParams { strategy: many, ..GenerateParams::default() }.check().unwrap();
    let error = generator.generate(&*model, &[vec![5]], &mut NoTap, &mut |_| {}).err().unwrap();
    assert!(error.to_string().contains("beams"), "{error}");
    assert_eq!(generator.generate(&*model, &[], &mut NoTap, &mut |_| {}).unwrap(), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// What shares a batch, and in which order, changes no text.
    #[test]
    fn batches_do_not_matter(
        budget in 1usize..400,
        rotation in 0usize..7,
        kind in 0usize..3,
    ) {
        let expected = expected("qwen2");
        let model = model("qwen2", DType::F64);
        let strategy = [
            DecodingStrategy::Greedy,
            DecodingStrategy::Beam { beams: 3, length_penalty: 0.7, early_stopping: false },
            DecodingStrategy::Sample { temperature: 1.3, top_p: 0.95, top_k: 0, seed: 11 },
        ][kind];
        let whole = run(&*model, &expected.prompts, params(&expected, strategy));
        let parts = GenerateParams { token_budget: budget, ..params(&expected, strategy) };
        prop_assert_eq!(&ids(&run(&*model, &expected.prompts, parts.clone())), &ids(&whole));
        if kind < 2 {
            // The stream of a sampled text is that of its place.
            let mut prompts = expected.prompts.clone();
            prompts.rotate_left(rotation);
            let mut turned = ids(&whole);
            turned.rotate_left(rotation);
            prop_assert_eq!(ids(&run(&*model, &prompts, parts)), turned);
        }
    }
}
