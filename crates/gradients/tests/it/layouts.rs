//! What is computed and what is read again lie alike in memory: products over other strides run other
//! kernels, which round differently on some processors.

use tamis_artifact::Provenance;
use tamis_gradients::{GradientPass, PassParams, Projection, ProjectionSpec, RowType, RowWriter};
use tamis_model::DType;
use tch::{Device, Kind, Tensor};

use crate::common::{body, fixture, samples};

/// Values alone cannot show a layout on every processor: the strides are looked at.
fn assert_row_major(what: &str, tensor: &Tensor) {
    let mut expected = vec![1; tensor.dim()];
    for side in (1..tensor.dim()).rev() {
        expected[side - 1] = expected[side] * tensor.size()[side];
    }
    assert_eq!(tensor.stride(), expected, "{what} of size {:?}", tensor.size());
}

#[test]
fn matrices_of_a_projection_lie_row_by_row_however_they_were_given() {
    let model = fixture("gpt2", DType::F32);
    let layers = body(model.as_ref());
    let spec: ProjectionSpec = "3x5".parse().unwrap();
    let drawn = spec.build(&layers, 1, Kind::Float, Device::Cpu).unwrap();
    // By columns, as they come from a decomposition.
    let turned = |t: &Tensor| t.tr().contiguous().tr();
    let sides = layers.iter().map(|layer| {
        let sides = drawn.two_sided(layer).unwrap();
        (layer.clone(), (turned(sides.left), turned(sides.right)))
    });
    let given = Projection::from_sides(sides).unwrap();
    for layer in &layers {
        let (one, two) = (drawn.two_sided(layer).unwrap(), given.two_sided(layer).unwrap());
        for (one, two) in [(one.left, two.left), (one.right, two.right)] {
            assert!(!turned(one).is_contiguous());
            assert_row_major("drawn", one);
            assert_row_major("given", two);
            assert_eq!(one, two);
        }
    }
}

#[test]
fn rows_lie_one_after_the_other_computed_and_read() {
    let model = fixture("llama", DType::F32);
    let layers = body(model.as_ref());
    let data = samples(model.as_ref(), 5, 12, 4);
    let params = PassParams { token_budget: 30, ..PassParams::default() };
    let pass = GradientPass { model: model.as_ref(), layers: &layers, params };
    for spec in ["4x4", "sparse:64", "full"] {
        let spec: ProjectionSpec = spec.parse().unwrap();
        let projection = spec.build(&layers, 3, Kind::Float, Device::Cpu).unwrap();
        let mut computed = pass.rows_of(&data, &projection).unwrap();
        assert_row_major("computed", &computed.rows);
        for dtype in [RowType::F32, RowType::F16, RowType::Bf16, RowType::Int8, RowType::Sign] {
            let dir = tempfile::tempdir().unwrap();
            let open = |name: &str| {
                let dir = dir.path().join(name);
                RowWriter::create_or_resume(dir, "gradients", &Provenance::new(), dtype).unwrap()
            };
            let mut store = open("rows");
            store.write(0, &computed).unwrap();
            let store = store.finish().unwrap();
            let read = store.read(0).unwrap();
            assert_row_major("read", &read.rows);
            assert_row_major("gathered", &store.gather(&[3, 1]).unwrap());
            // Rows that lie column by column are written as the same rows.
            computed.rows = computed.rows.tr().contiguous().tr();
            let mut turned = open("turned");
            turned.write(0, &computed).unwrap();
            let turned = turned.finish().unwrap();
            assert_eq!(turned.read(0).unwrap().rows, read.rows);
            computed.rows = computed.rows.contiguous();
        }
    }
}
