//! The presets against a loop over single texts in the Transformers library (`make_fixtures.py`).

use serde::Deserialize;
use tamis_dataset::Sample;
use tamis_ifd_scoring::{IfdScorer, Measured, Measures, Preset, Ratio, ScoreParams, Term, Terms};
use tamis_model::DType;

use crate::common::{folder, model, sample, short, tokenizer, value};

#[derive(Deserialize)]
struct Published {
    request: String,
    samples: Vec<[String; 3]>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    model: String,
    preset: String,
    sample: usize,
    answer: Option<(f64, f64, usize)>,
    instruction: Option<(f64, f64, usize)>,
    by_searching: Option<(f64, f64)>,
}

fn published() -> (Published, Vec<Sample>) {
    let text = std::fs::read_to_string(folder("scores.json")).unwrap();
    let published: Published = serde_json::from_str(&text).unwrap();
    let row = |(n, [instruction, input, output]): (usize, &[String; 3])| {
        sample(n, instruction, input, output)
    };
    let samples = published.samples.iter().enumerate().map(row).collect();
    (published, samples)
}

const TOLERANCE: f64 = 1e-4;

fn agree(found: Terms, expected: Option<(f64, f64, usize)>, what: &str) {
    let Some((conditional, direct, targets)) = expected else {
        assert!(found.conditional.reason().is_some() && found.direct.reason().is_some(), "{what}");
        return;
    };
    for (found, expected) in [(found.conditional, conditional), (found.direct, direct)] {
        let Measured::Value(Term { loss, targets: count }) = found else {
            panic!("{what}: {found:?}");
        };
        assert_eq!(count, targets, "{what}");
        assert!((loss - expected).abs() < TOLERANCE, "{what}: {loss} is not {expected}");
    }
}

#[test]
fn every_preset_agrees_with_the_loop() {
    let (published, samples) = published();
    let (mut compared, mut searched) = (0, 0);
    for name in ["begins", "plain"] {
        let model = model(name, DType::F32);
        for preset in Preset::ALL {
            let params = ScoreParams {
                measures: Measures::ALL,
                request: published.request.clone(),
                ..short(preset.scoring())
            };
            let scorer = IfdScorer::new(model.as_ref(), tokenizer(name), params).unwrap();
            let scores = scorer.score(&samples).unwrap();
            let of = |case: &&Case| case.model == name && case.preset == preset.name();
            for case in published.cases.iter().filter(of) {
                let what = format!("{name}, {preset}, sample {}", case.sample);
                let found = &scores[case.sample];
                agree(found.answer.clone(), case.answer, &what);
                agree(found.instruction.clone(), case.instruction, &format!("{what}, reversed"));
                compared += 1;
                if let Some((a, b, _)) = case.answer {
                    let ifd = match preset {
                        Preset::Cherry => a / b,
                        Preset::Superfiltering | Preset::Reflection => (a - b).exp(),
                    };
                    let error = (value(&found.ifd()) / ifd - 1.0).abs();
                    assert!(error < TOLERANCE, "{what}: ifd is off by {error}");
                    assert!((value(&found.ppl_cond()) / a.exp() - 1.0).abs() < TOLERANCE);
                    assert!((value(&found.ppl_direct()) / b.exp() - 1.0).abs() < TOLERANCE);
                }
                if let Some((a, b)) = case.by_searching {
                    assert_eq!(scorer.params().ratio, Ratio::Loss);
                    assert!((value(&found.ifd()) - a / b).abs() < TOLERANCE, "{what}");
                    searched += 1;
                }
            }
        }
    }
    assert_eq!(compared, 2 * 3 * samples.len());
    assert!(searched >= 8, "{searched}");
}

#[test]
fn the_fixture_tells_right_from_wrong() {
    // Terms whose targets differ by a token, or by the context, are further apart than the tolerance.
    let (published, samples) = published();
    let model = model("begins", DType::F32);
    let score = |preset: Preset| {
        let params = short(preset.scoring());
        IfdScorer::new(model.as_ref(), tokenizer("begins"), params)
            .unwrap()
            .score(&samples)
            .unwrap()
    };
    let (cherry, plain) = (score(Preset::Cherry), score(Preset::Superfiltering));
    for n in 0..published.samples.len() {
        let direct =
            |scores: &[tamis_ifd_scoring::SampleScores]| scores[n].answer.direct.value().unwrap();
        assert!((direct(&cherry).loss - direct(&plain).loss).abs() > 100.0 * TOLERANCE);
    }
}
