//! Weights lie in memory row by row, however the checkpoint stores them: products over other strides
//! run other kernels, which round differently on some processors.

use tamis_model::{Attention, DType, Parameters, load, row_major};
use tch::{Device, Kind, Tensor};
use tempfile::TempDir;

use crate::support::{FIXTURES, folder, model, options};

/// Values alone cannot show a layout on every processor: the strides are looked at.
fn assert_row_major(what: &str, tensor: &Tensor) {
    let mut expected = vec![1; tensor.dim()];
    for side in (1..tensor.dim()).rev() {
        expected[side - 1] = expected[side] * tensor.size()[side];
    }
    assert_eq!(tensor.stride(), expected, "{what} of size {:?}", tensor.size());
}

fn assert_all(what: &str, parameters: &Parameters) {
    for (name, tensor) in parameters.iter() {
        assert_row_major(&format!("{what} {name}"), tensor);
    }
}

#[test]
fn weights_lie_row_by_row_read_copied_and_read_again() {
    for name in FIXTURES {
        for kind in [DType::F32, DType::F64, DType::Bf16] {
            let model = model(name, kind);
            assert_all(name, model.parameters());
            let copy = model.parameters().snapshot().unwrap();
            assert_all("copied", &copy);
            model.parameters().copy_from(&copy).unwrap();
            assert_all("copied back", model.parameters());
            let out = TempDir::new().unwrap();
            model.parameters().save_pretrained(folder(name), out.path()).unwrap();
            let again = load(out.path(), &options(kind, Attention::Fused)).unwrap();
            assert_all("read again", again.parameters());
        }
    }
}

#[test]
fn any_layout_becomes_the_one_of_a_tensor_from_a_file() {
    let options = (Kind::Float, Device::Cpu);
    let numbers = Tensor::arange(24, options);
    let whole = numbers.view([4, 6]);
    let three = numbers.view([2, 3, 4]);
    for tensor in [
        whole.tr(),
        whole.narrow(1, 1, 3),
        whole.select(1, 2),
        three.permute([2, 0, 1]),
        three.select(2, 1),
        three.select(2, 1).narrow(0, 0, 1).narrow(1, 0, 1).select(0, 0),
        // A column that is a row turned counts as contiguous, though its strides are others.
        whole.narrow(0, 0, 1).tr(),
        whole.narrow(0, 0, 1).expand([3, 6], false),
        Tensor::zeros([0, 4], options),
        Tensor::from(1.5f32),
    ] {
        let laid = row_major(&tensor).unwrap();
        assert_row_major("laid out", &laid);
        assert_eq!(laid, tensor);
    }
    let there = row_major(&whole).unwrap();
    assert_eq!(there.data_ptr(), whole.data_ptr(), "copied without need");
}
