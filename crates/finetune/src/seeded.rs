//! Random numbers keyed by what they are for, so that nothing depends on the order of drawing.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};
use tch::{Device, Kind, TchError, Tensor};

/// A key for (seed, purpose, numbers, name); other arguments give an unrelated one.
pub(crate) fn key(seed: u64, purpose: &str, numbers: &[u64], name: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for number in std::iter::once(&seed).chain(numbers) {
        hasher.update(&number.to_le_bytes());
    }
    for text in [purpose, name] {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// A (rows, columns) matrix with entries uniform in [−bound, bound), drawn on the host row by row:
/// the same values on any device.
pub(crate) fn uniform(
    (rows, columns): (i64, i64),
    bound: f64,
    key: [u8; 32],
    (kind, device): (Kind, Device),
) -> Result<Tensor, TchError> {
    let mut rng = ChaCha8Rng::from_seed(key);
    let unit = 1.0 / (1u64 << 53) as f64;
    let values: Vec<f64> = (0..rows * columns)
        .map(|_| bound * (2.0 * unit * (rng.next_u64() >> 11) as f64 - 1.0))
        .collect();
    Tensor::f_from_slice(&values)?.f_view([rows, columns])?.f_to_kind(kind)?.f_to_device(device)
}

/// Multipliers of the 32-bit mixer below ("lowbias32", C. Wellons).
const MIX: [i64; 2] = [0x7feb_352d, 0x846c_a68b];

/// A mask of the shape of `like`: `1 / (1 − share)` where an entry is kept, 0 where it is dropped,
/// with probability `share`.
///
/// Entry `i` depends on (key, i) alone, on any device: `i` goes through a 32-bit integer mixer and
/// is compared with a threshold.
pub(crate) fn dropout_mask(like: &Tensor, share: f64, key: [u8; 32]) -> Result<Tensor, TchError> {
    let word = |at: usize| i64::from(i32::from_le_bytes([0, 1, 2, 3].map(|byte| key[at + byte])));
    let count = like.numel() as i64;
    let mut x = Tensor::f_arange(count, (Kind::Int, like.device()))?.f_add_scalar(word(0))?;
    mix(&mut x, 16)?;
    x = x.f_mul_scalar(signed(MIX[0]))?.f_bitwise_xor(word(4))?;
    mix(&mut x, 15)?;
    x = x.f_mul_scalar(signed(MIX[1]))?;
    mix(&mut x, 16)?;
    let threshold = (share * f64::from(u32::MAX)).round() as i64 + i64::from(i32::MIN);
    let kept = x.f_ge(threshold)?.f_to_kind(like.f_kind()?)?;
    kept.f_mul_scalar(1.0 / (1.0 - share))?.f_view_as(like)
}

/// `x ^= x >> bits` on unsigned 32-bit numbers, which LibTorch keeps as signed ones.
fn mix(x: &mut Tensor, bits: i64) -> Result<(), TchError> {
    // Shifting a negative number brings in ones from the left.
    let low = (1i64 << (32 - bits)) - 1;
    let shifted = x.f_bitwise_right_shift_tensor_scalar(bits)?.f_bitwise_and(low)?;
    let _ = x.f_bitwise_xor_tensor_(&shifted)?;
    Ok(())
}

/// The signed number of the same 32 bits.
fn signed(word: i64) -> i64 {
    i64::from(word as u32 as i32)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn naive(i: u32, key: [u8; 32]) -> u32 {
        let word = |at: usize| u32::from_le_bytes(key[at..at + 4].try_into().unwrap());
        let mut x = i.wrapping_add(word(0));
        x ^= x >> 16;
        x = x.wrapping_mul(MIX[0] as u32) ^ word(4);
        x ^= x >> 15;
        x = x.wrapping_mul(MIX[1] as u32);
        x ^ (x >> 16)
    }

    #[test]
    fn a_mask_is_the_mixer_entry_by_entry() {
        for (step, share) in [(0, 0.1), (1, 0.5), (7, 0.9)] {
            let key = key(3, "dropout", &[step, 0], "layer");
            let like = Tensor::zeros([5, 7, 11], (Kind::Float, Device::Cpu));
            let mask = dropout_mask(&like, share, key).unwrap();
            let found: Vec<f32> = mask.flatten(0, -1).try_into().unwrap();
            let limit = (share * f64::from(u32::MAX)).round() as i64 + i64::from(i32::MIN);
            for (i, value) in (0u32..).zip(found) {
                let kept = i64::from(naive(i, key) as i32) >= limit;
                let expected = if kept { (1.0 / (1.0 - share)) as f32 } else { 0.0 };
                assert!((value - expected).abs() < 1e-6, "entry {i}: {value}, not {expected}");
            }
        }
    }

    #[test]
    fn masks_drop_the_share_asked_for_and_keys_are_unrelated() {
        let like = Tensor::zeros([1 << 20], (Kind::Double, Device::Cpu));
        let mask = |layer| dropout_mask(&like, 0.1, key(0, "dropout", &[4, 2], layer)).unwrap();
        let dropped = |mask: &Tensor| mask.eq(0.0).to_kind(Kind::Double);
        let (a, b) = (dropped(&mask("a")), dropped(&mask("b")));
        // Standard deviations: 0.0003 for a share, 0.0001 for dropping both, 0.0001 for neighbours.
        assert!((a.mean(Kind::Double).double_value(&[]) - 0.1).abs() < 2e-3);
        assert!(((&a * &b).mean(Kind::Double).double_value(&[]) - 0.01).abs() < 5e-4);
        let neighbours = a.narrow(0, 1, (1 << 20) - 1) * a.narrow(0, 0, (1 << 20) - 1);
        assert!((neighbours.mean(Kind::Double).double_value(&[]) - 0.01).abs() < 5e-4);
        // What is kept makes up for what is dropped.
        assert!((mask("a").mean(Kind::Double).double_value(&[]) - 1.0).abs() < 2e-3);
    }
}
