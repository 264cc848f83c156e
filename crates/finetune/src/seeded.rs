//! Random numbers keyed by what they are for, so that nothing depends on the order of drawing.

use tamis_artifact::Random;
use tch::{Device, Kind, TchError, Tensor};

/// A (rows, columns) matrix with entries uniform in [−bound, bound), drawn on the host row by row:
/// the same values on any device.
pub(crate) fn uniform(
    (rows, columns): (i64, i64),
    bound: f64,
    random: &mut Random,
    (kind, device): (Kind, Device),
) -> Result<Tensor, TchError> {
    let values: Vec<f64> =
        (0..rows * columns).map(|_| bound * (2.0 * random.fraction() - 1.0)).collect();
    Tensor::f_from_slice(&values)?.f_view([rows, columns])?.f_to_kind(kind)?.f_to_device(device)
}

/// The key of the mask of a layer in pass `pass` of step `step`.
pub(crate) fn dropout_key(seed: u64, step: u64, pass: u64, layer: &str) -> u64 {
    Random::keyed(seed, "dropout", &format!("{step} {pass} {layer}")).next_u64()
}

/// Multipliers of the 32-bit mixer below ("lowbias32", C. Wellons).
const MIX: [i64; 2] = [0x7feb_352d, 0x846c_a68b];

/// A mask of the shape of `like`: `1 / (1 − share)` where an entry is kept, 0 where it is dropped,
/// with probability `share`.
///
/// Entry `i` depends on (key, i) alone, on any device: `i` goes through a 32-bit integer mixer and
/// is compared with a threshold.
pub(crate) fn dropout_mask(like: &Tensor, share: f64, key: u64) -> Result<Tensor, TchError> {
    let [first, second] = [key, key >> 32].map(|half| signed(half as i64));
    let count = like.numel() as i64;
    let mut x = Tensor::f_arange(count, (Kind::Int, like.device()))?.f_add_scalar(first)?;
    mix(&mut x, 16)?;
    x = x.f_mul_scalar(signed(MIX[0]))?.f_bitwise_xor(second)?;
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

    fn naive(i: u32, key: u64) -> u32 {
        let mut x = i.wrapping_add(key as u32);
        x ^= x >> 16;
        x = x.wrapping_mul(MIX[0] as u32) ^ (key >> 32) as u32;
        x ^= x >> 15;
        x = x.wrapping_mul(MIX[1] as u32);
        x ^ (x >> 16)
    }

    #[test]
    fn a_mask_is_the_mixer_entry_by_entry() {
        for (step, share) in [(0, 0.1), (1, 0.5), (7, 0.9)] {
            let key = dropout_key(3, step, 0, "layer");
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
        let mask = |layer| dropout_mask(&like, 0.1, dropout_key(0, 4, 2, layer)).unwrap();
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
