//! Products of packed rows with queries, straight from the packed bits.
//!
//! A word of 32 bits holds 4, 8 or 32 codes. A vector of words is taken apart by shifts, so that the
//! first codes of all words come out together, then the second ones, and so on: one plane a place in
//! the word. A sum does not mind the order, so queries are put into that order once. Codes become
//! floats in a tile of four rows that stays in the innermost cache; from there on it is a plain
//! product of matrices.

// What is dispatched must become part of the function compiled for the widest vectors.
#![allow(clippy::inline_always)]

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Words are padded to a multiple of this, so that no vector is cut: 512 bits.
pub(crate) const PAD: usize = 16;
/// Codes of a row in a tile.
const TILE: usize = 1024;
/// Rows of a tile.
const ROWS: usize = 4;
/// Queries that are multiplied together.
const QUERIES: usize = 2;

/// Queries in the order in which codes come out of their words.
#[derive(Debug)]
pub(crate) struct Queries {
    bits: usize,
    count: usize,
    /// The words of a row in each tile.
    tiles: Vec<Range<usize>>,
    /// For each tile the numbers of each query, plane after plane.
    numbers: Vec<f32>,
}

impl Queries {
    /// Queries of `width` numbers, one after the other, for rows of `words` words, each with codes of
    /// `bits` bits.
    pub(crate) fn new(queries: &[f32], width: usize, words: usize, bits: usize) -> Self {
        let places = 32 / bits;
        let tiles: Vec<Range<usize>> = (0..words)
            .step_by(TILE / places)
            .map(|first| first..words.min(first + TILE / places))
            .collect();
        let mut numbers = Vec::with_capacity(queries.len());
        for tile in &tiles {
            for query in queries.chunks(width) {
                for place in 0..places {
                    // Beyond the width there are no codes: what the padding says counts nothing.
                    let number = |word| query.get(word * places + place).copied().unwrap_or(0.0);
                    numbers.extend(tile.clone().map(number));
                }
            }
        }
        Self { bits, count: queries.len() / width, tiles, numbers }
    }

    /// The sums of the codes of `rows`, each times the number of the query: (rows, queries).
    pub(crate) fn multiply(&self, rows: &[u32], words: usize) -> Vec<f32> {
        let sums = vec![0.0; rows.len() / words * self.count];
        Arch::new().dispatch(Product { queries: self, rows, words, sums })
    }
}

/// The product of some rows with all queries.
struct Product<'a> {
    queries: &'a Queries,
    rows: &'a [u32],
    words: usize,
    sums: Vec<f32>,
}

impl WithSimd for Product<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        let Self { queries, rows, words, mut sums } = self;
        let (count, places) = (queries.count, 32 / queries.bits);
        let mut tile_numbers = queries.numbers.as_slice();
        let mut codes = vec![0f32; ROWS * TILE];
        for tile in &queries.tiles {
            let size = tile.len() * places;
            let (numbers, later) = tile_numbers.split_at(size * count);
            tile_numbers = later;
            for (rows, sums) in rows.chunks(ROWS * words).zip(sums.chunks_mut(ROWS * count)) {
                for (row, codes) in rows.chunks(words).zip(codes.chunks_mut(TILE)) {
                    decode(simd, &row[tile.clone()], queries.bits, &mut codes[..size]);
                }
                // Fewer than four rows at the end: the tile still holds others, whose sums are left.
                let (c0, rest) = codes.split_at(TILE);
                let (c1, rest) = rest.split_at(TILE);
                let (c2, c3) = rest.split_at(TILE);
                let four = [&c0[..size], &c1[..size], &c2[..size], &c3[..size]];
                let mut first = 0;
                while first < count {
                    // Where one is left it is taken twice.
                    let last = count.min(first + QUERIES) - 1;
                    let (a, b) = (&numbers[first * size..], &numbers[last * size..]);
                    let found = products(simd, four, [&a[..size], &b[..size]]);
                    for (row, sums) in sums.chunks_mut(count).enumerate() {
                        for (query, found) in (first..=last).zip(&found) {
                            sums[query] += found[row];
                        }
                    }
                    first += QUERIES;
                }
            }
        }
        sums
    }
}

