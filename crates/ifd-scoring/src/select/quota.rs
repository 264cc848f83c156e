//! What groups are promised, so that a domain whose scores are low throughout is not starved.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::parameter;
use crate::{Candidate, IfdError};

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
    type Err = IfdError;

    fn from_str(text: &str) -> Result<Self, IfdError> {
        let count = |digits: &str| {
            digits.parse().map_err(|_| {
                let expected = "none, proportional, at-least:N, at-most:N or GROUP=N,GROUP=N";
                parameter("quota", text, expected)
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
                        return Err(parameter("quota", text, "each group once"));
                    }
                }
                Ok(Self::Named(counts))
            }
        }
    }
}

/// The chosen positions, each with why: of those in `ranked`, at most `budget`.
pub(super) fn choose(
    quota: &Quota,
    candidates: &[Candidate],
    ranked: &[usize],
    budget: usize,
) -> Result<HashMap<usize, &'static str>, IfdError> {
    let mut chosen = HashMap::new();
    // A budget of 0 chooses nothing, whatever was promised.
    if budget == 0 {
        return Ok(chosen);
    }
    let mut members: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for candidate in candidates {
        members.entry(candidate.group.as_deref()).or_default();
    }
    for &position in ranked {
        members.entry(candidates[position].group.as_deref()).or_default().push(position);
    }
    let mut most = usize::MAX;
    match quota {
        Quota::None => {}
        Quota::AtMost(count) => most = *count,
        Quota::AtLeast(count) => {
            let promised = members.values().map(|own| (own.as_slice(), *count));
            promise(promised, budget, &mut chosen)?;
        }
        Quota::Named(counts) => {
            let mut promised = Vec::with_capacity(counts.len());
            for (group, &count) in counts {
                let own = members.get(&Some(group.as_str()));
                let own = own.ok_or_else(|| unknown(group, &members))?;
                promised.push((own.as_slice(), count));
            }
            promise(promised.into_iter(), budget, &mut chosen)?;
        }
        Quota::Proportional => {
            let mut sizes: BTreeMap<Option<&str>, usize> = BTreeMap::new();
            for candidate in candidates {
                *sizes.entry(candidate.group.as_deref()).or_default() += 1;
            }
            let parts = parts(&sizes.into_values().collect::<Vec<_>>(), budget);
            promise(members.values().map(Vec::as_slice).zip(parts), budget, &mut chosen)?;
        }
    }
    let mut taken: HashMap<Option<&str>, usize> = HashMap::new();
    for &position in ranked {
        if chosen.len() >= budget {
            break;
        }
        let taken = taken.entry(candidates[position].group.as_deref()).or_default();
        if *taken < most && !chosen.contains_key(&position) {
            chosen.insert(position, "chosen");
            *taken += 1;
        }
    }
    Ok(chosen)
}

/// Gives each group its best, as many as it is promised and has.
fn promise<'a>(
    groups: impl Iterator<Item = (&'a [usize], usize)>,
    budget: usize,
    chosen: &mut HashMap<usize, &'static str>,
) -> Result<(), IfdError> {
    for (own, count) in groups {
        let best = &own[..count.min(own.len())];
        chosen.extend(best.iter().map(|&position| (position, "chosen for its group")));
    }
    if chosen.len() > budget {
        return Err(IfdError::Quota { promised: chosen.len(), budget });
    }
    Ok(())
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

fn unknown(group: &str, members: &BTreeMap<Option<&str>, Vec<usize>>) -> IfdError {
    let names: Vec<&str> = members.keys().flatten().copied().collect();
    let known = if names.is_empty() { "not known".to_owned() } else { names.join(", ") };
    IfdError::UnknownGroup { group: group.to_owned(), known }
}
