//! The one integration test binary of `tamis-embeddings`.
#![allow(clippy::unwrap_used, clippy::panic)]

mod artefact;
mod blocks;
mod model;
mod published;
mod readers;
mod refusals;
mod selection;

use std::path::{Path, PathBuf};

use tamis_embeddings::Embeddings;

/// Rows and columns of every file that `make_fixtures.py` writes.
const SHAPE: (usize, usize) = (7, 5);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// What `make_fixtures.py` puts into the files.
fn matrix() -> Vec<f32> {
    (0..SHAPE.0 * SHAPE.1).map(|n| ((n * 37 % 101) as f32 - 50.0) / 8.0).collect()
}

/// All rows, read one block after the other.
fn rows(embeddings: &Embeddings) -> Vec<f32> {
    let (mut all, mut scratch) = (Vec::new(), Vec::new());
    for row in 0..embeddings.len() {
        all.extend_from_slice(embeddings.block(row, 1, &mut scratch));
    }
    assert_eq!(embeddings.contiguous(), all);
    all
}
