//! The stage against its parts called one by one, and what it does when it is run again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tamis_artifact::{NoProgress, Progress, Stage};
use tamis_dataset::{Encoded, Encodings};
use tamis_gradients::{GradientPass, PassParams, ProjectionSpec};
use tamis_influence::{InfluenceStage, Seeds};
use tamis_kfac::{Curvature, CurvatureKind, Damping, FactorFit, FitParams, Identity, Spectral};
use tch::{Device, Kind};

use crate::common::{model, samples};

/// Every file below a folder.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if entry.path().is_dir() {
            let inner = files(&entry.path());
            all.extend(inner.into_iter().map(|(file, bytes)| (format!("{name}/{file}"), bytes)));
        } else {
            all.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// Counts what is computed, and pulls the plug.
struct Watch {
    done: u64,
    until: u64,
}

impl Progress for Watch {
    fn start(&mut self, _: &Stage<'_>) {}
    fn advance(&mut self, by: u64) {
        self.done += by;
        assert!(self.done <= self.until, "the plug was pulled");
    }
}

#[test]
fn the_stage_is_its_parts_and_finished_ones_are_only_read() {
    let (model, layers) = model("llama");
    let model = model.as_ref();
    let (pool, seeds) = (samples(model, 9, 1), samples(model, 3, 2));
    let params = PassParams { shard_rows: 2, ..PassParams::default() };
    let folder = tempfile::tempdir().unwrap();
    for kind in [CurvatureKind::Identity, CurvatureKind::Kfac] {
        let stage =
            InfluenceStage { pass: params, curvature: kind, ..InfluenceStage::new(model, &layers) };
        let dir = folder.path().join(kind.to_string());
        let run = |dir: &Path, progress: &mut dyn Progress| {
            stage.run(&Encodings::of(&pool), &seeds, dir, progress).unwrap()
        };
        let found = run(&dir, &mut NoProgress);

        let pass = GradientPass { model, layers: &layers, params };
        let fit = FactorFit { model, layers: &layers, params: FitParams::default() };
        let factors = fit.sum(&pool, &mut NoProgress).unwrap();
        let kfac = Spectral::kfac(&factors, Damping::default(), Kind::Double).unwrap();
        let curvature: &dyn Curvature =
            if kind == CurvatureKind::Identity { &Identity } else { &kfac };
        let expected =
            pass.rows_of(&pool, &Seeds::new(&pass, &seeds, curvature).unwrap()).unwrap().rows;
        let largest = expected.abs().max().double_value(&[]);
        for (n, candidate) in found.table.candidates.iter().enumerate() {
            assert_eq!(candidate.info.id, pool[n].id);
            for (q, &score) in candidate.scores.iter().enumerate() {
                let expected = expected.double_value(&[n as i64, q as i64]);
                assert!((f64::from(score) - expected).abs() < 1e-5 * largest, "{score} {expected}");
            }
        }
        let projection =
            ProjectionSpec::default().build(&layers, 0, model.shape().kind, Device::Cpu).unwrap();
        let rows = pass.rows_of(&pool, &projection).unwrap().rows.to_kind(Kind::Float);
        let stored = found.gradients.gather(&[8, 0, 3]).unwrap();
        let apart =
            (stored - rows.index_select(0, &tch::Tensor::from_slice(&[8i64, 0, 3]))).abs().max();
        assert!(apart.double_value(&[]) < 1e-3 * rows.abs().max().double_value(&[]));

        // Cut off in the middle of the pass (and, with K-FAC, in the fit before it), then gone on with.
        let stormy = folder.path().join(format!("{kind}-stormy"));
        let mut cut_off = 0;
        for until in [3, 3, 15] {
            let cut = std::panic::AssertUnwindSafe(|| run(&stormy, &mut Watch { done: 0, until }));
            cut_off += usize::from(std::panic::catch_unwind(cut).is_err());
        }
        assert!(cut_off >= 2);
        let again = run(&stormy, &mut NoProgress);
        assert_eq!(again.table, found.table);
        assert_eq!(files(&stormy), files(&dir));
        // Whoever holds the stored rows has the folder to himself.
        let table = found.table.clone();
        drop(found);
        assert_eq!(run(&dir, &mut Watch { done: 0, until: 0 }).table, table);

        // What decides the results is collected by the stage: whatever differs is refused by its name.
        let refused = |stage: InfluenceStage<'_>, pool: &[Encoded], seeds: &[Encoded], field| {
            let error = stage.run(&Encodings::of(pool), seeds, &dir, &mut NoProgress).unwrap_err();
            assert!(error.to_string().contains(field), "{field}: {error}");
        };
        refused(stage, &pool, &samples(model, 3, 4), "`made_from.reducer.queries.tokens`");
        refused(stage, &samples(model, 9, 5), &seeds, "`source.tokens`");
        refused(InfluenceStage { layers: &layers[1..], ..stage }, &pool, &seeds, "layers");
        let damping = Damping::Relative(0.2);
        refused(InfluenceStage { damping, ..stage }, &pool, &seeds, "`made_from.reducer.damping");
        refused(InfluenceStage { seed: 1, ..stage }, &pool, &seeds, "`made_from.reducer.seed`");
        let projection = "4x4".parse().unwrap();
        refused(
            InfluenceStage { projection, ..stage },
            &pool,
            &seeds,
            "`made_from.reducer.projection",
        );
        assert_eq!(run(&dir, &mut Watch { done: 0, until: 0 }).table, table);
    }
}

/// The gradient of your own samples, which all say that they are row 0.
#[test]
fn gradients_are_those_of_the_positions_asked_for() {
    let (model, layers) = model("llama");
    let model = model.as_ref();
    let (mut pool, seeds) = (samples(model, 5, 1), samples(model, 2, 2));
    for sample in &mut pool {
        sample.index = 0;
    }
    let folder = tempfile::tempdir().unwrap();
    let curvature = CurvatureKind::Identity;
    let stage = InfluenceStage { curvature, ..InfluenceStage::new(model, &layers) };
    let run =
        |pool: &[Encoded]| stage.run(&Encodings::of(pool), &seeds, folder.path(), &mut NoProgress);
    let found = run(&pool).unwrap();
    let pass = GradientPass { model, layers: &layers, params: PassParams::default() };
    let projection =
        ProjectionSpec::default().build(&layers, 0, model.shape().kind, Device::Cpu).unwrap();
    let own = pass.rows_of(&pool[3..4], &projection).unwrap().rows.to_kind(Kind::Float);
    let apart = (found.gradients_at(&[3]).unwrap() - &own).abs().max().double_value(&[]);
    assert!(apart < 1e-3 * own.abs().max().double_value(&[]), "{apart}");
    drop(found);
    pool[4].id = pool[1].id.clone();
    assert!(run(&pool).unwrap_err().to_string().contains("1-1"));
}
