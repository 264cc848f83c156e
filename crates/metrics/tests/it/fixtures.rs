//! The files that `make.py` made.

use std::fs;
use std::path::Path;

use serde_json::Value;

pub(crate) fn json(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Hypotheses and one or more lists of references.
pub(crate) struct Corpus {
    pub(crate) name: String,
    pub(crate) hypotheses: Vec<String>,
    pub(crate) references: Vec<Vec<String>>,
}

pub(crate) fn corpora() -> Vec<Corpus> {
    let of_one = |row: &Value| Corpus {
        name: row["name"].as_str().unwrap().to_owned(),
        hypotheses: strings(&row["hypotheses"]),
        references: row["references"].as_array().unwrap().iter().map(strings).collect(),
    };
    json("corpora.json")["corpora"].as_array().unwrap().iter().map(of_one).collect()
}
