//! Anchors that begin alike, so that their common beginning is read once a candidate.
//!
//! A template gives every text the same first words. Behind a candidate they are the same tokens at
//! the same places, and so have the same keys and values whichever anchor follows.

/// A further stem must save as many tokens as this: reading it is a pass of its own, over few tokens.
const WORTH: usize = 64;

/// A common beginning and the texts that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stem {
    /// How many tokens of each text it is.
    pub(crate) length: usize,
    /// The texts, in their order.
    pub(crate) members: Vec<usize>,
}

/// A text of which at most `limit` tokens may be given to a stem.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) limit: usize,
}

/// Divides texts into groups with a common stem each so that together they have about the fewest
/// tokens to read. Texts without a stem come last, as a group of stem 0.
pub(crate) fn stems(texts: &[Text<'_>]) -> Vec<Stem> {
    let mut order: Vec<usize> = (0..texts.len()).collect();
    // Texts with a common beginning are neighbours.
    order.sort_by(|&a, &b| texts[a].ids.cmp(texts[b].ids).then(a.cmp(&b)));
    let mut found = Vec::new();
    best(texts, &order, &mut found);
    let mut alone: Vec<usize> = order;
    alone.retain(|text| !found.iter().any(|stem: &Stem| stem.members.contains(text)));
    if !alone.is_empty() {
        found.push(Stem { length: 0, members: alone });
    }
    for stem in &mut found {
        stem.members.sort_unstable();
    }
    found
}

/// Adds the best stems of neighbours `order`; returns how many tokens they save.
fn best(texts: &[Text<'_>], order: &[usize], found: &mut Vec<Stem>) -> usize {
    let length = common(texts, order);
    let together = (length * order.len().saturating_sub(1)).saturating_sub(WORTH);
    // What the members have next tells them apart; one that may give no more stays behind.
    let mut apart = Vec::new();
    let may_go_on = |&&text: &&usize| texts[text].limit > length;
    let longer: Vec<usize> = order.iter().filter(may_go_on).copied().collect();
    let next = |text: usize| texts[text].ids.get(length);
    let parts = longer.chunk_by(|&a, &b| next(a) == next(b));
    let saved: usize =
        parts.filter(|part| part.len() > 1).map(|part| best(texts, part, &mut apart)).sum();
    if together > 0 && together >= saved {
        found.push(Stem { length, members: order.to_vec() });
        return together;
    }
    found.append(&mut apart);
    saved
}

/// Tokens that all texts begin with and may give.
fn common(texts: &[Text<'_>], order: &[usize]) -> usize {
    let Some((&first, rest)) = order.split_first() else { return 0 };
    let first = texts[first];
    let agree = |text: &Text<'_>| {
        let pairs = first.ids.iter().zip(text.ids);
        pairs.take_while(|(a, b)| a == b).count().min(text.limit)
    };
    rest.iter().map(|&text| agree(&texts[text])).fold(first.limit.min(first.ids.len()), usize::min)
}

#[cfg(test)]
mod tests {
    use super::{Stem, Text, WORTH, stems};

    fn of(texts: &[(Vec<u32>, usize)]) -> Vec<Stem> {
        let texts: Vec<Text<'_>> =
            texts.iter().map(|(ids, limit)| Text { ids, limit: *limit }).collect();
        let found = stems(&texts);
        let mut members: Vec<usize> = found.iter().flat_map(|s| s.members.clone()).collect();
        members.sort_unstable();
        assert!(members.into_iter().eq(0..texts.len()), "each text once: {found:?}");
        for Stem { length, members } in &found {
            for &member in members {
                assert!(*length <= texts[member].limit);
                assert_eq!(texts[member].ids[..*length], texts[members[0]].ids[..*length]);
            }
        }
        found
    }

    fn text(stem: &[u32], count: u32, own: u32) -> (Vec<u32>, usize) {
        let mut ids: Vec<u32> = stem.iter().copied().cycle().take(count as usize).collect();
        ids.extend([1000 + own, 2000 + own, 3]);
        let limit = ids.len() - 2;
        (ids, limit)
    }

    #[test]
    fn two_forms_of_a_template_are_two_stems() {
        let mut texts: Vec<_> = (0..10).map(|n| text(&[5, 6], 40, n)).collect();
        texts.extend((0..8).map(|n| text(&[5, 7], 30, n)));
        let found = of(&texts);
        assert_eq!(found.iter().map(|s| s.length).collect::<Vec<_>>(), [40, 30]);
        assert_eq!(found[1].members, (10..18).collect::<Vec<_>>());
    }

    #[test]
    fn a_split_must_be_worth_its_pass() {
        // Twelve share 20 tokens; four of them two more each.
        let texts: Vec<_> = (0..12).map(|n| text(&[5], 20 + 2 * u32::from(n < 4), n)).collect();
        let found = of(&texts);
        assert_eq!((found.len(), found[0].length), (1, 20));
        // Too little to gain at all.
        let few: Vec<_> = (0..3).map(|n| text(&[5], WORTH as u32 / 2, n)).collect();
        assert_eq!(of(&few), [Stem { length: 0, members: vec![0, 1, 2] }]);
    }

    #[test]
    fn what_predicts_a_target_is_not_given_away() {
        let mut texts: Vec<_> = (0..9).map(|n| text(&[5], 40, n)).collect();
        texts[3].1 = 0;
        let found = of(&texts);
        assert_eq!((found[0].length, found[0].members.len()), (40, 8));
        assert_eq!(found[1], Stem { length: 0, members: vec![3] });
        // Equal texts share all that they may.
        let equal: Vec<_> = (0..4).map(|_| text(&[5], 60, 0)).collect();
        assert_eq!(of(&equal)[0].length, 61);
        assert!(of(&[]).is_empty());
    }
}
