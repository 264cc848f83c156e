//! The mean against another library and against a plain loop.

use serde::Deserialize;
use tamis_dataset::Outcome;
use tamis_model::{DType, NoTap, Pool};
use tch::{Kind, Tensor};

use super::{difference, embed, encoder, model, params, sample, samples};
use crate::fixture;

#[derive(Deserialize)]
struct Published {
    samples: Vec<[String; 2]>,
    models: std::collections::BTreeMap<String, Vec<Pooled>>,
}

#[derive(Deserialize)]
struct Pooled {
    all: Vec<f64>,
    response: Vec<f64>,
    weighted: Vec<f64>,
}

#[test]
fn transformers_gives_the_same_means() {
    let text = std::fs::read_to_string(fixture("pooled.json")).unwrap();
    let published: Published = serde_json::from_str(&text).unwrap();
    let rows = published.samples.iter().enumerate();
    let samples: Vec<_> = rows.map(|(n, [asked, answer])| sample(n, asked, answer)).collect();
    assert_eq!(published.models.len(), 2);
    for (name, expected) in published.models {
        // Means are stored in f32, and the other library turns positions into angles in f32.
        for (kind, tolerance) in [(DType::F64, 1e-6), (DType::F32, 1e-5)] {
            let (model, encoder) = (model(&name, kind), encoder(&name));
            for pool in [Pool::All, Pool::Targets, Pool::Weighted] {
                let found = embed(model.as_ref(), &encoder, &params(pool, 100), &samples);
                for (found, expected) in found.iter().zip(&expected) {
                    let expected = match pool {
                        Pool::All => &expected.all,
                        Pool::Targets => &expected.response,
                        Pool::Weighted => &expected.weighted,
                    };
                    let apart = difference(expected, &found.values);
                    assert!(apart < tolerance, "{name} {kind} {pool:?} {}: {apart}", found.id);
                }
            }
        }
    }
}

#[test]
fn a_loop_over_positions_gives_the_same_means() {
    let (model, encoder, samples) = (model("begins", DType::F64), encoder("begins"), samples(20));
    for pool in [Pool::All, Pool::Targets, Pool::Weighted] {
        let found = embed(model.as_ref(), &encoder, &params(pool, 300), &samples);
        for (sample, found) in samples.iter().zip(found) {
            assert_eq!((&found.id, found.index), (&sample.id, sample.index));
            let Outcome::Scored(tokens) = encoder.encode(sample) else { panic!() };
            let ids: Vec<i64> = tokens.ids.iter().map(|&id| i64::from(id)).collect();
            let ids = Tensor::from_slice(&ids).unsqueeze(0);
            let hidden = tch::no_grad(|| model.hidden(&ids, &mut NoTap).unwrap()).squeeze_dim(0);
            let mut sum = [0.0; 16];
            let mut total = 0.0;
            for (place, &target) in tokens.supervised.iter().enumerate() {
                let weight = match pool {
                    Pool::All => 1.0,
                    Pool::Targets => f64::from(u8::from(target)),
                    Pool::Weighted => (place + 1) as f64,
                };
                let at = hidden.get(place as i64).to_kind(Kind::Double);
                let at = Vec::<f64>::try_from(at).unwrap();
                sum.iter_mut().zip(at).for_each(|(sum, x)| *sum += weight * x);
                total += weight;
            }
            let mean: Vec<f64> = sum.iter().map(|x| x / total).collect();
            assert!(difference(&mean, &found.values) < 1e-7, "{pool:?} {}", sample.id);
        }
    }
}
