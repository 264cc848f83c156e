//! A row of floats as whole numbers of a few bits and a scale, and back.

use crate::RowType;

/// Scales tried for four bits: each clips at this share of where the one before does. The last clips
/// at a tenth of the largest magnitude.
const CLIPS: i32 = 15;
const CLIP_STEP: f32 = 0.85;

/// A packed row: its bytes, and what each code is multiplied by.
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) scale: f32,
}

/// Packs a row of finite numbers as `dtype`, which is a packed one. A row of zeros has the scale 0,
/// and so has one whose magnitudes are all below the least normal number.
pub(crate) fn pack(row: &[f32], dtype: RowType) -> Packed {
    let largest = row.iter().fold(0f32, |most, x| most.max(x.abs()));
    if largest < f32::MIN_POSITIVE {
        return Packed { bytes: vec![0; (row.len() * dtype.bits()).div_ceil(8)], scale: 0.0 };
    }
    match dtype {
        RowType::Sign => Packed { bytes: signs(row), scale: mean_magnitude(row) },
        RowType::Int4 => {
            let step = fitted_step(row, largest);
            let (dot, square) = fit(row, step);
            let nibble = |&x: &f32| code(x, step, 7.0) as i32 as u8 & 0xf;
            let byte = |pair: &[f32]| nibble(&pair[0]) | pair.get(1).map_or(0, nibble) << 4;
            Packed { bytes: row.chunks(2).map(byte).collect(), scale: (dot / square) as f32 }
        }
        _ => {
            let step = largest / 127.0;
            let byte = |&x: &f32| code(x, step, 127.0) as i32 as u8;
            Packed { bytes: row.iter().map(byte).collect(), scale: step }
        }
    }
}

/// The codes of a packed row of `width` numbers, as floats.
pub(crate) fn codes(bytes: &[u8], dtype: RowType, width: usize) -> impl Iterator<Item = f32> {
    let bits = dtype.bits();
    (0..width).map(move |n| {
        let place = n * bits;
        let byte = bytes[place / 8] >> (place % 8);
        match dtype {
            RowType::Sign => 1.0 - 2.0 * f32::from(byte & 1),
            // Two's complement of four bits.
            RowType::Int4 => f32::from((byte << 4) as i8 >> 4),
            _ => f32::from(byte as i8),
        }
    })
}

/// One bit a number, 1 where it is negative.
fn signs(row: &[f32]) -> Vec<u8> {
    let byte = |eight: &[f32]| {
        eight.iter().enumerate().fold(0, |byte, (n, &x)| byte | u8::from(x < 0.0) << n)
    };
    row.chunks(8).map(byte).collect()
}

fn mean_magnitude(row: &[f32]) -> f32 {
    (row.iter().map(|x| f64::from(x.abs())).sum::<f64>() / row.len() as f64) as f32
}

/// `x` in steps, rounded to the nearest (of two, the even one), at most `limit` of them.
fn code(x: f32, step: f32, limit: f32) -> f32 {
    // Floats of this size are 1 apart: adding it rounds, without the call of a function where the
    // processor that is compiled for cannot round.
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³
    ((x / step).clamp(-limit, limit) + ROUND) - ROUND
}

/// The step of four bits whose codes have the greatest cosine with the row. Those of the largest
/// magnitude are among the ones tried.
fn fitted_step(row: &[f32], largest: f32) -> f32 {
    let steps = (0..CLIPS).map(|n| largest / 7.0 * CLIP_STEP.powi(n));
    let cosines = steps.map(|step| {
        let (dot, square) = fit(row, step);
        (step, dot * dot / square)
    });
    cosines.fold((0.0, f64::MIN), |best, tried| if tried.1 > best.1 { tried } else { best }).0
}

/// The product of a row with its four-bit codes, and that of the codes with themselves. The scale of
/// least squared error for these codes is their quotient; the error is then `‖x‖² − dot² / square`.
fn fit(row: &[f32], step: f32) -> (f64, f64) {
    let (mut dot, mut square) = (0f64, 0f64);
    for &x in row {
        let code = code(x, step, 7.0);
        dot += f64::from(x) * f64::from(code);
        square += f64::from(code * code);
    }
    (dot, square)
}
