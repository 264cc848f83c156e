//! `evaluate`: scores, tests of two systems, and what it refuses.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{refuse, succeed};

/// A folder of files to compare.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Three segments, a close translation and a distant one.
    fn small() -> Self {
        let files = Self::new();
        files.write("ref", "A man cleans a window .\nTwo dogs play in the snow .\nThe end .\n");
        files.write("a", "A man cleans the window .\nTwo dogs play in snow .\nThe end .\n");
        files.write("b", "Man cleaning .\nDogs play in the snow now .\nEnd .\n");
        files
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Flags and values; `@name` is a file of this folder.
    fn arguments(&self, line: &str) -> Vec<String> {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(name) => self.path(name).to_str().unwrap().to_owned(),
            None => word.to_owned(),
        };
        line.split_whitespace().map(word).collect()
    }

    fn succeed(&self, line: &str) -> String {
        let arguments = self.arguments(line);
        succeed("evaluate", &arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.succeed(&format!("--json {line}"))).unwrap()
    }

    fn refuse(&self, line: &str, parts: &[&str]) {
        let arguments = self.arguments(line);
        refuse("evaluate", &arguments.iter().map(String::as_str).collect::<Vec<_>>(), parts);
    }
}

fn close(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap_or_else(|| panic!("{found}, expected {expected}"));
    assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
}

/// Score and signature are those of a row of the fixture, whose signature has no version.
fn same(found: &Value, key: &str, row: &Value) {
    close(&found[key], row["score"].as_f64().unwrap());
    let signature = found["signatures"][key].as_str().unwrap();
    let expected = row["signature"].as_str().unwrap();
    assert!(signature.starts_with(&format!("{expected}|version:tamis-")), "{signature}");
}

