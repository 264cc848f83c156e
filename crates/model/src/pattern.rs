//! Choosing linear layers by name.

use std::{fmt, str::FromStr};

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::{LayerInfo, ModelError};

/// Which linear layers a method looks at.
///
/// By default all but the head. Otherwise a regular expression that is searched for in the full
/// name of each layer, the head included: `mlp` takes every feed-forward layer,
/// `layers\.(2|3)\..*_proj$` two blocks, `.` everything.
///
/// ```
/// use tamis_model::LayerPattern;
///
/// let pattern: LayerPattern = r"self_attn\.(q|v)_proj$".parse()?;
/// assert!(pattern.matches("model.layers.0.self_attn.q_proj", false));
/// assert!(!pattern.matches("model.layers.0.mlp.up_proj", false));
/// # Ok::<(), tamis_model::ModelError>(())
/// ```
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LayerPattern {
    regex: Option<Regex>,
}

/// How the default pattern is written.
const DEFAULT: &str = "default";
/// How many layers an error names.
const EXAMPLES: usize = 8;

impl LayerPattern {
    /// Whether a layer of this name, the head or not, is chosen.
    pub fn matches(&self, name: &str, head: bool) -> bool {
        self.regex.as_ref().map_or(!head, |regex| regex.is_match(name))
    }

    /// The chosen ones of `layers`, in their order.
    ///
    /// # Errors
    /// [`ModelError::NoLayerMatches`] where none is chosen.
    pub fn select(&self, layers: &[LayerInfo]) -> Result<Vec<LayerInfo>, ModelError> {
        let chosen: Vec<_> =
            layers.iter().filter(|layer| self.matches(&layer.name, layer.head)).cloned().collect();
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let names: Vec<_> = layers.iter().take(EXAMPLES).map(|layer| layer.name.as_str()).collect();
        Err(ModelError::NoLayerMatches {
            pattern: self.to_string(),
            count: layers.len(),
            examples: names.join(", "),
        })
    }
}

impl fmt::Display for LayerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.regex.as_ref().map_or(DEFAULT, Regex::as_str))
    }
}

impl FromStr for LayerPattern {
    type Err = ModelError;

    /// `default`, or a regular expression.
    fn from_str(text: &str) -> Result<Self, ModelError> {
        if text == DEFAULT {
            return Ok(Self::default());
        }
        let bad = |source| ModelError::Pattern { pattern: text.to_owned(), source };
        Ok(Self { regex: Some(Regex::new(text).map_err(bad)?) })
    }
}

impl TryFrom<String> for LayerPattern {
    type Error = ModelError;

    fn try_from(text: String) -> Result<Self, ModelError> {
        text.parse()
    }
}

impl From<LayerPattern> for String {
    fn from(pattern: LayerPattern) -> Self {
        pattern.to_string()
    }
}
