//! `ifd` from outside: what it writes, chooses again, goes on with after `kill -9`, and refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::pools;
use crate::program::{Finished, binary, contents, model, refuse, succeed};

/// Instructions of two domains; every eighth answer is empty.
fn rows() -> Vec<String> {
    (0..48)
        .map(|n| {
            let (question, answer) = pools::pair(n);
            let answer = if n % 8 == 5 { String::new() } else { answer };
            let domain = if n % 4 == 0 { "code" } else { "talk" };
            let row = json!({
                "id": format!("i{n}"), "instruction": question, "output": answer, "domain": domain,
            });
            if n % 3 == 0 { row.to_string().replace("\",\"", "\" , \"") } else { row.to_string() }
        })
        .collect()
}

/// The usual request has more letters than the model reads tokens.
const REQUEST: &str = "--request=Asked: {response}?";

struct Ifd {
    flags: Vec<String>,
    out: PathBuf,
}

impl Ifd {
    /// Settings that fit the tiny model.
    fn new(folder: &Path, out: &str) -> Self {
        let (pool, out) = (folder.join("pool.jsonl"), folder.join(out));
        if !pool.exists() {
            pools::write(folder, "pool.jsonl", &rows());
        }
        let flags = [
            format!("--model={}", model().display()),
            format!("--pool={}", pool.display()),
            format!("--out={}", out.display()),
            "--max-length=120".to_owned(),
            "--threads=1".to_owned(),
        ];
        Self { flags: flags.into(), out }
    }

    /// Sets flags, in place of the values they had.
    fn with(mut self, flags: &[&str]) -> Self {
        for flag in flags {
            if let Some((name, _)) = flag.split_once('=') {
                self.flags.retain(|had| had.split_once('=').is_none_or(|(had, _)| had != name));
            }
            self.flags.push((*flag).to_owned());
        }
        self
    }

    fn arguments(&self) -> Vec<&str> {
        self.flags.iter().map(String::as_str).collect()
    }

    fn succeed(&self) -> Finished {
        let printed = succeed("ifd", &self.arguments());
        Finished { out: self.out.clone(), printed }
    }

    fn refuse(&self, parts: &[&str]) {
        refuse("ifd", &self.arguments(), parts);
    }

