//! The edit distance of two lines of words within a band around the diagonal.

/// How far from the diagonal the distance is looked for, as in Tercom.
const BEAM: usize = 25;
/// More than any distance; two of them can be added.
const FAR: u32 = u32::MAX / 4;

/// How a cell was reached. From the hypothesis to the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edit {
    Keep,
    Substitute,
    /// A word of the hypothesis goes.
    Delete,
    /// A word of the reference is put in.
    Insert,
    /// Outside the band.
    Unreached,
}

#[derive(Clone, Copy)]
struct Cell {
    cost: u32,
    edit: Edit,
}

const UNREACHED: Cell = Cell { cost: FAR, edit: Edit::Unreached };

/// Distances of a hypothesis' beginnings to those of a reference: one row for each word of the
/// hypothesis, one cell for each of the reference, and one more of each for the empty beginning.
pub(crate) struct Table<'a> {
    reference: &'a [u32],
    hypothesis: Vec<u32>,
    rows: Vec<Vec<Cell>>,
    /// Rows of another hypothesis that begins as this one does.
    spare: [Vec<Cell>; 2],
}

impl<'a> Table<'a> {
    pub(crate) fn new(reference: &'a [u32], hypothesis: &[u32]) -> Self {
        let first = (0..=reference.len())
            .map(|n| Cell { cost: n as u32, edit: if n == 0 { Edit::Keep } else { Edit::Insert } })
            .collect();
        let mut table = Self {
            reference,
            hypothesis: Vec::new(),
            rows: vec![first],
            spare: [Vec::new(), Vec::new()],
        };
        table.set(hypothesis);
        table
    }

    /// Takes another hypothesis and keeps the rows of the beginning that both share.
    pub(crate) fn set(&mut self, hypothesis: &[u32]) {
        // Bands depend on the length of the hypothesis.
        let same = self.hypothesis.len() == hypothesis.len();
        let kept = if same { shared(&self.hypothesis, hypothesis) } else { 0 };
        self.hypothesis.clear();
        self.hypothesis.extend(hypothesis);
        self.rows.truncate(kept + 1);
        for n in kept..hypothesis.len() {
            let mut row = Vec::new();
            fill(self.reference, hypothesis, n, &self.rows[n], &mut row);
            self.rows.push(row);
        }
    }

    pub(crate) fn hypothesis(&self) -> &[u32] {
        &self.hypothesis
    }

    /// The distance of the whole hypothesis to the whole reference.
    pub(crate) fn distance(&self) -> u32 {
        last(&self.rows[self.hypothesis.len()])
    }

    /// The distance of another hypothesis of the same length.
    pub(crate) fn distance_of(&mut self, other: &[u32]) -> u32 {
        let kept = shared(&self.hypothesis, other);
        let [row, next] = &mut self.spare;
        row.clone_from(&self.rows[kept]);
        for n in kept..other.len() {
            fill(self.reference, other, n, row, next);
            std::mem::swap(row, next);
        }
        last(row)
    }

    /// The edits that make the reference of the hypothesis, from the beginning on.
    pub(crate) fn edits(&self) -> Vec<Edit> {
        let (mut row, mut column) = (self.hypothesis.len(), self.reference.len());
        let mut edits = Vec::with_capacity(row + column);
        while row > 0 || column > 0 {
            let edit = self.rows[row][column].edit;
            edits.push(edit);
            match edit {
                Edit::Insert => column -= 1,
                Edit::Delete => row -= 1,
                // A cell that was reached was reached from one that was.
                Edit::Keep | Edit::Substitute | Edit::Unreached => {
                    row = row.saturating_sub(1);
                    column = column.saturating_sub(1);
                }
            }
        }
        edits.reverse();
        edits
    }
}

fn last(row: &[Cell]) -> u32 {
    row.last().map_or(0, |cell| cell.cost)
}

fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The row of word `n` of the hypothesis (from 0), from the row before it.
fn fill(reference: &[u32], hypothesis: &[u32], n: usize, before: &[Cell], row: &mut Vec<Cell>) {
    row.clear();
    row.resize(reference.len() + 1, UNREACHED);
    let (word, i) = (hypothesis[n], n + 1);
    let ratio = reference.len() as f64 / hypothesis.len() as f64;
    // Where the reference is many times longer, the bands of neighbouring rows must still overlap.
    let wide = ratio / 2.0 > BEAM as f64;
    let beam = if wide { (ratio / 2.0 + BEAM as f64).ceil() as usize } else { BEAM };
    let diagonal = (i as f64 * ratio).floor() as usize;
    let end = if i == hypothesis.len() { row.len() } else { row.len().min(diagonal + beam) };
    for j in diagonal.saturating_sub(beam)..end {
        let mut best = Cell { cost: before[j].cost + 1, edit: Edit::Delete };
        if let Some(left) = j.checked_sub(1) {
            let keep = word == reference[left];
            let edit = if keep { Edit::Keep } else { Edit::Substitute };
            let across = Cell { cost: before[left].cost + u32::from(!keep), edit };
            // Of equal costs keeping or substitution goes first, then deletion.
            if across.cost <= best.cost {
                best = across;
            }
            if row[left].cost + 1 < best.cost {
                best = Cell { cost: row[left].cost + 1, edit: Edit::Insert };
            }
        }
        if best.cost < FAR {
            row[j] = best;
        }
    }
}
