//! `trace_pretraining`: two checkpoints of a tiny model, from answers to ranked texts.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::pools;
use crate::program::{Finished, contents, finished, model, refuse, succeed};

const TEXTS: usize = 24;

struct Trace {
    folder: tempfile::TempDir,
    flags: Vec<(&'static str, String)>,
}

/// Plain texts; the answers' own words are in row 5 and row 17.
fn texts() -> Vec<String> {
    (0..TEXTS).map(|n| json!({ "id": format!("t{n}"), "text": text(n) }).to_string()).collect()
}

fn text(n: usize) -> String {
    format!("{} and {}", pools::pair(n).1, pools::pair(5 * n + 2).1)
}

impl Trace {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: PathBuf| path.to_str().unwrap().to_owned();
        let answers =
            [5, 17].map(|n| json!({ "id": format!("a{n}"), "text": text(n) }).to_string());
        let tuning: Vec<String> =
            (30..40).map(|n| json!({ "text": pools::pair(n).1 }).to_string()).collect();
        let write = |name, lines: &[String]| at(pools::write(folder.path(), name, lines));
        let flags = vec![
            ("pretrained", at(model())),
            ("finetuned", at(finished().out.join("adapted"))),
            ("template", "none".to_owned()),
            ("answers", write("answers.jsonl", &answers)),
            ("finetuning-data", write("tuning.jsonl", &tuning)),
            ("texts", write("texts.jsonl", &texts())),
            ("budget", "4".to_owned()),
            ("shard-rows", "10".to_owned()),
            ("threads", "1".to_owned()),
            ("out", at(folder.path().join("out"))),
        ];
        Self { folder, flags }
    }

    fn with(mut self, flag: &'static str, value: &str) -> Self {
        self.flags.retain(|(name, _)| *name != flag);
        self.flags.push((flag, value.to_owned()));
        self
    }

    fn arguments(&self) -> Vec<String> {
        self.flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect()
    }

    fn succeed(&self, switches: &[&str]) -> Finished {
        let arguments = self.arguments();
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.extend(switches);
        let printed = succeed("trace_pretraining", &arguments);
        Finished { out: self.folder.path().join("out"), printed }
    }

    fn refuse(&self, parts: &[&str]) {
        let arguments = self.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        refuse("trace_pretraining", &arguments, parts);
    }
}

#[test]
fn texts_are_ranked_by_what_they_did_to_the_answers() {
    let trace = Trace::new();
    let done = trace.succeed(&["--last-stage"]);
    let scores = done.scores();
    assert_eq!(scores.len(), TEXTS);
    assert_eq!((done.count("scored"), done.count("answers"), done.count("selected")), (24, 2, 4));
    let number = |line: &Value, field: &str| line[field].as_f64().unwrap();
    for line in &scores {
        let of = |id: &str| line["answers"][id].as_f64().unwrap();
        let mean = f64::midpoint(of("a5"), of("a17"));
        // Answers are f32, and may cancel.
        let size = of("a5").abs() + of("a17").abs();
        assert!((number(line, "score") - mean).abs() < 1e-6 * size);
        assert!(line["last_stage"].is_f64());
        // Ranks are those of the scores, and the highest are chosen.
        let above = scores.iter().filter(|l| number(l, "score") > number(line, "score")).count();
        assert_eq!(line["rank"], above + 1);
        assert_eq!(line["selected"], above < 4);
    }
    // A text that says what the answer says did most for it.
    for (id, own) in [("a5", 5), ("a17", 17)] {
        let of = |line: &Value| line["answers"][id].as_f64().unwrap();
        let best = scores.iter().max_by(|a, b| of(a).total_cmp(&of(b))).unwrap();
        assert_eq!(best["index"], own, "{id}");
        assert!(of(best) > 0.0);
    }
    let chosen: Vec<String> = texts()
        .into_iter()
        .zip(&scores)
        .filter(|(_, line)| line["selected"] == true)
        .map(|(text, _)| text)
        .collect();
    assert_eq!(done.selected(), chosen);
    assert!(done.printed.contains("rank correlation"), "{}", done.printed);
    let page = done.text("report.html");
    assert!(page.contains("Highest influence on answer a17"));

    // Again: nothing is computed a second time, and nothing changes.
    let (scores, selected) = (done.text("scores.jsonl"), done.text("selected.jsonl"));
    let again = trace.succeed(&["--last-stage"]);
    for stage in ["curvature, finetuned", "curvature, pretrained", "scores, pretrained"] {
        assert!(again.resumed(stage), "{stage}");
    }
    assert_eq!([again.text("scores.jsonl"), again.text("selected.jsonl")], [scores, selected]);

    // Another damping makes other scores beside them, from the same curvature.
    let curvature = contents(&again.out.join("finetuned"));
    let other = trace.with("finetuned-damping", "10").with("by", "normalised");
    let other = other.succeed(&[]);
    assert!(other.resumed("curvature, finetuned") && !other.resumed("scores, pretrained"));
    assert_eq!(contents(&other.out.join("finetuned")), curvature);
    assert!(other.scores().iter().all(|line| line["last_stage"].is_null()));
    assert_eq!(fs::read_dir(other.out.join("scores")).unwrap().count(), 3);
}

#[test]
fn what_does_not_fit_is_refused() {
    let gpt2 = model().with_file_name("gpt2");
    Trace::new().with("finetuned", gpt2.to_str().unwrap()).refuse(&["layer model.layers.0"]);
    Trace::new().with("budget", "0").refuse(&["--budget is 0", "24 texts"]);
    Trace::new().with("texts-template", "poem").refuse(&["poem"]);
    Trace::new().with("finetuned-damping", "absolute:-1").refuse(&["finetuned-damping"]);

    // Other texts in the folder of the first ones.
    let trace = Trace::new().with("curvature", "kfac");
    trace.succeed(&[]);
    pools::write(trace.folder.path(), "texts.jsonl", &texts()[..20]);
    trace.refuse(&["`source"]);
    let inside = trace.folder.path().join("out").join("selected.jsonl");
    let name = inside.to_str().unwrap().to_owned();
    trace.with("texts", &name).refuse(&["would be overwritten"]);
}
