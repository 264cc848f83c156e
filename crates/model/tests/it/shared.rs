//! Texts behind a beginning that they share: equal to the same texts read whole.

use proptest::prelude::*;
use tamis_dataset::Encoded;
use tamis_model::{
    Attention, Batch, CausalLm, DType, KvCache, NoTap, load, log_probs_after, target_log_probs,
};
use tch::{Device, Kind, Tensor};

use crate::support::{FIXTURES, VOCAB, difference, folder, model, options, sample, some_ids};

fn tensor(ids: &[u32]) -> Tensor {
    let ids: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    Tensor::from_slice(&ids).unsqueeze(0)
}

/// The beginnings, right-padded, in a cache with room for `more` tokens.
fn read(model: &dyn CausalLm, texts: &[Vec<u32>], more: usize) -> KvCache {
    let lengths: Vec<usize> = texts.iter().map(Vec::len).collect();
    let time = lengths.iter().copied().max().unwrap();
    let padded = texts.iter().map(|text| {
        let mut text = text.clone();
        text.resize(time, 3);
        tensor(&text)
    });
    let mut cache = KvCache::new(&lengths, more);
    let _ =
        model.extend(&Tensor::cat(&padded.collect::<Vec<_>>(), 0), &mut cache, &mut NoTap).unwrap();
    cache
}

fn log_probs(model: &dyn CausalLm, texts: &[Encoded], cache: Option<&mut KvCache>) -> Tensor {
    let batch = Batch::predicting_only(&texts.iter().collect::<Vec<_>>(), Device::Cpu).unwrap();
    let _no_grad = tch::no_grad_guard();
    match cache {
        None => target_log_probs(model, &batch, &mut NoTap).unwrap(),
        Some(cache) => {
            let hidden = model.extend(&batch.ids, cache, &mut NoTap).unwrap();
            log_probs_after(model, &batch, &hidden, &mut NoTap).unwrap()
        }
    }
}

