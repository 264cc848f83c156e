//! What decides the bytes of a store, and how two such descriptions differ.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ArtifactError;

/// Everything that decides the bytes of a store.
///
/// It holds no time, host name or path: two runs that must give the same bytes have equal manifests,
/// and two that may give others have not. Identify files by their hash ([`hash_file`](crate::hash_file)).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What kind of artefact this is: `gradients`, `kfac-factors`, …
    pub kind: String,
    /// Version of the kind's layout on disk; raised whenever old shards cannot be read any more.
    pub format: u32,
    /// The fields that decide the bytes, nested as one likes.
    pub fields: Map<String, Value>,
}

impl Manifest {
    /// A manifest without fields.
    pub fn new(kind: impl Into<String>, format: u32) -> Self {
        Self { kind: kind.into(), format, fields: Map::new() }
    }

    /// Adds or replaces a field. The name is taken as it is: a dot in it does not nest.
    ///
    /// # Errors
    /// [`ArtifactError::BadField`] if the value has no JSON form (a map whose keys are not strings).
    pub fn with(mut self, field: &str, value: impl Serialize) -> Result<Self, ArtifactError> {
        let value = serde_json::to_value(value)
            .map_err(|source| ArtifactError::BadField { field: field.to_owned(), source })?;
        self.fields.insert(field.to_owned(), value);
        Ok(self)
    }

    /// The field at a dotted path such as `model.blake3` or `layers.3`, if there is one.
    ///
    /// Names that hold dots themselves are found too.
    pub fn field(&self, path: &str) -> Option<&Value> {
        field_of_map(&self.fields, path)
    }

    /// Where this manifest (found) differs from another (expected), in the order of the fields.
    pub fn differences(&self, expected: &Self) -> Differences {
        let mut all = Vec::new();
        let kinds = [&self.kind, &expected.kind].map(|kind| Value::from(kind.as_str()));
        compare("kind", Some(&kinds[0]), Some(&kinds[1]), &mut all);
        let formats = [self.format, expected.format].map(Value::from);
        compare("format", Some(&formats[0]), Some(&formats[1]), &mut all);
        compare_maps("", &self.fields, &expected.fields, &mut all);
        Differences(all)
    }

    /// The text of `manifest.json`: names sorted, so that equal manifests give equal bytes.
    pub(crate) fn to_text(&self) -> Result<String, serde_json::Error> {
        let mut value = serde_json::to_value(self)?;
        value.sort_all_objects();
        Ok(serde_json::to_string_pretty(&value)? + "\n")
    }
}

fn field_of_map<'v>(map: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    map.get(path).or_else(|| {
        path.match_indices('.').find_map(|(dot, _)| {
            map.get(&path[..dot]).and_then(|inner| field_of(inner, &path[dot + 1..]))
        })
    })
}

fn field_of<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    match value {
        Value::Object(map) => field_of_map(map, path),
        Value::Array(items) => {
            let (index, rest) = path.split_once('.').map_or((path, None), |(i, r)| (i, Some(r)));
            let item = items.get(index.parse::<usize>().ok()?)?;
            rest.map_or(Some(item), |rest| field_of(item, rest))
        }
        _ => None,
    }
}

/// One field in which a store differs from what was expected of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Dotted path of the field: `kind`, `format`, or a path within the fields.
    pub path: String,
    /// Its value in the store; `None` if it has no such field.
    pub found: Option<Value>,
    /// The value expected; `None` if no such field was.
    pub expected: Option<Value>,
}

/// The fields in which a store differs from what was expected of it.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Differences(pub Vec<Difference>);

impl Differences {
    /// How many fields a message names; the rest are counted.
    const SHOWN: usize = 4;
    /// How many characters of a value a message shows.
    const VALUE_WIDTH: usize = 100;

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Differences {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Difference { path, found, expected }) in self.0.iter().take(Self::SHOWN).enumerate()
        {
            let comma = if i == 0 { "" } else { "; " };
            let [found, expected] = [found, expected].map(|value| shown(value.as_ref()));
            write!(out, "{comma}field `{path}` is {found}, expected {expected}")?;
        }
        match self.0.len().saturating_sub(Self::SHOWN) {
            0 => Ok(()),
            more => write!(out, "; and {more} more fields"),
        }
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "absent".to_owned();
    };
    let text = value.to_string();
    match text.char_indices().nth(Differences::VALUE_WIDTH) {
        None => text,
        Some((cut, _)) => match value {
            Value::Array(items) => format!("{}… ({} items)", &text[..cut], items.len()),
            _ => format!("{}… ({} bytes)", &text[..cut], text.len()),
        },
    }
}

fn compare(path: &str, found: Option<&Value>, expected: Option<&Value>, all: &mut Vec<Difference>) {
    match (found, expected) {
        (Some(Value::Object(found)), Some(Value::Object(expected))) => {
            compare_maps(path, found, expected, all);
        }
        // Lists of one length are compared item by item; of two lengths, the list is the difference.
        (Some(Value::Array(found)), Some(Value::Array(expected)))
            if found.len() == expected.len() =>
        {
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                compare(&join(path, &i.to_string()), Some(found), Some(expected), all);
            }
        }
        (found, expected) if found == expected => {}
        (found, expected) => all.push(Difference {
            path: path.to_owned(),
            found: found.cloned(),
            expected: expected.cloned(),
        }),
    }
}

fn compare_maps(
    path: &str,
    found: &Map<String, Value>,
    expected: &Map<String, Value>,
    all: &mut Vec<Difference>,
) {
    for (name, value) in expected {
        compare(&join(path, name), found.get(name), Some(value), all);
    }
    for (name, value) in found.iter().filter(|(name, _)| !expected.contains_key(*name)) {
        compare(&join(path, name), Some(value), None, all);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
