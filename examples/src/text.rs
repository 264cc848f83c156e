//! Text as other programs want it.

use tamis::dataset::Content;

/// Text in one line, for files of one segment a line: any white space becomes one space.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters of a sample, question and answer together.
pub(crate) fn characters(content: &Content) -> usize {
    let count = |text: &String| text.chars().count();
    match content {
        Content::Instruction { instruction, input, output } => {
            count(instruction) + count(input) + count(output)
        }
        Content::Chat { messages } => messages.iter().map(|message| count(&message.content)).sum(),
        Content::Translation { source, target } => count(source) + count(target),
    }
}