    fn spawn(&self) -> std::process::Child {
        let mut command = Command::new(binary("ifd"));
        command.args(&self.flags).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

fn number(line: &Value, field: &str) -> Option<f64> {
    let value = line.get(field).unwrap_or_else(|| panic!("no {field} in {line}"));
    assert!(value.is_null() || value.is_f64(), "{field} of {line}");
    value.as_f64()
}

#[test]
fn scores_and_chosen_rows() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--measures=ifd,r-ifd", REQUEST, "--count=7"];
    let run = Ifd::new(folder.path(), "out").with(&flags).succeed();
    let (lines, rows) = (run.scores(), rows());
    assert_eq!(lines.len(), rows.len());
    let mut ranked = Vec::new();
    for (n, line) in lines.iter().enumerate() {
        assert_eq!((&line["id"], &line["index"]), (&json!(format!("i{n}")), &json!(n)));
        let [cond, direct, ifd, r_ifd] =
            ["ppl_cond", "ppl_direct", "ifd", "r_ifd"].map(|field| number(line, field));
        if n % 8 == 5 {
            assert_eq!([cond, direct, ifd, r_ifd], [None; 4]);
            assert_eq!(line["reason"], "no ifd: the target is empty");
            assert_eq!(line["ifd_reason"], "the target is empty");
            assert_eq!(line["r_ifd_reason"], "the target is empty");
            assert_eq!(line["selected"], false);
            continue;
        }
        assert!(line.get("ifd_reason").is_none() && line.get("r_ifd_reason").is_none());
        let ratio = cond.unwrap() / direct.unwrap();
        assert!((ifd.unwrap() / ratio - 1.0).abs() < 1e-9);
        let back = number(line, "r_ppl_cond").unwrap() / number(line, "r_ppl_direct").unwrap();
        assert!((r_ifd.unwrap() / back - 1.0).abs() < 1e-9);
        if ratio < 1.0 {
            ranked.push((ratio, n));
        } else {
            assert_eq!(line["reason"], "not ifd < 1");
        }
    }
    assert!(ranked.len() > 7, "{ranked:?}");
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut chosen: Vec<usize> = ranked[..7].iter().map(|r| r.1).collect();
    chosen.sort_unstable();
    // As they came, spaces and all.
    let expected: Vec<String> = chosen.iter().map(|&n| rows[n].clone()).collect();
    assert_eq!(run.selected(), expected);
    for (n, line) in lines.iter().enumerate() {
        assert_eq!(line["selected"], chosen.contains(&n));
    }
    let record = run.run();
    assert_eq!(record["parameters"]["scoring"]["template"], "none");
    assert_eq!(record["parameters"]["selection"]["filters"][0]["filter"]["below"], 1.0);
    assert_eq!((run.count("scored"), run.count("selected"), run.count("budget")), (42, 7, 7));
    let page = run.text("report.html");
    for text in ["IFD selection", "Highest ifd", "Lowest ifd", "<svg", "target tokens"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(run.printed.contains("7 chosen of 7"), "{}", run.printed);
}

#[test]
fn a_missing_score_has_its_reason_whatever_decided() {
    let folder = tempfile::tempdir().unwrap();
    let ifd = |flags: &[&str]| Ifd::new(folder.path(), flags[0]).with(&flags[1..]).succeed();
    let missing = |run: &Finished, reason: &str| {
        for line in run.scores().iter().skip(5).step_by(8) {
            assert!(line["ppl_cond"].is_null(), "{line}");
            assert_eq!(line["ifd_reason"], "the target is empty");
            assert_eq!(line["reason"], reason);
        }
    };
    let both = ["both", "--measures=ifd,r-ifd", REQUEST, "--rank=r_ifd", "--bound=r_ifd<1"];
    missing(&ifd(&both), "no r_ifd: the target is empty");
    let ppl = ifd(&["ppl", "--measures=ppl", "--rank=ppl_cond"]);
    missing(&ppl, "no ppl_cond: the target is empty");
    assert!(ppl.scores()[0].get("ifd_reason").is_none());
    for part in ["ifd_reason", "r_ifd_reason", "highest are taken first unless --lowest-first"] {
        let help = succeed("ifd", &["--help"]);
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(part), "{part}");
    }
}

#[test]
fn choosing_again_scores_nothing_again() {
    let folder = tempfile::tempdir().unwrap();
    let ifd = |flags: &[&str]| Ifd::new(folder.path(), "out").with(flags);
    let first = ifd(&["--share=0.5", "--no-bounds"]).succeed();
    assert!(!first.resumed("scores"));
    assert_eq!(first.count("selected"), 24);
    let terms = contents(&first.out.join("terms"));
    let again = |flags: &[&str]| {
        let run = ifd(flags).succeed();
        assert!(run.resumed("scores"));
        assert_eq!(contents(&run.out.join("terms")), terms);
        run
    };
    // Nothing is taken of nothing.
    assert_eq!(again(&["--count=0"]).selected(), [""; 0]);
    let survivors = again(&[]).count("selected");
    assert_eq!(survivors, again(&[]).count("ifd_below_one"));
    let half = again(&["--share=0.5", "--base=survivors"]).count("selected");
    assert_eq!(half, survivors / 2);
    assert_eq!(again(&["--no-bounds", "--share=0.5"]).result(), first.result());
    let low = again(&["--bound=ppl_cond>=0", "--rank=ppl_cond", "--lowest-first", "--count=5"]);
    let taken: Vec<f64> = low
        .scores()
        .iter()
        .filter(|l| l["selected"] == true)
        .filter_map(|l| number(l, "ppl_cond"))
        .collect();
    let left = low
        .scores()
        .into_iter()
        .filter(|l| l["selected"] == false)
        .filter_map(|l| number(&l, "ppl_cond"));
    let worst = taken.iter().copied().fold(0.0, f64::max);
    assert!(taken.len() == 5 && left.fold(f64::MAX, f64::min) >= worst);
    // A ratio of losses is another score of the same terms.
    let losses = again(&["--ratio=loss", "--no-bounds"]);
    let line = &losses.scores()[0];
    let ratio = number(line, "ppl_cond").unwrap().ln() / number(line, "ppl_direct").unwrap().ln();
    assert!((number(line, "ifd").unwrap() / ratio - 1.0).abs() < 1e-9);
}

#[test]
fn groups_have_their_part() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["--no-bounds", "--group-field=domain", "--count=12"];
    let chosen = |quota: &str| {
        let run = Ifd::new(folder.path(), "out").with(&flags).with(&[quota]).succeed();
        assert!(run.text("report.html").contains("Rows of each group"));
        let of = |group: &str| {
            let is = |l: &&Value| l["group"] == group && l["selected"] == true;
            run.scores().iter().filter(is).count()
        };
        (of("code"), of("talk"))
    };
    assert_eq!(chosen("--quota=proportional"), (3, 9));
    assert_eq!(chosen("--quota=at-most:4"), (4, 4));
    // What was left is told that, not that better rows were taken.
    let lines = Finished { out: folder.path().join("out"), printed: String::new() }.scores();
    let full = lines.iter().filter(|line| {
        line["reason"].as_str().is_some_and(|reason| reason.starts_with("its group has its 4: "))
    });
    assert_eq!(full.count(), 42 - 8);
    assert_eq!(chosen("--quota=code=8,talk=4"), (8, 4));
    let none = chosen("--quota=none");
    assert_eq!(none.0 + none.1, 12);
}