/// The texts that the library is tested with, and what sacreBLEU says about them.
#[test]
fn scores_are_those_of_sacrebleu() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/metrics/tests/fixtures");
    let read = |name: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(fixtures.join(name)).unwrap()).unwrap()
    };
    let (corpora, scores) = (read("corpora.json"), read("scores.json"));
    let mut compared = 0;
    for name in ["chinese", "mixed", "disturbed", "several references"] {
        let corpora = corpora["corpora"].as_array().unwrap();
        let corpus = corpora.iter().find(|corpus| corpus["name"] == name).unwrap();
        let files = Files::new();
        let text = |lines: &Value| -> String {
            let lines = lines.as_array().unwrap().iter();
            lines.map(|line| line.as_str().unwrap().to_owned() + "\n").collect()
        };
        files.write("hyp", text(&corpus["hypotheses"]));
        let mut line = "--hypotheses @hyp".to_owned();
        for (n, lines) in corpus["references"].as_array().unwrap().iter().enumerate() {
            files.write(&format!("ref{n}"), text(lines));
            line = format!("{line} --references @ref{n}");
        }
        let rows = |metric: &str| -> Vec<&Value> {
            let rows = scores[metric].as_array().unwrap().iter();
            rows.filter(|row| row["corpus"] == name).collect()
        };
        // Every run loads LibTorch with the program, so each setting is tried once; the crate of the
        // metrics compares all of them with each other.
        let mut settings = vec![("13a", "exp", false)];
        settings.extend(match name {
            "chinese" => vec![("zh", "exp", false), ("char", "exp", false)],
            "mixed" => vec![("intl", "exp", false), ("none", "exp", false)],
            "disturbed" => {
                vec![("13a", "exp", true), ("none", "floor=0.01", false), ("intl", "add-k", false)]
            }
            _ => vec![],
        });
        for (tokenizer, smoothing, lowercase) in settings {
            let case = if lowercase { "--lowercase" } else { "" };
            let found = files.json(&format!(
                "{line} --tokenize {tokenizer} --smooth {smoothing} {case} --resamples 5"
            ));
            let row = rows("bleu").into_iter().find(|row| {
                row["tokenizer"] == tokenizer
                    && row["smoothing"] == smoothing
                    && row["lowercase"] == lowercase
            });
            same(&found, "bleu", row.unwrap());
            if (tokenizer, smoothing, lowercase) == ("13a", "exp", false) {
                for (key, metric, settings) in [
                    ("chrf", "chrf", json!({})),
                    ("chrf++", "chrf", json!({ "word_order": 2 })),
                    ("ter", "ter", json!({})),
                ] {
                    let row = rows(metric).into_iter().find(|row| row["settings"] == settings);
                    same(&found, key, row.unwrap());
                }
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 4 + 2 + 2 + 3);
}

#[test]
fn two_systems_are_compared() {
    let files = Files::small();
    let line = "--hypotheses @a --hypotheses2 @b --references @ref --seed 7";
    let found = files.json(line);
    assert_eq!(found["segments"], 3);
    let alone = files.json("--hypotheses @b --references @ref --seed 7");
    assert!(alone.get("system2").is_none() && alone.get("comparison").is_none());
    for key in ["bleu", "chrf", "chrf++", "ter"] {
        // The second system's scores are those it has by itself.
        assert_eq!(found["system2"][key], alone[key]);
        assert_eq!(found["system2"]["intervals"][key], alone["intervals"][key]);
        let tests = &found["comparison"][key];
        let (first, second) = (found[key].as_f64().unwrap(), alone[key].as_f64().unwrap());
        close(&tests["difference"], first - second);
        for (test, trials) in [("bootstrap", 1000), ("randomisation", 10_000)] {
            close(&tests[test]["difference"], first - second);
            assert_eq!(tests[test]["trials"], trials);
            assert_eq!((&tests[test]["seed"], &tests[test]["n"]), (&7.into(), &3.into()));
        }
        for test in ["bootstrap", "t_test"] {
            let interval = &tests[test]["interval"];
            assert!(interval["low"].as_f64() <= interval["high"].as_f64(), "{interval}");
            assert_eq!(interval["confidence"], 0.95);
        }
        for test in ["bootstrap", "randomisation", "t_test"] {
            assert!((0.0..=1.0).contains(&tests[test]["p"].as_f64().unwrap()), "{tests}");
        }
        // Of the eight exchanges of three segments, none and all are as extreme as what was observed.
        assert!(tests["randomisation"]["p"].as_f64().unwrap() > 0.22, "{tests}");
    }
    // The same seed says the same, the other order the opposite.
    assert_eq!(files.json(line), found);
    let back = files.json("--hypotheses @b --hypotheses2 @a --references @ref --seed 7");
    let difference = |found: &Value| found["comparison"]["ter"]["difference"].as_f64().unwrap();
    close(&back["comparison"]["ter"]["difference"], -difference(&found));
}

#[test]
fn tables_say_what_json_says() {
    let files = Files::small();
    let line = "--hypotheses @a --hypotheses2 @b --references @ref";
    let (found, text) = (files.json(line), files.succeed(line));
    assert!(text.starts_with("3 segments\n"), "{text}");
    for (name, key) in [("BLEU", "bleu"), ("chrF2", "chrf"), ("chrF2++", "chrf++"), ("TER", "ter")]
    {
        let tests = &found["comparison"][key];
        let rows: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split('|').map(str::trim).collect())
            .filter(|cells: &Vec<&str>| cells.get(1) == Some(&name))
            .collect();
        let number = |value: &Value| format!("{:.2}", value.as_f64().unwrap());
        assert_eq!([rows[0][2], rows[0][4]], [number(&found[key]), number(&found["system2"][key])]);
        assert_eq!(rows[1][2], number(&tests["difference"]));
        let p = |test: &str| format!("p = {:.4}", tests[test]["p"].as_f64().unwrap());
        assert_eq!(
            [rows[1][4], rows[1][5], rows[1][8]],
            ["bootstrap", "randomisation", "t_test"].map(p)
        );
        let signature = found["signatures"][key].as_str().unwrap();
        assert!(text.contains(&format!("{name}: {signature}\n")), "{text}");
    }
    // Lengths: words, characters, tokens, their share.
    assert!(text.contains("|   5.0 |       19.0 |"), "{text}");
}

