//! What a run writes, and that it is what the method says.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tamis::dataset::{Dataset, Template};
use tamis::dataset::{
    EncodeOptions, Encoded, Encoder, Encodings, Outcome, ReadOptions, TextTokenizer,
};
use tamis::diverse_evol::Strategy;
use tamis::finetune::evaluate;
use tamis::model::{Batch, CausalLm, LoadOptions, NoTap, load};

use super::{Evol, POOL, lines, timeless};
use crate::pools;
use crate::program::{Finished, model};

fn encoded(path: &Path) -> Vec<Encoded> {
    let rows = Dataset::open(path, &ReadOptions::default()).unwrap();
    let options = EncodeOptions {
        max_length: 512,
        target_language: Some("English".to_owned()),
        ..EncodeOptions::default()
    };
    let template = Template::parse("translation", Some("English")).unwrap();
    let tokenizer = TextTokenizer::from_dir(model()).unwrap();
    let encoder = Encoder::new(tokenizer, template, options).unwrap();
    let outcomes = encoder.encode_all(&rows.read_range(0..rows.len()).unwrap());
    outcomes
        .into_iter()
        .map(|outcome| match outcome {
            Outcome::Scored(sample) => sample,
            Outcome::Unscorable { id, reason, .. } => panic!("{id}: {reason}"),
        })
        .collect()
}

