//! Covariance sums against naive loops, merging, and values that are not finite.

use tamis_gradients::LayerTrace;
use tamis_kfac::{Factors, Sums, Tokens};
use tch::{Device, Kind, Tensor};

use crate::exact::{layer, random, two_layers};

const AT: (Kind, Device) = (Kind::Double, Device::Cpu);

fn close(a: &Tensor, b: &Tensor) -> bool {
    (a - b).norm().double_value(&[]) <= 1e-12 * b.norm().double_value(&[]).max(1e-300)
}

/// Three samples of 4, 2 and 3 tokens; padding holds large numbers in `x`, zeros in `g`.
fn padded(bias: bool) -> (LayerTrace, Tensor, [i64; 3]) {
    let lengths = [4, 2, 3];
    let (x, g) = (random(&[3, 4, 5], 1), random(&[3, 4, 2], 2));
    let mask = Tensor::zeros([3, 4], AT);
    for (n, &length) in lengths.iter().enumerate() {
        let _ = mask.get(n as i64).narrow(0, 0, length).fill_(1.0);
    }
    let wide = mask.unsqueeze(-1);
    let x = &x * &wide + (Tensor::ones_like(&wide) - &wide) * 1e3;
    (LayerTrace::new(layer(0, 5, 2, bias), x, g * &wide), mask, lengths)
}

#[test]
fn expand_and_reduce_equal_naive_loops() {
    for bias in [false, true] {
        for tokens in [Tokens::Expand, Tokens::Reduce] {
            let (trace, mask, lengths) = padded(bias);
            let columns = 5 + i64::from(bias);
            let (a, s) = (Tensor::zeros([columns, columns], AT), Tensor::zeros([2, 2], AT));
            let (mut a, mut s, mut count) = (a, s, 0.0);
            for (n, &length) in lengths.iter().enumerate() {
                let x = trace.augmented().unwrap().get(n as i64);
                let g = trace.g().get(n as i64);
                let tokens_of: Vec<(Tensor, Tensor)> =
                    (0..length).map(|t| (x.get(t), g.get(t))).collect();
                match tokens {
                    Tokens::Expand => {
                        for (x, g) in &tokens_of {
                            a += x.outer(x);
                            s += g.outer(g);
                            count += 1.0;
                        }
                    }
                    Tokens::Reduce => {
                        let x = tokens_of.iter().map(|(x, _)| x).sum::<Tensor>() / length as f64;
                        let g: Tensor = tokens_of.iter().map(|(_, g)| g).sum();
                        a += x.outer(&x);
                        s += g.outer(&g);
                        count += 1.0;
                    }
                }
            }
            let mut factors =
                Factors::zeros(&[trace.info().clone()], Kind::Double, Device::Cpu).unwrap();
            factors.add(&[trace], &mask, tokens).unwrap();
            let sums = factors.layer(0).unwrap();
            assert!(close(&sums.a, &a) && close(&sums.s, &s), "{tokens:?}, bias {bias}");
            assert_eq!(factors.count(), count);
        }
    }
}

#[test]
fn parts_merge_by_addition() {
    let (_, mut one) = two_layers(1);
    let (_, two) = two_layers(2);
    let sums = |f: &Factors, n| {
        let l = f.layer(n).unwrap();
        (l.a.copy(), l.s.copy())
    };
    let before = [sums(&one, 0), sums(&one, 1)];
    one.merge(&two).unwrap();
    for (n, (before_a, before_s)) in before.iter().enumerate() {
        let (a, s) = sums(&one, n);
        let (a2, s2) = sums(&two, n);
        assert!(close(&a, &(before_a + a2)) && close(&s, &(before_s + s2)));
    }
    assert_eq!(one.count(), 48.0);
    let mut other = Factors::zeros(&[layer(3, 1, 1, false)], Kind::Double, Device::Cpu).unwrap();
    let error = other.merge(&one).unwrap_err().to_string();
    assert!(error.contains("layer.3") && error.contains("layer.0"), "{error}");
}

#[test]
fn layers_that_read_one_input_share_its_covariance() {
    let infos = [layer(0, 4, 3, false), layer(1, 4, 2, false), layer(2, 4, 2, false)];
    let (shared, own) = (random(&[2, 3, 4], 1), random(&[2, 3, 4], 7));
    let traces = [
        LayerTrace::new(infos[0].clone(), shared.shallow_clone(), random(&[2, 3, 3], 2)),
        LayerTrace::new(infos[1].clone(), shared.shallow_clone(), random(&[2, 3, 2], 3)),
        LayerTrace::new(infos[2].clone(), own.shallow_clone(), random(&[2, 3, 2], 4)),
    ];
    let mask = Tensor::ones([2, 3], AT);
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    factors.add(&traces, &mask, Tokens::Expand).unwrap();
    assert_eq!(factors.shared_inputs(), [0, 0, 2]);
    let expected = shared.view([6, 4]).transpose(0, 1).matmul(&shared.view([6, 4]));
    assert!(close(&factors.layer(0).unwrap().a, &expected));
    assert!(close(&factors.layer(1).unwrap().a, &expected));
    assert!(!close(&factors.layer(2).unwrap().a, &expected));
}

/// Wide layers are multiplied out in blocks.
#[test]
fn wide_covariances_equal_the_plain_product() {
    let infos = [layer(0, 521, 3, true)];
    let (x, g) = (random(&[2, 3, 521], 1), random(&[2, 3, 3], 2));
    let trace = LayerTrace::new(infos[0].clone(), x, g);
    let rows = trace.augmented().unwrap().view([6, 522]);
    let mut factors = Factors::zeros(&infos, Kind::Double, Device::Cpu).unwrap();
    for _ in 0..2 {
        factors.add(&[trace_of(&trace)], &Tensor::ones([2, 3], AT), Tokens::Expand).unwrap();
    }
    assert!(close(&factors.layer(0).unwrap().a, &(rows.tr().matmul(&rows) * 2.0)));
}

fn trace_of(trace: &LayerTrace) -> LayerTrace {
    LayerTrace::new(trace.info().clone(), trace.x().shallow_clone(), trace.g().shallow_clone())
}
