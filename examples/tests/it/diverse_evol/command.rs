//! Training by another program.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Evol;
use crate::program::{binary, contents, model};

/// A shell script that gets {data}, {out}, {model} and {work}.
fn script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("train.sh");
    fs::write(&path, format!("#!/bin/sh\nset -e\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn with_script(folder: &Path, out: &str) -> Evol {
    let path = folder.join("train.sh");
    let command = format!("'{}' {{data}} {{out}} {{model}} {{work}}", path.display());
    Evol::new(folder, out).commanded().with("train-command", command)
}

/// The program `finetune` with the settings of the tests.
fn finetune() -> String {
    format!(
        "'{}' --model=\"$3\" --train=\"$1\" --out=\"$4/run\" --epochs=2 --learning-rate=3e-3 \
         --batch-size=2 --token-budget=512 --threads=1",
        binary("finetune").display()
    )
}

#[test]
fn the_program_finetune_as_the_command_gives_the_same_choice() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let text = format!("{}\ntest ! -e \"$2\"\nmv \"$4/run/model\" \"$2\"", finetune());
    script(at, &text);
    let built_in = Evol::new(at, "built-in").succeed();
    let command = with_script(at, "command").succeed();
    assert_eq!(command.result(), built_in.result());
    for round in 0..=3 {
        let model = |out: &Path| contents(&out.join(format!("round-0{round}/model")));
        assert!(model(&command.out) == model(&built_in.out), "round {round}");
        let log = fs::read_to_string(command.out.join(format!("round-0{round}/train.log")));
        assert!(log.unwrap().contains("training loss"));
        // What training needed on its way is gone.
        assert!(!command.out.join(format!("round-0{round}/training")).exists());
    }
}

#[test]
fn a_command_that_fails_or_lies_is_told_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let evol = with_script(at, "out");
    let other = model().with_file_name("llama-tied");
    let gpt2 = model().with_file_name("gpt2");
    for (text, parts) in [
        ("echo out of memory >&2\nexit 3", &["exit status: 3", "out of memory"][..]),
        ("kill -9 $$", &["signal: 9"]),
        ("true", &["ended well", "it left no folder"]),
        ("mkdir \"$2\"", &["ended well", "config.json"]),
        ("mkdir \"$2\"; echo {} > \"$2/config.json\"", &["train.log", "model_type"]),
        ("mkdir \"$2\"; cp \"$3\"/config.json \"$2\"", &["safetensors"]),
        (
            "cp -r \"$3\" \"$2\"; head -c 2000 \"$3/model.safetensors\" > \"$2/model.safetensors\"",
            &["model.safetensors"],
        ),
        (&format!("cp -r '{}' \"$2\"", other.display()), &["of another shape than the base"]),
        (&format!("cp -r '{}' \"$2\"", gpt2.display()), &["of another shape than the base"]),
    ] {
        script(at, text);
        let all = [parts, &["on the 4 records of round 0", "round-00/train.log"]].concat();
        let error = evol.refuse(&all);
        // What a program said should not be read twice.
        assert!(!error.contains("Caused by"), "{error}");
        assert!(!evol.out.join("round-00/model").exists(), "{text}");
    }
    // The second round breaks off; the first is not trained again.
    let count = at.join("count");
    let counted = format!("echo x >> '{}'", count.display());
    let good = format!("{counted}\n{}\nmv \"$4/run/model\" \"$2\"", finetune());
    let bad = format!("test ! -s '{}' || exit 7\n{good}", count.display());
    script(at, &bad);
    evol.refuse(&["training on the 7 records of round 1 failed", "exit status: 7"]);
    script(at, &good);
    let found = evol.succeed();
    assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 4);
    assert_eq!(found.result(), Evol::new(at, "built-in").succeed().result());
}

#[test]
fn commands_are_checked_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let evol =
        |command: &str| Evol::new(folder.path(), "out").commanded().with("train-command", command);
    evol("train {data}").refuse(&["does not say where {out} goes"]);
    evol("train {out} 'x").refuse(&["quote that is not closed"]);
    evol("train {data} {out}").with("lora-rank", 4).refuse(&["--lora-rank"]);
    // Settings that another program would not hear of.
    Evol::new(folder.path(), "out")
        .with("train-command", "train {data} {out}")
        .refuse(&["--epochs"]);
    assert!(!folder.path().join("out").exists());
    evol("no-such-program {data} {out}").refuse(&["no-such-program", "cannot be started"]);
}

#[test]
fn a_command_that_outlives_the_program_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    // Each training waits, after it has begun to write, until somebody lets it go on.
    let go = at.join("go");
    let wait = format!("while ! test -e '{}'; do sleep 0.05; done", go.display());
    let text = format!("mkdir \"$2\"\n{wait}\n{}\nmv \"$4\"/run/model/* \"$2\"", finetune());
    script(at, &text);
    let evol = with_script(at, "out");
    let mut program = evol.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let writing = evol.out.join("round-00/training/model");
    let begun = Instant::now();
    while !writing.is_dir() {
        assert!(
            program.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(120)
        );
        std::thread::sleep(Duration::from_millis(1));
    }
    program.kill().unwrap();
    program.wait().unwrap();
    evol.refuse(&["is still being written", "round-00/train.log"]);
    assert!(writing.is_dir(), "what the command writes was removed under it");
    fs::write(&go, "").unwrap();
    // Until it has ended.
    while !evol.command().output().unwrap().status.success() {
        assert!(begun.elapsed() < Duration::from_secs(120));
    }
    assert_eq!(evol.succeed().result(), Evol::new(at, "built-in").succeed().result());
}