/// The mean over all positions of the hidden states after the final norm, one row at a time.
fn embedding(model: &dyn CausalLm, sample: &Encoded) -> Vec<f64> {
    let batch = Batch::new(&[sample], tch::Device::Cpu).unwrap();
    let hidden = tch::no_grad(|| model.hidden(&batch.ids, &mut NoTap).unwrap());
    let mean = hidden.to_kind(tch::Kind::Double).mean_dim(1, false, tch::Kind::Double);
    Vec::try_from(mean.view([-1])).unwrap()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

/// Numbers of the rows that a round added, in the order of the choice.
fn picks(run: &Finished, round: usize) -> Vec<usize> {
    let mut picks: Vec<(u64, usize)> = run
        .scores()
        .iter()
        .filter(|line| line["round"] == round)
        .map(|line| (line["order"].as_u64().unwrap(), line["index"].as_u64().unwrap() as usize))
        .collect();
    picks.sort_unstable();
    picks.into_iter().map(|(_, index)| index).collect()
}

#[test]
fn the_rounds_are_those_of_the_method() {
    let folder = tempfile::tempdir().unwrap();
    let evol = Evol::new(folder.path(), "out");
    let run = evol.succeed();
    let samples = encoded(&folder.path().join("pool.jsonl"));
    let held_out = encoded(&folder.path().join("held-out.jsonl"));
    let rounds = lines(&run.out.join("rounds.jsonl"));
    let mut chosen = picks(&run, 0);
    assert_eq!(chosen.len(), 4);
    for round in 0..=3 {
        let line = &rounds[round];
        assert_eq!((&line["round"], &line["size"]), (&json!(round), &json!(4 + 3 * round)));

        // The model: what the library trains, from the base on, on the rows so far.
        let at = run.out.join(format!("round-0{round}/model"));
        let found = load(&at, &LoadOptions::default()).unwrap();
        let mut set = chosen.clone();
        set.sort_unstable();
        let rows: Vec<Encoded> = set.iter().map(|&row| samples[row].clone()).collect();
        let mut fresh = load(model(), &LoadOptions::default()).unwrap();
        let params = tamis::finetune::TrainParams {
            epochs: 2,
            learning_rate: 3e-3,
            batch_size: 2,
            token_budget: 512,
            ..Default::default()
        };
        let report = params.check().unwrap().train(
            fresh.as_mut(),
            &Encodings::of(&rows),
            &mut tamis::artifact::NoProgress,
        );
        let loss = report.unwrap().epochs[1].loss;
        // Other threads add in another order.
        let told = line["train_loss"].as_f64().unwrap();
        assert!((told - loss).abs() < 1e-4 * loss, "{told} {loss}");
        let eval = evaluate(found.as_ref(), &Encodings::of(&held_out), 512, &mut NoTap).unwrap();
        let told = line["held_out_loss"].as_f64().unwrap();
        assert!((told - eval.loss).abs() < 1e-5 * eval.loss, "{told} {}", eval.loss);

        // The choice: farthest first, one at a time, in f64.
        if round == 3 {
            break;
        }
        let points: Vec<Vec<f64>> =
            samples.iter().map(|sample| embedding(found.as_ref(), sample)).collect();
        let nearest = |row: usize, chosen: &[usize]| {
            let each = chosen.iter().map(|&c| distance(&points[row], &points[c]));
            each.fold(f64::INFINITY, f64::min)
        };
        for (place, &pick) in picks(&run, round + 1).iter().enumerate() {
            let left = (0..POOL).filter(|row| !chosen.contains(row));
            let best =
                left.map(|row| (nearest(row, &chosen), row)).max_by(|a, b| a.0.total_cmp(&b.0));
            let (radius, best) = best.unwrap();
            assert_eq!(pick, best, "round {}, pick {place}", round + 1);
            let told = run.scores()[pick]["radius"].as_f64().unwrap();
            assert!((told - radius).abs() < 1e-4 * radius, "{told} {radius}");
            chosen.push(pick);
        }
        let radius = (0..POOL).map(|row| nearest(row, &chosen)).fold(0.0, f64::max);
        let told = rounds[round + 1]["radius"].as_f64().unwrap();
        assert!((told - radius).abs() < 1e-4 * radius, "{told} {radius}");
    }
    assert!(rounds[0]["radius"].is_null());
}

#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let run = Evol::new(folder.path(), "out").succeed();
    let rows = pools::pairs();
    let scores = run.scores();
    assert_eq!(scores.len(), POOL);
    let mut orders = BTreeSet::new();
    for (index, line) in scores.iter().enumerate() {
        assert_eq!((&line["id"], &line["index"]), (&json!(format!("p{index}")), &json!(index)));
        let selected = line["selected"].as_bool().unwrap();
        assert_eq!(selected, line["order"].is_u64());
        assert_eq!(selected, line["round"].is_u64());
        let reason = line["reason"].as_str().unwrap();
        if let Some(order) = line["order"].as_u64() {
            orders.insert(order);
            assert!(reason.starts_with(&format!("round {}: ", line["round"])), "{reason}");
            assert_eq!(line["radius"].is_f64(), line["round"] != 0);
        } else {
            assert_eq!(reason, "not chosen in rounds 0 to 3");
        }
    }
    assert_eq!(orders, (0..13).collect());
    // As they came, in the order of the pool.
    let chosen = scores.iter().zip(&rows).filter(|(line, _)| line["selected"] == true);
    assert_eq!(run.selected(), chosen.map(|(_, row)| row.clone()).collect::<Vec<_>>());
    assert_eq!((run.count("candidates"), run.count("selected")), (40, 13));
    assert_eq!((run.count("rounds"), run.count("eval_used")), (4, 8));
    assert_eq!(run.run()["parameters"]["strategy"], "k-center");
    let page = run.text("report.html");
    for text in ["DiverseEvol", "Coverage radius", "held out", "Rounds", "<svg", "First choices"] {
        assert!(page.contains(text), "{text}");
    }
    let told = "13 of 40 rows chosen by k-center in rounds 0 to 3";
    assert!(run.printed.contains(told), "{}", run.printed);
    // Each round has its training set, as the rows came.
    for round in 0..=3 {
        let set = scores.iter().zip(&rows);
        let set = set.filter(|(line, _)| line["round"].as_u64().is_some_and(|one| one <= round));
        let found = run.text(&format!("round-0{round}/train.jsonl"));
        let set: Vec<&str> = set.map(|(_, row)| row.as_str()).collect();
        assert_eq!(found.lines().collect::<Vec<_>>(), set);
    }
    assert!(run.printed.contains("held-out loss: "), "{}", run.printed);
    // Once more: the same, and nothing is done again.
    let again = Evol::new(folder.path(), "out").succeed();
    assert!(again.resumed("rounds"));
    assert!(timeless(&again) == timeless(&run));
}