/// Sums of the products of four rows of a tile with two queries.
///
/// Written out, because closures and loops over small arrays stay calls where little is optimised.
#[inline(always)]
fn products<S: Simd>(
    simd: S,
    rows: [&[f32]; ROWS],
    queries: [&[f32]; QUERIES],
) -> [[f32; ROWS]; QUERIES] {
    let (r0, r1) = (S::as_simd_f32s(rows[0]).0, S::as_simd_f32s(rows[1]).0);
    let (r2, r3) = (S::as_simd_f32s(rows[2]).0, S::as_simd_f32s(rows[3]).0);
    let (q0, q1) = (S::as_simd_f32s(queries[0]).0, S::as_simd_f32s(queries[1]).0);
    // All of one length, which the compiler knows from here on.
    let steps = r0.len();
    let (r1, r2, r3) = (&r1[..steps], &r2[..steps], &r3[..steps]);
    let (q0, q1) = (&q0[..steps], &q1[..steps]);
    let zero = simd.splat_f32s(0.0);
    let (mut a0, mut a1, mut a2, mut a3) = (zero, zero, zero, zero);
    let (mut b0, mut b1, mut b2, mut b3) = (zero, zero, zero, zero);
    let mut step = 0;
    while step < steps {
        let (a, b) = (q0[step], q1[step]);
        let (w, x, y, z) = (r0[step], r1[step], r2[step], r3[step]);
        a0 = simd.mul_add_f32s(w, a, a0);
        b0 = simd.mul_add_f32s(w, b, b0);
        a1 = simd.mul_add_f32s(x, a, a1);
        b1 = simd.mul_add_f32s(x, b, b1);
        a2 = simd.mul_add_f32s(y, a, a2);
        b2 = simd.mul_add_f32s(y, b, b2);
        a3 = simd.mul_add_f32s(z, a, a3);
        b3 = simd.mul_add_f32s(z, b, b3);
        step += 1;
    }
    [
        [
            simd.reduce_sum_f32s(a0),
            simd.reduce_sum_f32s(a1),
            simd.reduce_sum_f32s(a2),
            simd.reduce_sum_f32s(a3),
        ],
        [
            simd.reduce_sum_f32s(b0),
            simd.reduce_sum_f32s(b1),
            simd.reduce_sum_f32s(b2),
            simd.reduce_sum_f32s(b3),
        ],
    ]
}

/// Takes the codes of some words apart into floats, plane after plane.
#[inline(always)]
fn decode<S: Simd>(simd: S, words: &[u32], bits: usize, codes: &mut [f32]) {
    let (words, codes) = (S::as_simd_u32s(words).0, S::as_mut_simd_f32s(codes).0);
    let steps = words.len();
    let next = simd.splat_u32s(bits as u32);
    if bits == 1 {
        // The bit becomes the sign of a 1.
        let (top, sign) = (simd.splat_u32s(31), simd.splat_u32s(1 << 31));
        let one = simd.splat_u32s(1f32.to_bits());
        for (step, &word) in words.iter().enumerate() {
            let (mut word, mut at) = (word, step);
            while at < codes.len() {
                let bit = simd.and_u32s(simd.wrapping_dyn_shl_u32s(word, top), sign);
                codes[at] = simd.transmute_f32s_u32s(simd.or_u32s(bit, one));
                word = simd.wrapping_dyn_shr_u32s(word, next);
                at += steps;
            }
        }
        return;
    }
    // Two's complement with its first bit turned over is the code plus `half`. As the last bits of 2²³
    // it is a float that much greater.
    let (last, half) = ((1u32 << bits) - 1, 1u32 << (bits - 1));
    let large = (1u32 << 23) as f32;
    let (mask, turn) = (simd.splat_u32s(last), simd.splat_u32s(half | large.to_bits()));
    let offset = simd.splat_f32s(large + half as f32);
    for (step, &word) in words.iter().enumerate() {
        let (mut word, mut at) = (word, step);
        while at < codes.len() {
            let raised = simd.xor_u32s(simd.and_u32s(word, mask), turn);
            codes[at] = simd.sub_f32s(simd.transmute_f32s_u32s(raised), offset);
            word = simd.wrapping_dyn_shr_u32s(word, next);
            at += steps;
        }
    }
}