#[test]
fn every_preset_runs_and_a_store_of_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    // The templates with a system line need more than the model reads: so many letters are tokens.
    for preset in ["cherry", "superfiltering", "reflection"] {
        let flag = format!("--preset={preset}");
        let mut run = Ifd::new(folder.path(), preset).with(&[&flag, "--template=none"]);
        if preset == "reflection" {
            run = run.with(&[REQUEST]);
        }
        if preset == "cherry" {
            run.refuse(&["`template` is none", "alpaca or vicuna"]);
            let run =
                Ifd::new(folder.path(), preset).with(&[&flag, "--direct=begin", "--template=none"]);
            assert_eq!(run.succeed().run()["parameters"]["scoring"]["ratio"], "loss");
            continue;
        }
        assert_eq!(run.succeed().count("scored"), 42);
    }
    Ifd::new(folder.path(), "superfiltering")
        .with(&["--preset=reflection", "--template=none"])
        .refuse(&["measures.r_ifd", "false", "true"]);
    Ifd::new(folder.path(), "superfiltering")
        .with(&["--token-budget=100"])
        .refuse(&["token_budget"]);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: &[&str], parts: &[&str]| {
        Ifd::new(folder.path(), "out").with(flags).refuse(parts);
    };
    refused(&["--quota=at-least:3"], &["--group-field"]);
    refused(&["--group-field=colour"], &["no row", "`colour`"]);
    refused(&["--share=1.5"], &["`share` is 1.5", "from 0 to 1"]);
    refused(&["--count=3", "--share=0.5"], &["cannot be used with"]);
    refused(&["--base=survivors"], &["--share"]);
    let by_preset = ["r_ifd", "the preset superfiltering", "r-ifd", "with --measures"];
    refused(&["--rank=r_ifd"], &by_preset);
    refused(&["--bound=r_ifd<1"], &by_preset);
    refused(&["--measures=ppl"], &["ifd decides", "--measures leaves it out"]);
    refused(&[REQUEST], &["--request", "the preset superfiltering", "with --measures"]);
    refused(&[REQUEST, "--measures=ifd"], &["--request", "--measures leaves it out"]);
    refused(&["--bound=ifd"], &["ifd<1"]);
    refused(&["--preset=alpagasus"], &["cherry, superfiltering or reflection"]);
    refused(&["--max-length=4096"], &["`max_length` is 4096", "at most 128"]);
    refused(&["--template=letter"], &["letter", "vicuna"]);
    refused(
        &["--group-field=domain", "--count=4", "--quota=at-least:4", "--no-bounds"],
        &["promised 8 rows", "only 4"],
    );
    refused(&["--group-field=domain", "--quota=math=3"], &["`math`", "code, talk"]);
    // Before anything was scored.
    assert!(!folder.path().join("out/terms").exists());
    let pairs = pools::write(folder.path(), "pairs.tsv", &["eins\tone"]);
    let pairs = format!("--pool={}", pairs.display());
    refused(&[&pairs, "--group-field=domain"], &["pairs.tsv", "no field `domain`"]);
    refused(&["--measures=r-ifd", "--rank=r_ifd", "--request=Guess."], &["{response}"]);
    let pool = folder.path().join("out/selected.jsonl");
    fs::create_dir_all(pool.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("pool.jsonl"), &pool).unwrap();
    refuse(
        "ifd",
        &[
            &format!("--model={}", model().display()),
            &format!("--pool={}", pool.display()),
            &format!("--out={}", folder.path().join("out").display()),
        ],
        &["would be overwritten"],
    );
}

#[test]
fn killed_and_resumed_the_bytes_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let ifd = |out: &str| {
        Ifd::new(folder.path(), out).with(&[
            "--shard-rows=3",
            "--measures=ppl,ifd,r-ifd",
            REQUEST,
            "--share=0.2",
        ])
    };
    let calm = ifd("calm").succeed();
    let terms = folder.path().join("stormy/terms");
    let mut killed = 0;
    for shard in [0, 2, 5, 9, 13] {
        let mut child = ifd("stormy").spawn();
        let (file, begun) = (terms.join(format!("terms-{shard:05}.jsonl")), Instant::now());
        while !file.exists() && child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < Duration::from_secs(60), "{} never came", file.display());
            std::thread::sleep(Duration::from_micros(100));
        }
        child.kill().unwrap();
        killed += usize::from(!child.wait().unwrap().success());
    }
    assert!(killed >= 3, "{killed}");
    let stormy = ifd("stormy").succeed();
    assert_eq!(stormy.result(), calm.result());
    assert_eq!(contents(&terms), contents(&calm.out.join("terms")));
}
