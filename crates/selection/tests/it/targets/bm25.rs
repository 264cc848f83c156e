//! BM25 against another implementation, a naive loop, and what must hold for any texts.

use proptest::prelude::*;
use serde::Deserialize;
use tamis_artifact::NoProgress;
use tamis_dataset::{Content, Sample};
use tamis_selection::ScoreStage;
use tamis_selection::targets::{
    Bm25Params, Target, TargetColumns, TargetError, TargetScores, TaskRule,
};

/// A sample whose text is in several of its fields.
fn sample(index: usize, text: &str) -> Sample {
    let (instruction, output) = text.split_once(' ').unwrap_or((text, ""));
    let content = Content::Instruction {
        instruction: instruction.to_owned(),
        input: String::new(),
        output: output.to_owned(),
    };
    Sample { id: format!("s{index}").into(), index, content }
}

fn scores(
    params: Bm25Params,
    documents: &[String],
    queries: &[String],
) -> Result<TargetScores, TargetError> {
    let targets: Vec<_> = queries
        .iter()
        .enumerate()
        .map(|(n, text)| (Target::new("task", format!("q{n}")), sample(n, text)))
        .collect();
    let mut bm25 = params.check(&targets)?;
    let rows: Vec<Sample> = documents.iter().enumerate().map(|(n, text)| sample(n, text)).collect();
    bm25.add_all(&rows).unwrap();
    bm25.finish()
}

#[derive(Deserialize)]
struct Published {
    documents: Vec<String>,
    queries: Vec<String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    k1: f64,
    b: f64,
    /// By query, then by document.
    scores: Vec<Vec<f64>>,
}

#[test]
fn a_script_of_another_language_gives_the_same_scores() {
    let published: Published =
        serde_json::from_str(include_str!("../../fixtures/bm25.json")).unwrap();
    assert_eq!(published.cases.len(), 4);
    for Case { k1, b, scores: expected } in published.cases {
        let params = Bm25Params { k1, b };
        let found = scores(params, &published.documents, &published.queries).unwrap();
        for (query, expected) in expected.iter().enumerate() {
            for (candidate, expected) in found.candidates().iter().zip(expected) {
                let apart = (f64::from(candidate.scores[query]) - expected).abs();
                assert!(apart < 1e-6, "{params:?} query {query} {}: {apart}", candidate.id);
            }
        }
    }
}

/// Texts of few different words, so that they share some.
fn texts(least: usize) -> impl Strategy<Value = Vec<String>> {
    let word = prop::sample::select(vec!["a", "b", "C", "dd", "é", "猫", "don't"]);
    let text = prop::collection::vec(word, least..9).prop_map(|words| words.join(" "));
    prop::collection::vec(text, 1..8)
}

fn naive(params: Bm25Params, documents: &[String], query: &str, document: usize) -> f64 {
    let lists: Vec<Vec<String>> = documents
        .iter()
        .map(|text| text.split_whitespace().map(str::to_lowercase).collect())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect();
    let words: Vec<String> =
        documents[document].split_whitespace().map(str::to_lowercase).collect();
    let total = lists.len() as f64;
    let mean = lists.iter().map(Vec::len).sum::<usize>() as f64 / total;
    let mut score = 0.0;
    for word in query.split_whitespace().map(str::to_lowercase) {
        let having = lists.iter().filter(|list| list.contains(&word)).count() as f64;
        let count = words.iter().filter(|other| **other == word).count() as f64;
        let length = 1.0 - params.b + params.b * words.len() as f64 / mean;
        // Of k1 0 and no occurrence, 0 / 0.
        if count > 0.0 {
            score +=
                (1.0 + (total - having + 0.5) / (having + 0.5)).ln() * count * (params.k1 + 1.0)
                    / (count + params.k1 * length);
        }
    }
    score
}

