//! Keys and values of the tokens a model has read, so that the next ones need not read them again.

use tch::{Device, Kind, Tensor, no_grad};

use crate::{ModelError, mask::triangle};

/// Keys and values of every block for the tokens read so far; see
/// [`CausalLm::extend`](crate::CausalLm::extend).
///
/// Rows are prompts of different lengths, right-padded to the longest. What follows a prompt is
/// written behind the padding in the same column for all rows; a mask hides the padding, and every
/// row counts its own positions.
///
/// [`KvCache::text`] takes one row out, and [`KvCache::shared`] makes of it the common beginning of
/// any number of texts.
#[derive(Debug)]
pub struct KvCache {
    /// Real tokens of each row.
    lengths: Vec<usize>,
    /// Columns of the padded prompts.
    prompt: usize,
    /// Columns that are filled.
    filled: usize,
    capacity: usize,
    /// Keys and values of each block: (rows, heads, capacity, `head_dim`).
    blocks: Vec<(Tensor, Tensor)>,
    /// Where there is padding: true for columns that hold a token, (rows, capacity).
    real: Option<Tensor>,
    /// Whether this is the one beginning of many texts, whose own tokens are not kept.
    shared: bool,
}

impl KvCache {
    /// An empty cache for right-padded prompts of the given lengths, with room for `more` tokens
    /// after them.
    pub fn new(lengths: &[usize], more: usize) -> Self {
        let prompt = lengths.iter().copied().max().unwrap_or(0);
        Self {
            lengths: lengths.to_vec(),
            prompt,
            filled: 0,
            capacity: prompt + more,
            blocks: Vec::new(),
            real: None,
            shared: false,
        }
    }

    /// The text of `row` alone, without padding and with room for `more` tokens after it: a copy.
    ///
    /// # Errors
    /// A row that is not there, a cache that has read nothing, or what LibTorch reports.
    pub fn text(&self, row: usize, more: usize) -> Result<Self, ModelError> {
        if self.is_empty() {
            return Err(bad("a cache that has read nothing".to_owned(), "a text".to_owned()));
        }
        let Some(&length) = self.lengths.get(row) else {
            return Err(bad(format!("row {row}"), format!("below {}", self.rows())));
        };
        // Behind the padding of the prompts stands what all rows have read since.
        let later = self.filled - self.prompt;
        let prompt = length - later;
        let copy = |from: &Tensor| -> Result<Tensor, ModelError> {
            let (_, heads, _, width) = from.size4()?;
            let size = [1, heads, (length + more) as i64, width];
            let to = Tensor::f_empty(size, (from.f_kind()?, from.device()))?;
            let from = from.f_narrow(0, row as i64, 1)?;
            let part = |tensor: &Tensor, first: usize, count: usize| {
                tensor.f_narrow(2, first as i64, count as i64)
            };
            part(&to, 0, prompt)?.f_copy_(&part(&from, 0, prompt)?)?;
            part(&to, prompt, later)?.f_copy_(&part(&from, self.prompt, later)?)?;
            Ok(to)
        };
        let blocks = self.blocks.iter();
        let blocks = no_grad(|| {
            blocks.map(|(k, v)| Ok((copy(k)?, copy(v)?))).collect::<Result<_, ModelError>>()
        })?;
        Ok(Self {
            lengths: vec![length],
            prompt: length,
            filled: length,
            capacity: length + more,
            blocks,
            real: None,
            shared: false,
        })
    }

    /// The one text of this cache as the beginning of many: [`CausalLm::extend`] then takes
    /// right-padded texts, any number of them and as often as one likes, as if each stood behind
    /// the beginning. What they are is not kept, and the beginning is neither read nor stored once
    /// a text.
    ///
    /// [`CausalLm::extend`]: crate::CausalLm::extend
    ///
    /// # Errors
    /// A cache of several rows, or one that has read nothing.
    pub fn shared(self) -> Result<Self, ModelError> {
        if self.rows() != 1 || self.is_empty() {
            let found = format!("{} rows of {} tokens", self.rows(), self.filled);
            return Err(bad(found, "one row that has been read".to_owned()));
        }
        Ok(Self { shared: true, ..self })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.lengths.len()
    }

    /// Whether nothing has been read yet.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Keeps the given rows, in their order; one may be named more than once (beams) or not at all
    /// (a finished text).
    ///
    /// # Errors
    /// A row that is not there, a shared beginning, or what LibTorch reports.
    pub fn select(&mut self, rows: &[usize]) -> Result<(), ModelError> {
        if self.shared {
            return Err(bad("a shared beginning".to_owned(), "a cache with rows".to_owned()));
        }
        if let Some(row) = rows.iter().find(|&&row| row >= self.rows()) {
            return Err(bad(format!("row {row}"), format!("below {}", self.rows())));
        }
        if rows.iter().copied().eq(0..self.rows()) {
            return Ok(()); // Beams that keep their places.
        }
        self.lengths = rows.iter().map(|&row| self.lengths[row]).collect();
        let rows: Vec<i64> = rows.iter().map(|&row| row as i64).collect();
        let Some((first, _)) = self.blocks.first() else { return Ok(()) };
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(first.device())?;
        let keep = |tensor: &Tensor| tensor.f_index_select(0, &rows);
        for (keys, values) in &mut self.blocks {
            (*keys, *values) = (keep(keys)?, keep(values)?);
        }
        self.real = self.real.as_ref().map(keep).transpose()?;
        Ok(())
    }

