//! The words of a text.

use tamis_dataset::Content;
use unicode_segmentation::UnicodeSegmentation;

/// Words by the rules of Unicode (UAX 29), lower-cased: `Don't` is one word, and so is each character
/// of Chinese. Punctuation and spaces are none.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().map(str::to_lowercase)
}

/// All texts of a sample: question and answer, both sides of a translation, every turn.
pub(crate) fn texts(content: &Content) -> Vec<&str> {
    match content {
        Content::Instruction { instruction, input, output } => vec![instruction, input, output],
        Content::Chat { messages } => messages.iter().map(|m| m.content.as_str()).collect(),
        Content::Translation { source, target } => vec![source, target],
    }
}
