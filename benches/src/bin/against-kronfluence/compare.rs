//! How far the two sides' results are apart.
//!
//! Everything is brought to one unit. Both store covariances as sums with the count of real tokens,
//! so both are divided by their own count. With the same damping relative to a layer's mean
//! eigenvalue, K-FAC's scores have the same unit on both sides.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use safetensors::tensor::Dtype;
use tamis::gradients::RowStore;
use tamis::kfac::FactorStore;
use tamis::model::LayerInfo;
use tch::{Device, Kind, Tensor};

use crate::here::place;

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

/// Covariances and their eigenvalues.
pub(crate) fn factors(folder: &Path, layers: &[LayerInfo]) -> Vec<Apart> {
    let store = FactorStore::open(place(folder, "covariances")).expect("our covariances");
    let ours = store.merged(layers, Kind::Float, Device::Cpu).expect("our covariances");
    let mut found = Vec::new();
    for (side, name) in [("inputs", "activation"), ("output gradients", "gradient")] {
        let sums = Theirs::open(folder, &format!("factors_kfac/{name}_covariance"));
        let counts = Theirs::open(folder, &format!("factors_kfac/num_{name}_covariance_processed"));
        let values = Theirs::open(folder, &format!("factors_kfac/{name}_eigenvalues"));
        let mut covariances = Largest::new(format!("covariances of {side}"));
        let mut eigenvalues = Largest::new(format!("eigenvalues of {side}"));
        for (n, layer) in layers.iter().enumerate() {
            let sum = ours.layer(n).map(|sums| if name == "gradient" { sums.s } else { sums.a });
            let mine = sum.expect("a layer of the store").to_kind(Kind::Double) / ours.count();
            let count = counts.tensor(&layer.name).double_value(&[0]);
            assert!(
                (count - ours.count()).abs() < 0.5,
                "{count} tokens there, not {}",
                ours.count()
            );
            covariances.add(&layer.name, &mine, &(sums.tensor(&layer.name) / count));
            let symmetric = (&mine + mine.transpose(0, 1)) / 2.0;
            let (spectrum, _) = symmetric.linalg_eigh("L");
            eigenvalues.add(&layer.name, &spectrum, &values.tensor(&layer.name));
        }
        found.extend([covariances.0, eigenvalues.0]);
    }
    found
}

/// Scores of every query with a strategy.
pub(crate) fn scores(folder: &Path, strategy: &str) -> Apart {
    let store = RowStore::open(place(folder, strategy)).expect("our scores");
    let rows: Vec<Tensor> = store.shards().map(|shard| shard.expect("a shard").rows).collect();
    let ours = Tensor::cat(&rows, 0).to_kind(Kind::Double);
    let theirs = Theirs::open(folder, &format!("scores_{strategy}/pairwise_scores"));
    let theirs = theirs.tensor("all_modules").transpose(0, 1);
    assert_eq!(ours.size(), theirs.size(), "scores of (training samples, queries)");
    let mut largest = Largest::new(format!("scores, {strategy}"));
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
