//! What features are made with and what they become lies in memory row by row: products over other
//! strides run other kernels, which round differently on some processors.

use tamis_gradients::{GradientPass, PassParams};
use tamis_less::{Direction, WarmCheckpoint};
use tamis_model::DType;
use tch::Tensor;

use crate::common::{fixture, params, samples, warm_up};

/// Values alone cannot show a layout on every processor: the strides are looked at.
fn assert_row_major(what: &str, tensor: &Tensor) {
    let mut expected = vec![1; tensor.dim()];
    for side in (1..tensor.dim()).rev() {
        expected[side - 1] = expected[side] * tensor.size()[side];
    }
    assert_eq!(tensor.stride(), expected, "{what} of size {:?}", tensor.size());
}

#[test]
fn adapter_moments_and_features_lie_row_by_row() {
    let dir = tempfile::tempdir().unwrap();
    let place = warm_up("gpt2", DType::F32, dir.path(), 1).remove(0);
    let mut model = fixture("gpt2", DType::F32);
    let mut warm = WarmCheckpoint::open(place, model.as_ref()).unwrap();
    for (name, tensor) in warm.lora().parameters() {
        assert_row_major(&name, tensor);
        let (first, second) = warm.saved().moments(&name).unwrap();
        assert_row_major(&name, first);
        assert_row_major(&name, second);
    }
    let layers = warm.layers(model.as_ref());
    for projection in ["rademacher:50", "sparse:50"] {
        let how = params(Direction::Paper, projection);
        let features = warm.features(&layers, &how).unwrap();
        let data = samples(model.as_ref(), 3, 12, 2);
        let adapted = warm.adapted(model.as_mut());
        let pass = GradientPass { model: &adapted, layers: &layers, params: PassParams::default() };
        assert_row_major(projection, &pass.rows_of(&data, &features).unwrap().rows);
    }
}
