//! Damaged checkpoints: passed over while there is an older one to go on from.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_finetune::{EvalParams, Every, FinetuneError, TrainParams};

use crate::common::{data, settings};
use crate::run::{Run, interrupted, steps_in};

/// Every file of the newest checkpoint.
fn files(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir.join("checkpoint-6")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_refused_where_it_is_the_last() {
    let (dir, run) = interrupted();
    let expected = run.go(None, &data(), &mut NoProgress).unwrap().1;
    let names = files(dir.path());
    assert_eq!(names.len(), 4, "{names:?}");
    for name in names {
        for damage in ["flipped", "cut", "gone"] {
            let (dir, run) = interrupted();
            let path = dir.path().join("checkpoint-6").join(name.file_name().unwrap());
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            match damage {
                "flipped" => {
                    bytes[middle] ^= 1;
                    fs::write(&path, bytes).unwrap();
                }
                "cut" => fs::write(&path, &bytes[..middle]).unwrap(),
                _ => fs::remove_file(&path).unwrap(),
            }
            let older = dir.path().join("older");
            fs::rename(dir.path().join("checkpoint-3"), &older).unwrap();
            let error = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap_err();
            assert!(matches!(error, FinetuneError::Damaged { .. }), "{error}");
            let file = path.file_name().unwrap().to_str().unwrap();
            assert!(error.to_string().contains(file), "{damage} {file}: {error}");
            fs::rename(&older, dir.path().join("checkpoint-3")).unwrap();
            let (report, found) = run.go(Some(dir.path()), &data(), &mut NoProgress).unwrap();
            assert_eq!((report.resumed, &found), (Some(3), &expected), "{damage} {file}");
        }
    }
}

#[test]
fn the_best_of_every_kept_checkpoint_is_kept() {
    // Evaluations fall at first and rise again, so the best ones lie behind the newest.
    let how = EvalParams { every: Some(2), ..EvalParams::default() };
    let params = TrainParams { epochs: 10, learning_rate: 1e-2, ..settings() };
    let run = Run { params, validation: Some(how), every: Every::Steps(3), ..Run::new() };
    let (calm, expected) = run.go(None, &data(), &mut NoProgress).unwrap();
    let mut passed_over = 0;
    for killed in [7, 10, 14, calm.steps - 1] {
        let stepping = || {
            let dir = tempfile::tempdir().unwrap();
            run.die_at(dir.path(), killed);
            dir
        };
        let there = steps_in(stepping().path());
        for &spoilt in &there {
            let dir = stepping();
            let folder = format!("checkpoint-{spoilt}");
            fs::remove_file(dir.path().join(&folder).join("trainer.json")).unwrap();
            let mut damage = Damage::default();
            match run.go(Some(dir.path()), &data(), &mut damage) {
                Ok((report, found)) => {
                    assert_eq!(found, expected, "killed at {killed}, without {spoilt}");
                    assert_ne!(report.resumed, Some(spoilt));
                }
                // Only the lowest evaluation can be what none of the others does without.
                Err(error) => {
                    assert!(Some(&spoilt) != there.last(), "killed at {killed}: {error}");
                    assert!(error.to_string().contains(&folder), "{error}");
                }
            }
            passed_over += damage.0;
        }
    }
    assert!(passed_over > 3, "{passed_over}");
}

/// Counts checkpoints that were passed over.
#[derive(Default)]
struct Damage(usize);

impl Progress for Damage {
    fn start(&mut self, _: &Stage<'_>) {}
    fn advance(&mut self, _: u64) {}
    fn record(&mut self, kind: &str, record: &Value) {
        if kind == "damaged checkpoint" {
            assert!(record["error"].is_string());
            self.0 += 1;
        }
    }
}