/// Each text behind `beginning`, alone and whole.
fn whole(model: &dyn CausalLm, beginning: &[u32], texts: &[Encoded]) -> Tensor {
    let parts = texts.iter().map(|text| {
        let ids = [beginning, &text.ids].concat();
        let mut joined = sample(0, ids, 0);
        joined.supervised[..beginning.len()].fill(false);
        joined.supervised[beginning.len()..].copy_from_slice(&text.supervised);
        log_probs(model, &[joined], None)
    });
    Tensor::cat(&parts.collect::<Vec<_>>(), 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// On every architecture, with either kernel, from any row of a cache, and again and again.
    #[test]
    fn a_shared_beginning_changes_nothing(
        beginnings in prop::collection::vec(prop::collection::vec(0..VOCAB, 1..=12), 1..=3),
        stem in prop::collection::vec(0..VOCAB, 0..=4),
        texts in prop::collection::vec(
            prop::collection::vec(0..VOCAB, 2..=14).prop_flat_map(|ids| {
                let tokens = ids.len();
                (Just(ids), 1..tokens)
            }),
            1..=5,
        ),
        kernel in 0..2usize,
    ) {
        let texts: Vec<Encoded> = texts
            .into_iter()
            .enumerate()
            .map(|(row, (ids, prompt))| sample(row, ids, prompt))
            .collect();
        let kernel = [Attention::Fused, Attention::Math][kernel];
        for name in FIXTURES {
            for (kind, bound) in [(DType::F64, 1e-9), (DType::F32, 2e-4)] {
                let model = load(folder(name), &options(kind, kernel)).unwrap();
                let cache = read(&*model, &beginnings, 0);
                for (row, beginning) in beginnings.iter().enumerate() {
                    let mut one = cache.text(row, stem.len()).unwrap();
                    if !stem.is_empty() {
                        let _ = model.extend(&tensor(&stem), &mut one, &mut NoTap).unwrap();
                    }
                    let mut shared = one.shared().unwrap();
                    let expected = whole(&*model, &[&beginning[..], &stem].concat(), &texts);
                    for _ in 0..2 {
                        let found = log_probs(&*model, &texts, Some(&mut shared));
                        let off = difference(&found, &expected);
                        prop_assert!(off <= bound, "{name} {kind} row {row}: off by {off}");
                    }
                    // Another batch behind the same beginning.
                    let first = log_probs(&*model, &texts[..1], Some(&mut shared));
                    let off = difference(&first, &expected.narrow(0, 0, first.size()[0]));
                    prop_assert!(off <= bound, "{name} {kind} row {row}: off by {off}");
                }
            }
        }
    }
}

/// A row is taken out of a cache whose rows have read on behind their padding.
#[test]
fn a_row_is_taken_out_without_its_padding() {
    let model = model("llama", DType::F64);
    let beginnings = [vec![5, 9, 17], vec![8, 30, 31, 32, 40, 41]];
    let mut cache = read(&*model, &beginnings, 2);
    let more = Tensor::from_slice(&[11i64, 12, 21, 22]).view([2, 2]);
    let _ = model.extend(&more, &mut cache, &mut NoTap).unwrap();
    let texts = [sample(0, vec![50, 51, 52, 53], 2), sample(1, vec![60, 61], 1)];
    for (row, later) in [[11, 12], [21, 22]].iter().enumerate() {
        let mut shared = cache.text(row, 0).unwrap().shared().unwrap();
        let found = log_probs(&*model, &texts, Some(&mut shared));
        let expected = whole(&*model, &[&beginnings[row][..], later].concat(), &texts);
        assert!(difference(&found, &expected) < 1e-9, "row {row}");
    }
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let model = model("gpt2", DType::F32);
    let refusal =
        |result: Result<KvCache, tamis_model::ModelError>| result.err().unwrap().to_string();
    let unread = KvCache::new(&[3], 0);
    assert!(refusal(unread.text(0, 0)).contains("has read nothing"));
    assert!(refusal(unread.shared()).contains("0 tokens"));
    let two = read(&*model, &[vec![5, 6], vec![7]], 0);
    assert!(refusal(two.text(2, 0)).contains("row 2"));
    assert!(refusal(two.shared()).contains("2 rows"));
    let mut shared = read(&*model, &[vec![5; 60]], 0).shared().unwrap();
    assert!(shared.select(&[0, 0]).unwrap_err().to_string().contains("shared"));
    // Four positions are left, the padding included.
    assert!(model.extend(&some_ids(3, 4), &mut shared, &mut NoTap).is_ok());
    let error = model.extend(&some_ids(3, 5), &mut shared, &mut NoTap).err().unwrap().to_string();
    assert!(error.contains("65") && error.contains("n_positions"), "{error}");
}

/// A loss needs no token behind the last one that predicts a target.
#[test]
fn what_predicts_nothing_is_not_read() {
    let model = model("qwen2", DType::F64);
    let mut chat = sample(0, vec![5, 6, 7, 8, 9, 10, 11], 3);
    chat.supervised = vec![false, true, true, false, true, false, false];
    let texts = [&chat, &sample(1, vec![20, 21, 22], 1)];
    let all = Batch::new(&texts, Device::Cpu).unwrap();
    let few = Batch::predicting_only(&texts, Device::Cpu).unwrap();
    assert_eq!((all.ids.size(), few.ids.size()), (vec![2, 7], vec![2, 4]));
    assert_eq!((&few.lengths, &few.counts), (&vec![4, 2], &vec![3, 2]));
    assert_eq!(few.targets, all.targets);
    let of = |batch: &Batch| tch::no_grad(|| target_log_probs(&*model, batch, &mut NoTap).unwrap());
    assert!(difference(&of(&all), &of(&few)) < 1e-12);
    assert_eq!(of(&few).kind(), Kind::Double);
}