proptest! {
    #[test]
    fn a_naive_loop_gives_the_same_scores(
        documents in texts(0),
        queries in texts(1),
        k1 in 0.0f64..3.0,
        b in 0.0f64..=1.0,
    ) {
        let params = Bm25Params { k1, b };
        let found = scores(params, &documents, &queries).unwrap();
        prop_assert_eq!(found.candidates().len() + found.unscored().len(), documents.len());
        for candidate in found.candidates() {
            for (query, score) in queries.iter().zip(&candidate.scores) {
                let expected = naive(params, &documents, query, candidate.index);
                prop_assert!((f64::from(*score) - expected).abs() < 1e-5 * (1.0 + expected));
                prop_assert!(*score >= 0.0);
            }
        }
        for other in found.unscored() {
            prop_assert_eq!(documents[other.index].as_str(), "");
            prop_assert_eq!(other.reason.as_str(), "it has no words");
        }
    }
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let text = |text: &str| vec![text.to_owned()];
    for (k1, b, name) in
        [(-0.1, 0.5, "k1"), (f64::NAN, 0.5, "k1"), (1.0, 1.1, "b"), (1.0, -0.1, "b")]
    {
        let message = scores(Bm25Params { k1, b }, &text("a"), &text("a")).unwrap_err().to_string();
        assert!(message.contains(&format!("`{name}`")), "{message}");
    }
    let params = Bm25Params::default();
    assert_eq!(scores(params, &text("a"), &[]), Err(TargetError::NoTargets));
    let message = scores(params, &text("a"), &text("?! ...")).unwrap_err().to_string();
    assert!(message.contains("target `q0` of task `task` has no words"), "{message}");
}

/// Every text of a sample counts, and the rule takes what shares words with a target.
#[test]
fn turns_and_both_sides_of_a_translation_are_searched() {
    let chat = |texts: &[&str]| Content::Chat {
        messages: texts.iter().map(|text| tamis_dataset::Message::new("user", *text)).collect(),
    };
    let translation = |source: &str, target: &str| Content::Translation {
        source: source.to_owned(),
        target: target.to_owned(),
    };
    let pool =
        [chat(&["hello", "Schlaf"]), translation("ein Hund", "a dog"), translation("x", "y")];
    let target = |n: usize, content| {
        (Target::new("t", format!("{n}")), Sample { id: format!("t{n}").into(), index: n, content })
    };
    let targets = [target(0, translation("dog", "z")), target(1, chat(&["w", "schlaf"]))];
    let mut bm25 = Bm25Params::default().check(&targets).unwrap();
    for (n, content) in pool.iter().enumerate() {
        bm25.add(format!("s{n}").into(), n, content);
    }
    let scores = bm25.finish().unwrap();
    let chosen = TaskRule::RoundRobin.choose(&scores, 2).unwrap();
    assert!(chosen.ascending() == [0, 1]);
}

#[test]
fn any_source_of_rows_becomes_columns_of_a_pipeline() {
    let folder = tempfile::tempdir().unwrap();
    // Rows that say nothing of where they stand.
    let row = |id: &str, text: &str| Sample { index: 0, ..sample(0, text).with_id(id) };
    let rows = vec![row("a", "red apple"), row("b", "blue sky"), row("c", "")];
    let targets = [
        (Target::new("fruit", "1"), sample(0, "apple")),
        (Target::new("sky", "1"), sample(1, "sky")),
    ];
    let mut bm25 = Bm25Params::default().check(&targets).unwrap();
    bm25.add_all(&rows).unwrap();
    let scores = bm25.finish().unwrap();
    let columns = TargetColumns::new(&scores);
    let stage = ScoreStage::new(folder.path().join("bm25"));
    let found = stage.run(&columns, &rows, &mut NoProgress).unwrap();
    assert_eq!(found.columns, ["fruit/1", "sky/1"]);
    let value = |row: usize, column: usize| found.rows[row].scores[column].value();
    assert_eq!(value(0, 0), Some(f64::from(scores.candidates()[0].scores[0])));
    assert!(value(0, 0) > Some(0.0) && value(0, 1) == Some(0.0));
    assert!(value(1, 0) == Some(0.0) && value(1, 1) > Some(0.0));
    assert_eq!(found.rows[2].scores[0].reason().unwrap().to_string(), "it has no words");
    assert_eq!(stage.run(&columns, &rows, &mut NoProgress).unwrap().resumed, 3);
    // Other numbers.
    let mut bm25 = Bm25Params { k1: 2.0, ..Bm25Params::default() }.check(&targets).unwrap();
    let longer = vec![row("a", "red apple"), row("b", "blue sky blue"), row("c", "")];
    bm25.add_all(&longer).unwrap();
    let other = TargetColumns::new(&bm25.finish().unwrap());
    let error = stage.run(&other, &rows, &mut NoProgress).unwrap_err().to_string();
    assert!(error.contains("`made_from.scorer`"), "{error}");
    // Rows that were not among those.
    let stranger = vec![row("z", "red apple")];
    let error = ScoreStage::new(folder.path().join("z")).run(&columns, &stranger, &mut NoProgress);
    assert!(error.unwrap_err().to_string().contains("`z`"));
}
