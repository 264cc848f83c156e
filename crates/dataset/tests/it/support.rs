//! What the tests share.

use std::path::{Path, PathBuf};

use tamis_dataset::{
    Content, Dataset, DatasetError, EncodeOptions, Encoded, Encoder, Message, OnError, Outcome,
    ReadOptions, Sample, SampleId, Template, TextTokenizer,
};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A folder that lives as long as the test.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) fn open(
        &self,
        name: &str,
        bytes: impl AsRef<[u8]>,
    ) -> Result<Dataset, DatasetError> {
        Dataset::open(self.file(name, bytes), &ReadOptions::default())
    }

    pub(crate) fn open_skipping(
        &self,
        name: &str,
        bytes: impl AsRef<[u8]>,
    ) -> Result<Dataset, DatasetError> {
        Dataset::open(self.file(name, bytes), &skipping())
    }
}

pub(crate) fn skipping() -> ReadOptions {
    ReadOptions { on_error: OnError::Skip, ..ReadOptions::default() }
}

pub(crate) fn all(data: &Dataset) -> Vec<Sample> {
    data.read_range(0..data.len()).unwrap()
}

pub(crate) fn ids(data: &Dataset) -> Vec<String> {
    all(data).iter().map(|row| row.id.to_string()).collect()
}

pub(crate) fn instruction(instruction: &str, input: &str, output: &str) -> Content {
    Content::Instruction {
        instruction: instruction.into(),
        input: input.into(),
        output: output.into(),
    }
}

pub(crate) fn pair(source: &str, target: &str) -> Content {
    Content::Translation { source: source.into(), target: target.into() }
}

pub(crate) fn talk(turns: &[(&str, &str)]) -> Content {
    Content::Chat { messages: turns.iter().map(|&(role, text)| Message::new(role, text)).collect() }
}

pub(crate) fn sample(content: Content) -> Sample {
    Sample { id: SampleId::from("the-sample"), index: 7, content }
}

pub(crate) fn tokenizer(name: &str) -> TextTokenizer {
    TextTokenizer::from_dir(fixture(name)).unwrap()
}

pub(crate) fn encoder(name: &str, template: Template, options: EncodeOptions) -> Encoder {
    Encoder::new(tokenizer(name), template, options).unwrap()
}

pub(crate) fn english() -> Template {
    Template::Translation { target_language: "English".into() }
}

pub(crate) fn scored(encoder: &Encoder, content: Content) -> Encoded {
    match encoder.encode(&sample(content)) {
        Outcome::Scored(encoded) => encoded,
        Outcome::Unscorable { reason, .. } => panic!("expected tokens, found: {reason}"),
    }
}

/// The text of the targets, special tokens left out.
pub(crate) fn learned(encoder: &Encoder, encoded: &Encoded) -> String {
    let ids: Vec<u32> = encoded
        .ids
        .iter()
        .zip(&encoded.supervised)
        .filter(|&(_, &target)| target)
        .map(|(&id, _)| id)
        .collect();
    encoder.tokenizer().decode(&ids).unwrap()
}
