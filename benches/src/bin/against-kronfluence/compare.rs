//! How far the two sides' results are apart.
//!
//! Everything is brought to one unit. Both store covariances as sums with the count of real tokens,
//! so both are divided by their own count. With the same damping relative to a layer's mean
//! eigenvalue, K-FAC's scores then have the same unit on both sides. EK-FAC's eigenvalues are a mean
//! over tokens here, as the covariances are, and a mean over sequences there: ours are multiplied by
//! tokens a sequence, and so are their scores.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use tamis::gradients::RowStore;
use tamis::kfac::{FactorStore, Factors, MomentStore, Sums};
use tamis::model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::here::{fitted, known, scores as place};

/// One kind of result.
pub(crate) struct Apart {
    /// What was compared.
    pub what: String,
    /// `‖ours − theirs‖ / ‖theirs‖` (Frobenius) of the layer or query where it is largest.
    pub error: f64,
    /// That layer or query.
    pub at: String,
}

/// A file of kronfluence's.
struct Theirs {
    bytes: Vec<u8>,
}

impl Theirs {
    fn open(folder: &Path, file: &str) -> Self {
        let path = folder.join("theirs").join(format!("{file}.safetensors"));
        Self { bytes: fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    }

    /// A tensor in f64.
    fn tensor(&self, name: &str) -> Tensor {
        let file = SafeTensors::deserialize(&self.bytes).expect("a safetensors file");
        let view = file.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
        let kind = match view.dtype() {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::I64 => Kind::Int64,
            other => panic!("{name} is {other:?}"),
        };
        let shape: Vec<i64> = view.shape().iter().map(|&n| n as i64).collect();
        Tensor::from_data_size(view.data(), &shape, kind).to_kind(Kind::Double)
    }
}

/// Covariances, their eigenvalues, and the eigenvalues fitted anew if `moments`.
pub(crate) fn curvature(folder: &Path, layers: &[LayerInfo], moments: bool) -> Vec<Apart> {
    let (ours, known) = (factors(folder, layers), known(folder));
    let basis = known.basis();
    let mut found = Vec::new();
    for (side, name) in [("inputs", "activation"), ("output gradients", "gradient")] {
        let theirs = |what: &str| Theirs::open(folder, &format!("factors_kfac/{what}"));
        let sums = theirs(&format!("{name}_covariance"));
        let counts = theirs(&format!("num_{name}_covariance_processed"));
        let values = theirs(&format!("{name}_eigenvalues"));
        let mut covariances = Largest::new(format!("covariances of {side}"));
        let mut eigenvalues = Largest::new(format!("eigenvalues of these of {side}"));
        for (n, layer) in layers.iter().enumerate() {
            let (sum, own) = (ours.layer(n).expect("a layer"), basis.layer(n).expect("a layer"));
            let (sum, own) = if name == "gradient" { (sum.s, &own.s) } else { (sum.a, &own.a) };
            let count = counts.tensor(&layer.name).double_value(&[0]);
            assert!(
                (count - ours.count()).abs() < 0.5,
                "{count} tokens there, not {}",
                ours.count()
            );
            let mean = sum.to_kind(Kind::Double) / ours.count();
            covariances.add(&layer.name, &mean, &(sums.tensor(&layer.name) / count));
            eigenvalues.add(&layer.name, &own.values, &values.tensor(&layer.name));
        }
        found.extend([covariances.0, eigenvalues.0]);
    }
    if moments {
        let store = MomentStore::open(fitted(folder).join("moments")).expect("our moments");
        let ours = store.merged(layers, Device::Cpu).expect("our moments").expect("our moments");
        let sums = Theirs::open(folder, "factors_ekfac/lambda_matrix");
        let counts = Theirs::open(folder, "factors_ekfac/num_lambda_processed");
        let mut eigenvalues = Largest::new("eigenvalues of EK-FAC".to_owned());
        for (n, layer) in layers.iter().enumerate() {
            let samples = counts.tensor(&layer.name).double_value(&[0]);
            let mean = ours.mean(n).expect("a layer") * (ours.count() / samples);
            eigenvalues.add(&layer.name, &mean, &(sums.tensor(&layer.name) / samples));
        }
        found.push(eigenvalues.0);
    }
    found
}

fn factors(folder: &Path, layers: &[LayerInfo]) -> Factors {
    let store = FactorStore::open(fitted(folder).join("factors")).expect("our covariances");
    store.merged(layers, Device::Cpu).expect("our covariances").expect("our covariances")
}

/// Scores of every query.
pub(crate) fn scores(folder: &Path, curvature: &str, layers: &[LayerInfo]) -> Apart {
    let store = RowStore::open(place(folder, curvature)).expect("our scores");
    let rows: Vec<Tensor> = store.shards().map(|shard| shard.expect("a shard").rows).collect();
    let ours = Tensor::cat(&rows, 0).to_kind(Kind::Double);
    let theirs = Theirs::open(folder, &format!("scores_{curvature}/pairwise_scores"));
    let mut theirs = theirs.tensor("all_modules").transpose(0, 1);
    assert_eq!(ours.size(), theirs.size(), "scores of (training samples, queries)");
    if curvature == "ekfac" {
        theirs *= factors(folder, layers).count() / theirs.size()[0] as f64;
    }
    let mut largest = Largest::new(format!("scores, {curvature}"));
    for query in 0..ours.size()[1] {
        let (mine, their) = (ours.select(1, query), theirs.select(1, query));
        largest.add(&format!("query {query}"), &mine, &their);
    }
    largest.0
}

/// Remembers where the error is largest.
struct Largest(Apart);

impl Largest {
    fn new(what: String) -> Self {
        Self(Apart { what, error: 0.0, at: String::new() })
    }

    fn add(&mut self, at: &str, ours: &Tensor, theirs: &Tensor) {
        let error = (ours - theirs).norm().double_value(&[]) / theirs.norm().double_value(&[]);
        // A result that is not a number is the worst there is.
        if error.is_nan() || error >= self.0.error {
            (self.0.error, self.0.at) = (error, at.to_owned());
        }
    }
}