#[test]
fn scores_of_other_programs() {
    let files = Files::small();
    files.write("a.comet", "0.8\n0.7\n0.9\n");
    files.write("b.comet", "0.5\r\n0.6\r\n0.4");
    let line = "--hypotheses @a --hypotheses2 @b --references @ref --segment-scores @a.comet \
                --segment-scores2 @b.comet --segment-scores-name COMET";
    let found = files.json(line);
    close(&found["segment_scores"], 0.8);
    close(&found["system2"]["segment_scores"], 0.5);
    close(&found["comparison"]["segment_scores"]["difference"], 0.3);
    // Differences 0.3, 0.1, 0.5: t = 0.3 / (0.2 / √3), with two degrees of freedom p = 1 − t / √(2 + t²).
    let t = 0.3 / (0.2 / 3.0_f64.sqrt());
    let test = &found["comparison"]["segment_scores"]["t_test"];
    close(&test["t"], t);
    close(&test["p"], 1.0 - t / (2.0 + t * t).sqrt());
    assert_eq!(found["segment_scores_name"], "COMET");
    assert!(files.succeed(line).contains("| COMET   |   0.8000 |"));
    // By id, in any order.
    files.write(
        "a.jsonl",
        "{\"id\": 1, \"score\": 0.8}\n{\"id\": 2, \"score\": 0.7}\n{\"id\": 3, \"score\": 0.9}\n",
    );
    files.write(
        "b.jsonl",
        "{\"id\": 3, \"score\": 0.4}\n{\"id\": 1, \"score\": 0.5}\n{\"id\": 2, \"score\": 0.6}\n",
    );
    let matched = files.json(&line.replace(".comet", ".jsonl"));
    assert_eq!(matched["comparison"]["segment_scores"], found["comparison"]["segment_scores"]);

    files.write("two", "0.5\n0.6\n");
    files.write("bad", "0.5\nn/a\n0.6\n");
    let one = "--hypotheses @a --references @ref --segment-scores";
    files.refuse(&format!("{one} @two"), &["2 scores", "two", "3 lines", "/a"]);
    files.refuse(&format!("{one} @bad"), &["bad, line 2", "`n/a`"]);
    files.refuse(&line.replace("--segment-scores2 @b.comet", ""), &["--segment-scores2"]);
    files.refuse(&format!("{one} @a.comet --segment-scores2 @b.comet"), &["--hypotheses2"]);
}

