//! Every way to the same scores, and the parts that they are sums of.

use tamis_artifact::{Fingerprint, NoProgress};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams, Reducer};
use tamis_influence::{Contraction, InfluenceError, LowRankSeeds, PerLayer, Seeds, SelfInfluence};
use tamis_kfac::{Curvature, CurvatureFit, CurvatureKind, Damping, FitParams, Identity, Spectral};
use tamis_model::{CausalLm, LayerInfo};
use tch::{Kind, Tensor};

use crate::common::{model, samples};

fn ekfac(model: &dyn CausalLm, layers: &[LayerInfo], data: &[Encoded]) -> Spectral {
    let dir = tempfile::tempdir().unwrap();
    let fit = CurvatureFit { model, layers, params: FitParams::default(), layers_at_once: None };
    let fitted =
        fit.run(CurvatureKind::Ekfac, &Encodings::of(data), dir.path(), &mut NoProgress).unwrap();
    fitted.spectral(Damping::default()).unwrap().unwrap()
}

fn pass<'a>(model: &'a dyn CausalLm, layers: &'a [LayerInfo], budget: usize) -> GradientPass<'a> {
    let params = PassParams { token_budget: budget, ..PassParams::default() };
    GradientPass { model, layers, params }
}

fn rows(pass: &GradientPass<'_>, pool: &[Encoded], reducer: &dyn Reducer) -> Tensor {
    pass.rows_of(pool, reducer).unwrap().rows
}

fn close(a: &Tensor, b: &Tensor, tolerance: f64) -> bool {
    assert_eq!(a.size(), b.size());
    (a - b).norm().double_value(&[]) <= tolerance * b.norm().double_value(&[])
}

#[test]
fn all_contractions_agree_and_do_not_depend_on_batch_or_order() {
    for name in ["llama", "gpt2"] {
        let (model, layers) = model(name);
        let (pool, chosen) = (samples(model.as_ref(), 9, 1), samples(model.as_ref(), 3, 2));
        let curvature = ekfac(model.as_ref(), &layers, &pool);
        let wide = pass(model.as_ref(), &layers, 2048);
        let seeds = |how| Seeds::new(&wide, &chosen, &curvature).unwrap().contracted(how);
        let formed = rows(&wide, &pool, &seeds(Contraction::Formed));
        for how in [Contraction::Tokens, Contraction::Cheapest] {
            assert!(close(&rows(&wide, &pool, &seeds(how)), &formed, 1e-9), "{name} {how:?}");
        }
        // One sample a batch (no padding), and backwards.
        let narrow = pass(model.as_ref(), &layers, 1);
        let again = Seeds::new(&narrow, &chosen, &curvature).unwrap();
        assert!(close(&rows(&narrow, &pool, &again), &formed, 1e-9));
        let mut backwards = pool.clone();
        backwards.reverse();
        assert!(close(&rows(&wide, &backwards, &again).flip([0]), &formed, 1e-9));

        let mean = Seeds::mean(&wide, &chosen, &curvature).unwrap();
        assert_eq!(mean.ids().len(), 1);
        let expected = formed.mean_dim([1i64].as_slice(), true, Kind::Double);
        for how in [Contraction::Formed, Contraction::Tokens] {
            let mean = Seeds::mean(&wide, &chosen, &curvature).unwrap().contracted(how);
            assert!(close(&rows(&wide, &pool, &mean), &expected, 1e-9), "{name} {how:?}");
        }
    }
}

#[test]
fn layers_and_tokens_add_up_to_the_whole() {
    for name in ["llama", "gpt2"] {
        let (model, layers) = model(name);
        let (pool, chosen) = (samples(model.as_ref(), 6, 1), samples(model.as_ref(), 2, 2));
        let curvature = ekfac(model.as_ref(), &layers, &pool);
        let pass = pass(model.as_ref(), &layers, 40);
        let seeds = Seeds::new(&pass, &chosen, &curvature).unwrap();
        let whole = rows(&pass, &pool, &seeds);

        let by_layer = rows(&pass, &pool, &PerLayer(&seeds)).view([6, layers.len() as i64, 2]);
        let sum = by_layer.sum_dim_intlist([1i64].as_slice(), false, Kind::Double);
        assert!(close(&sum, &whole, 1e-12));
        // A layer's part is what the layer alone gives.
        let alone = GradientPass { layers: &layers[1..2], ..pass };
        let own = Seeds::new(&alone, &chosen, &curvature).unwrap();
        assert!(close(&by_layer.select(1, 1), &rows(&alone, &pool, &own), 1e-9));

        for (n, token) in seeds.token_scores(&pass, &pool).unwrap().iter().enumerate() {
            assert_eq!(token.id, pool[n].id);
            assert_eq!(token.scores.size(), [pool[n].ids.len() as i64, 2]);
            let sum = token.scores.sum_dim_intlist([0i64].as_slice(), false, Kind::Double);
            // Kept in f32.
            assert!(close(&sum, &whole.get(n as i64), 1e-5), "{name}");
            // Nothing flows through the last token: nothing comes after it.
            assert_eq!(token.scores.get(-1).abs().max().double_value(&[]), 0.0);
        }
    }
}

