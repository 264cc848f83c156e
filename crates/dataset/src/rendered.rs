//! A sample as text, and the parts of it that are learned.

use std::ops::Range;

/// A sample as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Everything the model reads, but for tokens that the tokenizer adds.
    pub text: String,
    /// Byte ranges of `text` to be learned, in order.
    pub targets: Vec<Range<usize>>,
}

/// A text under construction.
#[derive(Default)]
pub(crate) struct Draft {
    text: String,
    targets: Vec<Range<usize>>,
}

impl Draft {
    pub(crate) fn given(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn learned(mut self, parts: &[&str]) -> Self {
        let start = self.text.len();
        for part in parts {
            self.text.push_str(part);
        }
        self.targets.push(start..self.text.len());
        self
    }

    pub(crate) fn done(self) -> Rendered {
        Rendered { text: self.text, targets: self.targets }
    }
}
