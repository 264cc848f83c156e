//! The search for shifts of TER: blocks of words that stand at the wrong place.
//!
//! Which shifts are tried, in what order, and which of equally good ones is taken decides the
//! number of edits, so these choices are those of Tercom, and their limits too.

use std::cmp::Reverse;

use crate::edits::{Edit, Table};

/// The longest block.
const LONGEST: usize = 10;
/// How far apart a block and its match in the reference may begin.
const FARTHEST: usize = 50;
/// After so many tries the search for shifts ends.
const MOST_TRIES: usize = 1000;

/// The edits, shifts among them, that make the reference of the hypothesis.
pub(crate) fn edits(hypothesis: &[u32], reference: &[u32]) -> u64 {
    if reference.is_empty() {
        return hypothesis.len() as u64;
    }
    let mut table = Table::new(reference, hypothesis);
    let (mut shifts, mut tries) = (0, 0);
    // Greedily the best shift, as long as it saves an edit.
    while let Some(better) = best_shift(&mut table, reference, &mut tries) {
        table.set(&better);
        shifts += 1;
    }
    shifts + u64::from(table.distance())
}

/// The hypothesis after the shift that saves most; `None` if none does, or the tries are used up.
fn best_shift(table: &mut Table<'_>, reference: &[u32], tries: &mut usize) -> Option<Vec<u32>> {
    let words = table.hypothesis().to_vec();
    let distance = i64::from(table.distance());
    let alignment = Alignment::new(&table.edits());
    let mut best = None;
    'search: for start in 0..words.len() {
        for target in start.saturating_sub(FARTHEST)..reference.len().min(start + FARTHEST + 1) {
            let matching = words[start..].iter().zip(&reference[target..]);
            let matching = matching.take_while(|(a, b)| a == b).take(LONGEST).count();
            for length in 1..=matching {
                let aligned = alignment.after[target];
                // Only words that are wrong where they are, to where something is missing, and not
                // into themselves.
                if !alignment.wrong_words[start..start + length].contains(&true)
                    || !alignment.wrong_places[target..target + length].contains(&true)
                    || (start < aligned && aligned <= start + length)
                {
                    continue;
                }
                // Before the words that match the block's surroundings, one after the other.
                let mut before = None;
                for offset in 0..=length {
                    let place = match (target + offset).checked_sub(1) {
                        None => 0,
                        Some(matched) if matched < reference.len() => alignment.after[matched],
                        Some(_) => break,
                    };
                    if before.replace(place) == Some(place) {
                        continue;
                    }
                    let shifted = shift(&words, start, length, place);
                    let saved = distance - i64::from(table.distance_of(&shifted));
                    *tries += 1;
                    let rank = (saved, length, Reverse(start), Reverse(place));
                    if best.as_ref().is_none_or(|(highest, _)| rank > *highest) {
                        best = Some((rank, shifted));
                    }
                }
                if *tries >= MOST_TRIES {
                    break 'search;
                }
            }
        }
    }
    // A shift found with the last try is not made any more.
    best.filter(|(rank, _)| rank.0 > 0 && *tries < MOST_TRIES).map(|(_, shifted)| shifted)
}

/// Where the words of the reference are in the hypothesis.
struct Alignment {
    /// For each word of the reference, the number of words of the hypothesis up to and with its own.
    after: Vec<usize>,
    /// Whether a word of the hypothesis is not kept.
    wrong_words: Vec<bool>,
    /// Whether a word of the reference is not one that is kept.
    wrong_places: Vec<bool>,
}

impl Alignment {
    fn new(edits: &[Edit]) -> Self {
        let mut found =
            Self { after: Vec::new(), wrong_words: Vec::new(), wrong_places: Vec::new() };
        for &edit in edits {
            let wrong = edit != Edit::Keep;
            if edit != Edit::Insert {
                found.wrong_words.push(wrong);
            }
            if edit != Edit::Delete {
                found.wrong_places.push(wrong);
                found.after.push(found.wrong_words.len());
            }
        }
        found
    }
}

/// The words with a block moved before the word that is at `place`, or, if that is within or next to
/// the block, moved as far to the right as it is inside.
fn shift(words: &[u32], start: usize, length: usize, place: usize) -> Vec<u32> {
    let end = start + length;
    let block = &words[start..end];
    if place < start {
        return [&words[..place], block, &words[place..start], &words[end..]].concat();
    }
    let after = if place > end { place } else { (length + place).min(words.len()) };
    [&words[..start], &words[end..after], block, &words[after..]].concat()
}
