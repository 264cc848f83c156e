//! Made-up data.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

/// Rows of the shared pool.
pub(crate) const ROWS: usize = 48;

const NOUNS: [&str; 7] = ["cat", "dog", "bird", "ship", "tree", "house", "river"];
const VERBS: [&str; 5] = ["sees", "likes", "finds", "hears", "wants"];

/// The text of row `n`: what is asked, and its answer.
pub(crate) fn pair(n: usize) -> (String, String) {
    let (a, b, verb) = (NOUNS[n % 7], NOUNS[(3 * n + 1) % 7], VERBS[n % 5]);
    (format!("le {a} {verb} {b} {n}"), format!("the {a} {verb} the {b}"))
}

/// A translation pair as a line of JSON.
pub(crate) fn line(id: &str, source: &str, target: &str) -> String {
    json!({ "id": id, "src": source, "tgt": target }).to_string()
}

/// [`ROWS`] translation pairs. Some lines are written in ways that a parser would not write them
/// again, to see that chosen lines come out as they came in.
pub(crate) fn pairs() -> Vec<String> {
    (0..ROWS)
        .map(|n| {
            let (source, target) = pair(n);
            match n % 4 {
                0 => format!(r#"{{"tgt":"{target}" ,  "src": "{source}","id":"p{n}"}}"#),
                1 => format!(
                    r#"{{ "id": "p{n}", "src": "{source} \u00e9\/é", "tgt": "{target}", "weight": 1.50e0 }}"#
                ),
                _ => line(&format!("p{n}"), &source, &target),
            }
        })
        .collect()
}

/// Four samples in the manner of [`pairs`].
pub(crate) fn seeds() -> Vec<String> {
    (0..4)
        .map(|n| line(&format!("s{n}"), &format!("la {}", NOUNS[n]), &format!("a {}", NOUNS[n])))
        .collect()
}

/// Writes lines, the last one without its end.
pub(crate) fn write<L: AsRef<str>>(folder: &Path, name: &str, lines: &[L]) -> PathBuf {
    let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
    let path = folder.join(name);
    fs::write(&path, lines.join("\n")).unwrap();
    path
}

/// Writes [`pairs`] and [`seeds`] into a folder.
pub(crate) fn write_pairs(folder: &Path) -> (PathBuf, PathBuf) {
    (write(folder, "pool.jsonl", &pairs()), write(folder, "seeds.jsonl", &seeds()))
}
