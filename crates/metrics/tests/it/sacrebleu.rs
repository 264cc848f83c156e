//! Every score and signature is that of sacreBLEU.

use serde_json::Value;
use tamis_metrics::{BleuParams, ChrfParams, Metric, Smoothing, TerParams, Tokenizer};

use crate::fixtures::{Corpus, corpora, json, numbers};

const TOLERANCE: f64 = 1e-9;

fn close(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() <= TOLERANCE, "{what}: {found}, expected {expected}");
}

/// Checks score, sentence scores and signature of one row.
fn check<M: Metric>(metric: &M, row: &Value, corpora: &[Corpus]) {
    let corpus = corpora.iter().find(|corpus| row["corpus"] == corpus.name).unwrap();
    let references: Vec<&[String]> = corpus.references.iter().map(Vec::as_slice).collect();
    let signature = metric.signature(references.len());
    let expected = row["signature"].as_str().unwrap();
    assert_eq!(signature, format!("{expected}|version:tamis-0.1.0"));
    let segments = metric.segments(&corpus.hypotheses, &references).unwrap();
    let what = format!("{} {} {signature}", corpus.name, metric.name());
    close(metric.corpus_score(&segments), row["score"].as_f64().unwrap(), &what);
    if row.get("sentences").is_some() {
        let sentences = numbers(&row["sentences"]);
        assert_eq!(sentences.len(), segments.len());
        for (n, (segment, expected)) in segments.iter().zip(sentences).enumerate() {
            let text = &corpus.hypotheses[n];
            close(metric.segment_score(segment), expected, &format!("{what}, {n}: {text}"));
        }
    }
}

fn is(row: &Value, name: &str) -> bool {
    row["settings"].get(name).is_some_and(|value| value == true)
}

#[test]
fn bleu() {
    let (corpora, scores) = (corpora(), json("scores.json"));
    let rows = scores["bleu"].as_array().unwrap();
    for row in rows {
        let tokenizer: Tokenizer = row["tokenizer"].as_str().unwrap().parse().unwrap();
        let smoothing: Smoothing = row["smoothing"].as_str().unwrap().parse().unwrap();
        let lowercase = row["lowercase"] == true;
        let params = BleuParams { tokenizer, smoothing, lowercase, effective_order: false };
        check(&params.check().unwrap(), row, &corpora);
        // The same with effective order.
        let params = BleuParams { effective_order: true, ..params };
        let mut effective = row.clone();
        effective["score"] = row["effective"].clone();
        effective["signature"] =
            row["signature"].as_str().unwrap().replace("eff:no", "eff:yes").into();
        check(&params.check().unwrap(), &effective, &corpora);
    }
    assert_eq!(rows.len(), 13 * 5 * 6 * 2);
}

#[test]
fn chrf() {
    let (corpora, scores) = (corpora(), json("scores.json"));
    let rows = scores["chrf"].as_array().unwrap();
    for row in rows {
        let number = |name: &str, other: u64| {
            row["settings"].get(name).map_or(other, |value| value.as_u64().unwrap())
        };
        let params = ChrfParams {
            char_order: number("char_order", 6) as usize,
            word_order: number("word_order", 0) as usize,
            beta: number("beta", 2) as u32,
            lowercase: is(row, "lowercase"),
            whitespace: is(row, "whitespace"),
            epsilon: is(row, "eps_smoothing"),
        };
        check(&params.check().unwrap(), row, &corpora);
    }
    assert_eq!(rows.len(), 13 * 7);
}

#[test]
fn ter() {
    let (corpora, scores) = (corpora(), json("scores.json"));
    let rows = scores["ter"].as_array().unwrap();
    for row in rows {
        let params = TerParams {
            case_sensitive: is(row, "case_sensitive"),
            normalized: is(row, "normalized"),
            no_punctuation: is(row, "no_punct"),
            asian: is(row, "asian_support"),
        };
        check(&params.check().unwrap(), row, &corpora);
    }
    assert_eq!(rows.len(), 12 * 6 + 4);
}