#[test]
fn sentence_scores() {
    let files = Files::small();
    let out = files.path("sentences.jsonl");
    let line = "--hypotheses @a --hypotheses2 @b --references @ref --sentences @sentences.jsonl";
    let found = files.json(line);
    let rows: Vec<Value> = fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(rows.iter().map(|row| row["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3]);
    // The third segment is perfect in the first system: effective order scores its three tokens.
    close(&rows[2]["bleu"], 100.0);
    close(&rows[2]["ter"], 0.0);
    for key in ["bleu", "chrf", "chrf++", "ter"] {
        let mean = |of: &dyn Fn(&Value) -> f64| rows.iter().map(of).sum::<f64>() / 3.0;
        let first = mean(&|row| row[key].as_f64().unwrap());
        let second = mean(&|row| row["system2"][key].as_f64().unwrap());
        close(&found["comparison"][key]["t_test"]["difference"], first - second);
    }
    // An input is not overwritten.
    let before = fs::read(files.path("a")).unwrap();
    files.refuse("--hypotheses @a --references @ref --sentences @a", &["overwrite"]);
    assert_eq!(fs::read(files.path("a")).unwrap(), before);
    files.refuse(
        "--hypotheses @a --references @ref --sentences @none/s.jsonl",
        &["none", "cannot write"],
    );
}

#[test]
fn line_ends_and_marks_do_not_matter() {
    let files = Files::small();
    let plain = files.json("--hypotheses @a --references @ref");
    let text = fs::read_to_string(files.path("a")).unwrap();
    files.write("crlf", text.replace('\n', "\r\n"));
    files.write("open", text.trim_end());
    files.write("bom", format!("\u{feff}{text}"));
    for name in ["crlf", "open", "bom"] {
        let mut found = files.json(&format!("--hypotheses @{name} --references @ref"));
        found["file"] = plain["file"].clone();
        assert_eq!(found, plain, "{name}");
    }
}

#[test]
fn empty_lines_are_segments() {
    let files = Files::new();
    files.write("hyp", "\n\nc d e f\n");
    files.write("ref", "\na b\nc d e f\n");
    let found = files.json("--hypotheses @hyp --references @ref");
    assert_eq!((&found["segments"], &found["reference_length"]), (&3.into(), &6.into()));
    close(&found["bleu"], 100.0 * (1.0 - 6.0 / 4.0_f64).exp());
    close(&found["ter"], 100.0 * 2.0 / 6.0);
    // Nothing at all is a score too.
    files.write("none", "\n\n\n");
    let found = files.json("--hypotheses @none --references @ref");
    assert_eq!([&found["bleu"], &found["chrf"]], [0.0, 0.0]);
    close(&found["ter"], 100.0);
}

/// One segment has a score, but no interval and no test.
#[test]
fn a_single_segment() {
    let files = Files::new();
    files.write("one", "a b c d\n");
    let found = files.json("--hypotheses @one --references @one");
    close(&found["bleu"], 100.0);
    assert!(found["intervals"]["bleu"].is_null(), "{found}");
    files.succeed("--hypotheses @one --references @one");
    files.refuse(
        "--hypotheses @one --hypotheses2 @one --references @one",
        &["one line", "at least 2"],
    );
}

#[test]
fn equal_systems_do_not_differ() {
    let files = Files::small();
    let found = files.json("--hypotheses @a --hypotheses2 @a --references @ref");
    for key in ["bleu", "chrf", "chrf++", "ter"] {
        close(&found["comparison"][key]["difference"], 0.0);
        for test in ["bootstrap", "randomisation", "t_test"] {
            close(&found["comparison"][key][test]["p"], 1.0);
        }
    }
}

#[test]
fn bad_files() {
    let files = Files::small();
    files.write("short", "a\nb\n");
    files.write("empty", "");
    files.write("latin1", b"fine\nStra\xdfe\nfine\n");
    let with = |hypotheses: &str| format!("--hypotheses {hypotheses} --references @ref");
    files.refuse(&with("@short"), &["short has 2 lines", "ref has 3"]);
    files.refuse("--hypotheses @a --references @short", &["a has 3 lines", "short has 2"]);
    files.refuse(
        "--hypotheses @a --hypotheses2 @short --references @ref",
        &["short has 2 lines", "ref has 3"],
    );
    files.refuse("--hypotheses @a --references @ref --references @short", &["short has 2 lines"]);
    files.refuse(&with("@empty"), &["empty", "is empty"]);
    files.refuse("--hypotheses @a --references @empty", &["empty", "is empty"]);
    files.refuse(&with("@latin1"), &["latin1, line 2", "UTF-8"]);
    files.refuse(&with("@missing"), &["missing", "cannot read"]);
}

#[test]
fn bad_flags() {
    let files = Files::small();
    for (flags, parts) in [
        ("--tokenize moses", &["moses", "13a, zh, char, intl, none"][..]),
        ("--smooth chen", &["chen", "exp"]),
        ("--smooth floor=0", &["floor=0", "above 0"]),
        ("--resamples 0", &["resamples"]),
        ("--trials 0", &["trials"]),
        ("--confidence 95", &["confidence", "95"]),
        ("--seed -1", &["-1"]),
    ] {
        files.refuse(&format!("--hypotheses @a --references @ref {flags}"), parts);
    }
    files.refuse("--hypotheses @a", &["--references"]);
    files.refuse("--references @ref", &["--hypotheses"]);
}
