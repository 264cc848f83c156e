//! Flat projections: the laws they must keep.

use tamis_gradients::{FlatProjection, FlatSpec};
use tch::{Device, Kind, Tensor};

use crate::common::relative_error;

const AT: (Kind, Device) = (Kind::Double, Device::Cpu);
const SIZES: [(&str, usize); 2] = [("a", 30), ("b", 45)];
const FORMS: [&str; 2] = ["rademacher:50", "sparse:50"];

fn build(spec: &str, seed: u64) -> FlatProjection {
    spec.parse::<FlatSpec>().unwrap().build(SIZES, seed, AT).unwrap()
}

/// Made-up numbers of `count` samples, one tensor a matrix.
fn values(count: i64, phase: f64) -> Vec<Tensor> {
    let wave = |size: i64, step: f64| {
        (Tensor::arange(count * size, AT) * step + phase).sin().view([count, size])
    };
    vec![wave(30, 0.7), wave(45, 1.3)]
}

fn project(projection: &FlatProjection, values: &[Tensor]) -> Tensor {
    let mut rows = Tensor::zeros([values[0].size()[0], projection.dim() as i64], AT);
    for ((name, _), values) in SIZES.iter().zip(values) {
        projection.add(name, 0, values, &mut rows).unwrap();
    }
    rows
}

/// The projection of every unit vector makes its matrix; anything else is a product with that.
#[test]
fn a_projection_is_its_matrix() {
    for form in FORMS {
        let projection = build(form, 3);
        let matrix = Tensor::zeros([75, 50], AT);
        for ((name, size), first) in SIZES.into_iter().zip([0, 30]) {
            let mut own = matrix.narrow(0, first, size as i64);
            projection.add(name, 0, &Tensor::eye(size as i64, AT), &mut own).unwrap();
        }
        // Rademacher: every entry ±1/√50; sparse: one ±1 a row.
        let (largest, sums) = (matrix.abs().max(), matrix.square().sum_dim_intlist(1, false, None));
        let entry = if form.starts_with('r') { 50f64.sqrt().recip() } else { 1.0 };
        assert!((largest.double_value(&[]) - entry).abs() < 1e-15);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-12);
        let values = values(4, 0.2);
        let expected = Tensor::cat(&values, 1).matmul(&matrix);
        assert!(relative_error(&project(&projection, &values), &expected) < 1e-14, "{form}");
    }
}

#[test]
fn neither_blocks_nor_batch_nor_order_change_a_row() {
    for form in FORMS {
        let (projection, values) = (build(form, 3), values(5, 0.0));
        let whole = project(&projection, &values);
        let mut pieces = Tensor::zeros([5, 50], AT);
        for (name, first, count) in [("b", 20, 25), ("a", 0, 30), ("b", 0, 20)] {
            let of = &values[usize::from(name == "b")];
            projection.add(name, first, &of.narrow(1, first, count), &mut pieces).unwrap();
        }
        assert!(relative_error(&pieces, &whole) < 1e-14);
        for row in 0..5 {
            let alone: Vec<Tensor> = values.iter().map(|v| v.narrow(0, row, 1)).collect();
            assert!(
                relative_error(&project(&projection, &alone), &whole.narrow(0, row, 1)) < 1e-14
            );
        }
        let turned: Vec<Tensor> = values.iter().map(|v| v.view([5, -1, 5])).collect();
        assert!(relative_error(&project(&projection, &turned), &whole) < 1e-14);
    }
}

#[test]
fn inner_products_are_kept_in_expectation() {
    for form in FORMS {
        let (x, y) = (values(1, 0.0), values(1, 0.9));
        let exact: f64 = x.iter().zip(&y).map(|(x, y)| (x * y).sum(None).double_value(&[])).sum();
        let found: Vec<f64> = (0..400)
            .map(|seed| {
                let projection = build(form, seed);
                let product = project(&projection, &x) * project(&projection, &y);
                product.sum(Kind::Double).double_value(&[])
            })
            .collect();
        let mean = found.iter().sum::<f64>() / 400.0;
        let variance = found.iter().map(|f| (f - mean).powi(2)).sum::<f64>() / 399.0;
        let error = (variance / 400.0).sqrt();
        assert!((mean - exact).abs() < 4.0 * error, "{form}: {mean} ± {error}, exact {exact}");
        assert!(error < 0.05 * exact.abs(), "{form}: {error} of {exact}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for text in ["sparse", "sparse:0", "dense:8", "rademacher:x", ""] {
        let error = text.parse::<FlatSpec>().unwrap_err().to_string();
        assert!(error.contains("rademacher:DIM or sparse:DIM"), "{error}");
    }
    for form in FORMS {
        let spec: FlatSpec = form.parse().unwrap();
        assert_eq!(spec.to_string(), form);
        let projection = build(form, 1);
        let mut rows = Tensor::zeros([1, 50], AT);
        let values = Tensor::ones([1, 31], AT);
        assert!(projection.add("c", 0, &values, &mut rows).is_err());
        assert!(projection.add("a", 0, &values, &mut rows).is_err());
        assert!(projection.add("b", 15, &values, &mut rows).is_err());
        projection.add("b", 14, &values, &mut rows).unwrap();
        assert!(spec.build([("x", 4)], 0, AT).is_ok());
    }
    assert!(FlatSpec::Rademacher { dim: 0 }.build(SIZES, 0, AT).is_err());
    assert!(FlatSpec::Sparse { dim: 0 }.build(SIZES, 0, AT).is_err());
}