#[test]
fn every_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let mut first: Option<Vec<usize>> = None;
    for strategy in Strategy::ALL {
        let evol = Evol::new(folder.path(), strategy.name()).with("strategy", strategy);
        let run = evol.without("eval-data").with("rounds", 2).with("epochs", 1).succeed();
        assert_eq!(run.count("selected"), 10, "{strategy}");
        assert_eq!(*first.get_or_insert(picks(&run, 0)), picks(&run, 0));
        let there = |name: &str| run.out.join(name).exists();
        // Only what is needed is trained: without held-out rows nobody asks for the last model.
        let needed = strategy.needs_training();
        assert_eq!((there("round-00/model"), there("round-01/model")), (needed, needed));
        assert!(!there("round-02/model"));
        assert_eq!(there("base-view"), strategy == Strategy::OneShotKCenter);
        let with = |field: &str| -> usize {
            run.scores().iter().filter(|line| line.get(field).is_some_and(Value::is_f64)).count()
        };
        let (radii, scores) = match strategy {
            Strategy::KCenter | Strategy::OneShotKCenter => (6, 0),
            Strategy::Random => (0, 0),
            _ => (0, 6),
        };
        assert_eq!((with("radius"), with("score")), (radii, scores), "{strategy}");
    }
}

#[test]
fn rows_without_use_are_left_out_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let evol = Evol::new(folder.path(), "out").with("rounds", 1);
    let mut rows = pools::pairs();
    for n in [0, 7] {
        rows[n] = pools::line(&format!("p{n}"), "le chat", "");
    }
    let pool = pools::write(folder.path(), "hollow.jsonl", &rows);
    for strategy in ["k-center", "margin"] {
        let run = evol.clone().with("pool", pool.display()).with("strategy", strategy);
        let run = run.with("out", folder.path().join(strategy).display());
        run.succeed();
        let scores = lines(&folder.path().join(strategy).join("scores.jsonl"));
        assert_eq!(scores.len(), rows.len());
        for n in [0, 7] {
            assert_eq!(scores[n]["id"], format!("p{n}"));
            assert_eq!(scores[n]["reason"], "left out: the target is empty");
            assert_eq!(scores[n]["selected"], false);
        }
        let selected = lines(&folder.path().join(strategy).join("selected.jsonl"));
        assert_eq!(selected.len(), 7);
        for line in scores.iter().filter(|line| line["selected"] == true) {
            assert!(selected.iter().any(|row| row["id"] == line["id"]));
        }
    }
}

#[test]
fn adapters_and_what_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let evol = Evol::new(folder.path(), "out").with("lora-rank", 4).with("rounds", 2);
    let run = evol.switch("drop-old-models").switch("drop-old-views").succeed();
    let there = |name: &str| run.out.join(name).exists();
    assert!(!there("round-00/model") && !there("round-01/model") && there("round-02/model"));
    assert!(!there("round-00/view") && !there("round-01/view"));
    // The adapter is in the weights.
    let last = run.out.join("round-02/model");
    assert!(last.join("model.safetensors").is_file() && !last.join("adapter_config.json").exists());
    let fingerprint = |folder: &Path| {
        load(folder, &LoadOptions::default()).unwrap().parameters().fingerprint().unwrap()
    };
    assert_ne!(fingerprint(&last), fingerprint(&model()));
    let rounds = lines(&run.out.join("rounds.jsonl"));
    assert!(
        rounds.iter().all(|round| round["held_out_loss"].is_f64() && round["model"].is_string())
    );
}