#[test]
fn self_influence_is_the_diagonal_of_all_against_all() {
    let (model, layers) = model("qwen2");
    let pool = samples(model.as_ref(), 5, 1);
    let curvature = ekfac(model.as_ref(), &layers, &pool);
    let pass = pass(model.as_ref(), &layers, 2048);
    for curvature in [&Identity as &dyn Curvature, &curvature] {
        let all = rows(&pass, &pool, &Seeds::new(&pass, &pool, curvature).unwrap());
        let own = rows(&pass, &pool, &SelfInfluence::new(curvature, &"test".into())).squeeze_dim(1);
        assert!(close(&own, &all.diagonal(0, 0, 1), 1e-9));
        assert!(own.min().double_value(&[]) > 0.0);
    }
}

#[test]
fn low_rank_seeds_lose_what_they_say() {
    let (model, layers) = model("gpt2");
    let (pool, chosen) = (samples(model.as_ref(), 6, 1), samples(model.as_ref(), 3, 2));
    let curvature = ekfac(model.as_ref(), &layers, &pool);
    let pass = pass(model.as_ref(), &layers, 2048);
    let seeds = Seeds::new(&pass, &chosen, &curvature).unwrap();
    let exact = rows(&pass, &pool, &seeds);
    let full = LowRankSeeds::new(&pass, &chosen, &curvature, 1000).unwrap();
    assert!((full.kept() - 1.0).abs() < 1e-12);
    assert!(close(&rows(&pass, &pool, &full), &exact, 1e-9));
    // Both ways to take the meetings: from tokens, and from a gradient that is formed already.
    let beside = pass
        .rows_of(&pool, &Both(&SelfInfluence::new(&curvature, &"test".into()), &full))
        .unwrap()
        .rows;
    assert!(close(&beside.narrow(1, 1, 3), &exact, 1e-9));

    let mut before = 0.0;
    for rank in [1, 2, 4, 8] {
        let thin = LowRankSeeds::new(&pass, &chosen, &curvature, rank).unwrap();
        assert!(thin.kept() > before && thin.kept() < 1.0 + 1e-12, "{rank}: {}", thin.kept());
        before = thin.kept();
        // No better approximation of this rank exists: what is kept are the leading singular values.
        let mut kept = 0.0;
        let mut all = 0.0;
        for layer in &layers {
            let (_, s, _) = seeds.layer(layer.id).unwrap().svd(true, true);
            let squares = s.square();
            let rank = (rank as i64).min(squares.size()[1]);
            kept += squares.narrow(1, 0, rank).sum(Kind::Double).double_value(&[]);
            all += squares.sum(Kind::Double).double_value(&[]);
        }
        assert!((thin.kept() - kept / all).abs() < 1e-3, "{rank}: {} {}", thin.kept(), kept / all);
        // Cauchy–Schwarz bounds what is lost of a score.
        let norms = pass.rows_of(&pool, &thin).unwrap().infos;
        let lost = (rows(&pass, &pool, &thin) - &exact).abs();
        let missing = (all * (1.0 - thin.kept())).sqrt();
        for (n, info) in norms.iter().enumerate() {
            assert!(
                lost.get(n as i64).max().double_value(&[]) <= missing * info.norm * (1.0 + 1e-9)
            );
        }
    }
    let none = LowRankSeeds::new(&pass, &chosen, &curvature, 0);
    assert!(matches!(none, Err(InfluenceError::Mismatch { .. })));
}

/// Two reducers beside each other, the first of which forms gradients.
struct Both<'a>(&'a dyn Reducer, &'a dyn Reducer);

impl Reducer for Both<'_> {
    fn width(&self) -> usize {
        self.0.width() + self.1.width()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint()
    }

    fn add(
        &self,
        trace: &tamis_gradients::LayerTrace,
        rows: &mut Tensor,
    ) -> Result<(), tamis_gradients::GradientError> {
        let first = self.0.width() as i64;
        self.0.add(trace, &mut rows.narrow(1, 0, first))?;
        self.1.add(trace, &mut rows.narrow(1, first, self.1.width() as i64))
    }
}
