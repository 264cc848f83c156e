//! A loop over single samples, one full forward pass a term, in f64 and without the crate's own
//! batches, masks or reversal.

use tamis_dataset::{Sample, TextTokenizer};
use tamis_ifd_scoring::{IfdScorer, Measures, Preset, ScoreParams, reversed};
use tamis_model::{CausalLm, DType, NoTap};
use tch::{Kind, Tensor};

use crate::common::{losses, model, pool, sample, short, tokenizer};

/// Mean negative log-probability of the tokens from `first` on, from the whole softmax.
fn loss(model: &dyn CausalLm, ids: &[u32], first: usize) -> f64 {
    let wide: Vec<i64> = ids.iter().map(|&id| i64::from(id)).collect();
    let hidden = model.hidden(&Tensor::from_slice(&wide).unsqueeze(0), &mut NoTap).unwrap();
    let all = model.logits(&hidden, &mut NoTap).unwrap().log_softmax(-1, Kind::Double);
    let of = |t: usize| all.double_value(&[0, t as i64 - 1, wide[t]]);
    -(first..ids.len()).map(of).sum::<f64>() / (ids.len() - first) as f64
}

/// Both terms of `answer` after `prompt`, whose tokens meet at the border in this data.
fn both(
    model: &dyn CausalLm,
    tokenizer: &TextTokenizer,
    prompt: &str,
    answer: &str,
) -> [Option<f64>; 2] {
    let whole = tokenizer.ids(&format!("{prompt}{answer}"), true).unwrap();
    let before = tokenizer.ids(prompt, true).unwrap();
    assert_eq!(whole[..before.len()], before, "{prompt}{answer}");
    let begin = tokenizer.ids("", true).unwrap();
    let skip = usize::from(begin.is_empty());
    if whole.len() <= before.len() + skip {
        return [None, None];
    }
    let direct = [&begin[..], &whole[before.len()..]].concat();
    [Some(loss(model, &whole, before.len() + skip)), Some(loss(model, &direct, begin.len() + skip))]
}

fn parts(sample: &Sample) -> (String, String) {
    let tamis_dataset::Content::Instruction { instruction, input, output } = &sample.content else {
        panic!("{sample:?}");
    };
    let line = |text: &str| if text.is_empty() { String::new() } else { format!("{text}\n") };
    (format!("{instruction}\n{}", line(input)), output.clone())
}

#[test]
fn scores_are_those_of_a_loop_over_single_samples() {
    let request = "Text: {response}\nWhat was asked?";
    for name in ["plain", "begins"] {
        let model = model(name, DType::F64);
        let words = tokenizer(name);
        let params = ScoreParams {
            measures: Measures::ALL,
            request: request.to_owned(),
            token_budget: 300,
            ..short(Preset::Superfiltering.scoring())
        };
        let samples = pool(24);
        let scorer = IfdScorer::new(model.as_ref(), tokenizer(name), params).unwrap();
        let scores = scorer.score(&samples).unwrap();
        let mut compared = 0;
        for (sample, found) in samples.iter().zip(&scores) {
            let (prompt, answer) = parts(sample);
            let back = format!("{}\n", request.replace("{response}", &answer));
            let [a, b] = both(model.as_ref(), &words, &prompt, &answer);
            let [c, d] = both(model.as_ref(), &words, &back, prompt.trim_end());
            for (found, expected) in losses(found).into_iter().zip([a, b, c, d]) {
                match (found, expected) {
                    (Some(found), Some(expected)) => {
                        assert!((found - expected).abs() < 1e-10, "{found} is not {expected}");
                        compared += 1;
                    }
                    (found, expected) => assert_eq!(found, expected, "{}", sample.id),
                }
            }
        }
        assert!(compared > 80, "{compared}");
    }
}

#[test]
fn the_reversed_sample_asks_for_instruction_and_input() {
    let row = sample(3, "Add.", "1 and {response}", "It is {response}.");
    let back = reversed(&row, "From <{response}> guess.", None).unwrap().unwrap();
    assert_eq!((back.id, back.index), (row.id, 3));
    let expected = sample(3, "From <It is {response}.> guess.", "", "Add.\n1 and {response}");
    assert_eq!(back.content, expected.content);
}
