//! What groups are promised, so that a domain whose scores are low throughout is not starved.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tamis_artifact::ParameterError;

use crate::candidates::Candidates;
use crate::error::SelectionError;
use crate::why::Fate;

/// What the groups of candidates are promised of the rows to be chosen.
///
/// As text: `none`, `proportional`, `at-least:20`, `at-most:500`, `code=100,math=50`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quota {
    /// Nothing.
    #[default]
    None,
    /// Each its part of the rows by the number of its candidates, scored or not; what a group cannot
    /// fill goes to the best of the others.
    Proportional,
    /// Each its best so many; the rest goes to the best of all.
    AtLeast(usize),
    /// None more than so many.
    AtMost(usize),
    /// These groups their best so many; the rest goes to the best of all.
    Named(BTreeMap<String, usize>),
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Proportional => f.write_str("proportional"),
            Self::AtLeast(count) => write!(f, "at-least:{count}"),
            Self::AtMost(count) => write!(f, "at-most:{count}"),
            Self::Named(counts) => {
                let parts: Vec<String> =
                    counts.iter().map(|(group, count)| format!("{group}={count}")).collect();
                f.write_str(&parts.join(","))
            }
        }
    }
}

impl FromStr for Quota {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let count = |digits: &str| {
            digits.parse().map_err(|_| {
                let expected = "none, proportional, at-least:N, at-most:N or GROUP=N,GROUP=N";
                ParameterError::new("quota", text, expected)
            })
        };
        match (text, text.split_once(':')) {
            ("none", _) => Ok(Self::None),
            ("proportional", _) => Ok(Self::Proportional),
            (_, Some(("at-least", digits))) => Ok(Self::AtLeast(count(digits)?)),
            (_, Some(("at-most", digits))) => Ok(Self::AtMost(count(digits)?)),
            _ => {
                let mut counts = BTreeMap::new();
                for part in text.split(',') {
                    let (group, digits) = part.rsplit_once('=').unwrap_or((part, ""));
                    if counts.insert(group.to_owned(), count(digits)?).is_some() {
                        return Err(ParameterError::new("quota", text, "each group once").into());
                    }
                }
                Ok(Self::Named(counts))
            }
        }
    }
}

/// What becomes of those in `ranked`, in that order; at most `budget` are chosen.
pub(super) fn choose(
    quota: &Quota,
    candidates: &Candidates<'_>,
    ranked: &[usize],
    budget: usize,
) -> Result<Vec<Fate>, SelectionError> {
    // A budget of 0 chooses nothing, whatever was promised.
    if budget == 0 {
        return Ok(vec![Fate::Beyond(budget); ranked.len()]);
    }
    let promised = promised(quota, candidates, ranked, budget)?;
    let most = if let Quota::AtMost(count) = quota { *count } else { usize::MAX };
    let mut taken: HashMap<Option<&str>, usize> = HashMap::new();
    let mut room = budget - promised.len();
    let fates = ranked.iter().enumerate().map(|(place, position)| {
        if promised.contains(position) {
            return Fate::Promised;
        }
        let taken = taken.entry(candidates.group(*position)).or_default();
        if room == 0 {
            // Without promises the best are taken, so only they can have cost it its place.
            if place < budget { Fate::Displaced } else { Fate::Beyond(budget) }
        } else if *taken >= most {
            Fate::GroupFull(most)
        } else {
            *taken += 1;
            room -= 1;
            Fate::Chosen
        }
    });
    Ok(fates.collect())
}

/// The positions that are promised to the groups: of each its best.
fn promised(
    quota: &Quota,
    candidates: &Candidates<'_>,
    ranked: &[usize],
    budget: usize,
) -> Result<HashSet<usize>, SelectionError> {
    let mut members: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for position in 0..candidates.len() {
        members.entry(candidates.group(position)).or_default();
    }
    for &position in ranked {
        members.entry(candidates.group(position)).or_default().push(position);
    }
    let counts: Vec<(&[usize], usize)> = match quota {
        Quota::None | Quota::AtMost(_) => Vec::new(),
        Quota::AtLeast(count) => members.values().map(|own| (own.as_slice(), *count)).collect(),
        Quota::Named(counts) => {
            let own = |(group, &count): (&String, &usize)| {
                named(group, &members).map(|own| (own.as_slice(), count))
            };
            counts.iter().map(own).collect::<Result<_, _>>()?
        }
        Quota::Proportional => {
            let sizes = sizes((0..candidates.len()).map(|position| candidates.group(position)));
            let parts = parts(&sizes.into_values().collect::<Vec<_>>(), budget);
            members.values().map(Vec::as_slice).zip(parts).collect()
        }
    };
    let best = counts.into_iter().flat_map(|(own, count)| &own[..count.min(own.len())]);
    let promised: HashSet<usize> = best.copied().collect();
    if promised.len() > budget {
        return Err(SelectionError::Quota { promised: promised.len(), budget });
    }
    Ok(promised)
}

/// Refuses what cannot be promised to `groups`, one a candidate, where at most `budget` of them are
/// to be chosen.
pub(super) fn check<'g>(
    quota: &Quota,
    groups: impl Iterator<Item = Option<&'g str>>,
    budget: usize,
) -> Result<(), SelectionError> {
    let sizes = sizes(groups);
    let promised = match quota {
        Quota::None | Quota::AtMost(_) | Quota::Proportional => 0,
        Quota::AtLeast(count) => sizes.values().map(|size| size.min(count)).sum(),
        Quota::Named(counts) => {
            let own = |(group, &count): (&String, &usize)| {
                named(group, &sizes).map(|&size| count.min(size))
            };
            counts.iter().map(own).sum::<Result<usize, SelectionError>>()?
        }
    };
    if budget > 0 && promised > budget {
        return Err(SelectionError::Quota { promised, budget });
    }
    Ok(())
}

/// How many of each group there are.
fn sizes<'g>(groups: impl Iterator<Item = Option<&'g str>>) -> BTreeMap<Option<&'g str>, usize> {
    let mut sizes = BTreeMap::new();
    for group in groups {
        *sizes.entry(group).or_default() += 1;
    }
    sizes
}

/// What is known of a group that a quota names.
fn named<'m, T>(
    group: &str,
    known: &'m BTreeMap<Option<&str>, T>,
) -> Result<&'m T, SelectionError> {
    let found = known.iter().find(|(name, _)| **name == Some(group)).map(|(_, value)| value);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.keys().flatten().copied().collect();
        let known = if names.is_empty() { "not known".to_owned() } else { names.join(", ") };
        SelectionError::UnknownGroup { group: group.to_owned(), known }
    })
}

/// `budget` in parts proportional to `sizes`: rounded down, then one more to those with the largest
/// remainders, ties in order. Exact, so that equal sizes get equal parts.
fn parts(sizes: &[usize], budget: usize) -> Vec<usize> {
    let total: u128 = sizes.iter().map(|&size| size as u128).sum::<u128>().max(1);
    let budget = (budget as u128).min(total);
    let share = |size: usize| budget * size as u128;
    let mut parts: Vec<usize> = sizes.iter().map(|&size| (share(size) / total) as usize).collect();
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|&group| std::cmp::Reverse(share(sizes[group]) % total));
    let left = budget as usize - parts.iter().sum::<usize>();
    for &group in order.iter().take(left) {
        parts[group] += 1;
    }
    parts
}