    /// How many tokens come before the next one, by row; one entry if that is the same in all rows.
    pub(crate) fn before(&self, rows: usize, time: usize) -> Result<Vec<usize>, ModelError> {
        if self.shared {
            return Ok(vec![self.filled]);
        }
        let fits =
            if self.is_empty() { time == self.prompt } else { time <= self.capacity - self.filled };
        if rows != self.rows() || !fits {
            let room = if self.is_empty() { self.prompt } else { self.capacity - self.filled };
            return Err(bad(
                format!("ids of {rows} rows and {time} columns"),
                format!("{} rows and room for {room} columns", self.rows()),
            ));
        }
        if self.is_empty() {
            return Ok(vec![0]);
        }
        let same = self.lengths.iter().all(|&length| length == self.lengths[0]);
        Ok(if same { vec![self.lengths[0]] } else { self.lengths.clone() })
    }

    /// Writes keys and values (rows, heads, time, `head_dim`) of block `number` behind the filled
    /// columns, or, where those are shared, in a copy of them; returns all of the block's.
    pub(crate) fn write(
        &mut self,
        number: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor), ModelError> {
        let (rows, heads, time, width) = keys.size4()?;
        if number == self.blocks.len() {
            let options = (keys.f_kind()?, keys.device());
            let room = || Tensor::f_empty([rows, heads, self.capacity as i64, width], options);
            self.blocks.push((room()?, room()?));
        }
        let filled = self.filled as i64;
        let (all_keys, all_values) = &self.blocks[number];
        if self.shared {
            let join = |all: &Tensor, new: &Tensor| {
                let first = all.f_narrow(2, 0, filled)?;
                Tensor::f_cat(&[&first.f_expand([rows, heads, filled, width], false)?, new], 2)
            };
            return Ok((join(all_keys, keys)?, join(all_values, values)?));
        }
        let place = |all: &Tensor, new: &Tensor| -> Result<Tensor, ModelError> {
            no_grad(|| all.f_narrow(2, filled, time)?.f_copy_(new).map(drop))?;
            Ok(all.f_narrow(2, 0, filled + time)?)
        };
        Ok((place(all_keys, keys)?, place(all_values, values)?))
    }

    /// Says that `time` more columns are filled in every block.
    pub(crate) fn advance(&mut self, time: usize) -> Result<(), ModelError> {
        if self.shared {
            return Ok(());
        }
        if !self.is_empty() {
            self.filled += time;
            self.lengths.iter_mut().for_each(|length| *length += time);
            return Ok(());
        }
        // The prompts, whose lengths are known.
        self.filled = time;
        if self.lengths.iter().any(|&length| length < self.prompt) {
            let lengths: Vec<i64> = self.lengths.iter().map(|&length| length as i64).collect();
            let lengths = Tensor::f_from_slice(&lengths)?.f_unsqueeze(1)?;
            let columns = Tensor::f_arange(self.capacity as i64, (Kind::Int64, self.device()))?;
            let columns = columns.f_unsqueeze(0)?;
            let inside = columns.f_lt_tensor(&lengths.f_to_device(self.device())?)?;
            self.real = Some(inside.f_logical_or(&columns.f_ge(self.prompt as i64)?)?);
        }
        Ok(())
    }

    /// What the next `time` tokens see, where that is not everything: (rows or 1, 1, time, columns).
    pub(crate) fn mask(&self, time: usize) -> Result<Option<Tensor>, ModelError> {
        let columns = (self.filled + time) as i64;
        let (time, filled) = (time as i64, self.filled as i64);
        let device = self.device();
        let real = match &self.real {
            Some(real) => Some(real.f_narrow(1, 0, columns)?.f_unsqueeze(1)?.f_unsqueeze(1)?),
            None => None,
        };
        if time == 1 {
            return Ok(real);
        }
        let before = Tensor::f_ones([time, filled], (Kind::Bool, device))?;
        let seen = Tensor::f_cat(&[before, triangle(time, device)?], 1)?;
        let seen = seen.f_view([1, 1, time, columns])?;
        Ok(Some(match real {
            Some(real) => real.f_logical_and(&seen)?,
            None => seen,
        }))
    }

    fn device(&self) -> Device {
        self.blocks.first().map_or(Device::Cpu, |(keys, _)| keys.device())
    }
}

fn bad(found: String, expected: String) -> ModelError {
    ModelError::BadInput { what: "input of a cache", found, expected }
}
