//! From a model and a pool to a curvature, whichever it is: the passes it needs, kept in folders and
//! resumed.

use std::path::{Path, PathBuf};

use serde_json::json;
use tamis_artifact::{Fingerprint, Progress, Provenance};
use tamis_dataset::{Encodings, SampleId};
use tamis_gradients::{Projection, ProjectionSpec, gradient_size};
use tamis_model::{CausalLm, LayerInfo};

use crate::basis_store::decompose;
use crate::eigen::wide;
use crate::fit::Summed;
use crate::{
    Curvature, CurvatureKind, Damping, Eigenbasis, FactorFit, FactorStore, Factors, FitParams,
    Identity, KfacError, SecondMoments, Spectral,
};

/// Fits what a curvature needs.
#[derive(Clone, Copy)]
pub struct CurvatureFit<'a> {
    /// The model; its weights stay frozen.
    pub model: &'a dyn CausalLm,
    /// The layers whose curvature is fitted.
    pub layers: &'a [LayerInfo],
    /// How.
    pub params: FitParams,
    /// Layers whose sums are held in memory at a time; each group takes passes of its own over the
    /// data. `None`: all at once.
    pub layers_at_once: Option<usize>,
}

impl std::fmt::Debug for CurvatureFit<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CurvatureFit")
            .field("layers", &self.layers.len())
            .field("params", &self.params)
            .field("layers_at_once", &self.layers_at_once)
            .finish_non_exhaustive()
    }
}

impl CurvatureFit<'_> {
    /// Bytes that fitting `kind` and solving with it take at the most, beside the model and one batch:
    /// while fitting, the sums of a group of layers and what is kept of all; while solving, what
    /// [`Spectral`] holds. Layers that share an input are counted as if they did not.
    pub fn bytes(&self, kind: CurvatureKind) -> u64 {
        let scalar = wide(self.model.shape().kind).elt_size_in_bytes() as u64;
        let needs = kind.needs();
        let entries =
            |layers: &[LayerInfo]| layers.iter().map(|l| gradient_size(l) as u64).sum::<u64>();
        let size = self.layers_at_once.unwrap_or(self.layers.len()).max(1);
        let group = |of: &dyn Fn(&[LayerInfo]) -> u64| self.layers.chunks(size).map(of).max();
        let count = |wanted: bool, numbers: u64| if wanted { numbers } else { 0 };
        let basis = count(needs.covariances, Eigenbasis::numbers(self.layers));
        let moments = count(needs.second_moments, entries(self.layers));
        let sums = count(needs.covariances, group(&Eigenbasis::numbers).unwrap_or(0));
        let inverse = count(kind != CurvatureKind::Identity, entries(self.layers));
        scalar * (basis + moments + sums.max(inverse))
    }

    /// Makes the passes over `samples` that `kind` needs, in folders under `dir`: `factors` (the
    /// covariances), `basis` (their eigenvectors), `moments` (EK-FAC's eigenvalues) or `diagonal`, with a
    /// number behind if the layers are fitted in groups. What is there already is not computed again.
    ///
    /// # Errors
    /// As [`FactorFit::run`]; a folder made from other data, another model or other settings is
    /// refused with the field that differs.
    pub fn run(
        &self,
        kind: CurvatureKind,
        samples: &Encodings<'_>,
        dir: &Path,
        progress: &mut dyn Progress,
    ) -> Result<Fitted, KfacError> {
        let mut fitted = Fitted::nothing(kind);
        if kind == CurvatureKind::Identity {
            return Ok(fitted);
        }
        let size = self.layers_at_once.unwrap_or(self.layers.len()).max(1);
        let groups: Vec<&[LayerInfo]> = self.layers.chunks(size).collect();
        for (number, layers) in groups.iter().enumerate() {
            let behind = if groups.len() == 1 { String::new() } else { format!("-{number:03}") };
            let folder = |stage: &str| dir.join(format!("{stage}{behind}"));
            let fit = FactorFit { model: self.model, layers, params: self.params };
            let mut group = Group { fit, samples, folder: &folder };
            group.run(&mut fitted, progress)?;
        }
        Ok(fitted)
    }
}

/// One group of layers on its way.
struct Group<'a> {
    fit: FactorFit<'a>,
    samples: &'a Encodings<'a>,
    folder: &'a dyn Fn(&str) -> PathBuf,
}

impl Group<'_> {
    fn run(&mut self, fitted: &mut Fitted, progress: &mut dyn Progress) -> Result<(), KfacError> {
        let needs = fitted.kind.needs();
        let mut provenance = self.fit.provenance(self.samples)?;
        let mut basis = None;
        if needs.covariances {
            let folder = (self.folder)("factors");
            let zeros = || self.fit.no_factors();
            let place = (folder.as_path(), &provenance);
            let summed = self.fit.run_parts(self.samples, place, progress, "covariances", zeros)?;
            let kind = self.fit.model.shape().kind;
            let of_factors = Provenance::new().made_from("factors", summed.fingerprint.clone());
            fitted.factors.push((folder, self.fit.layers.to_vec()));
            let place = (self.folder)("basis");
            let own = decompose(&place, &of_factors, &summed.sums, kind, progress)?;
            fitted.add(summed);
            fitted.bases.push(own.1.clone());
            provenance = provenance.made_from("basis", own.1);
            basis = Some(own.0);
        }
        if needs.second_moments {
            let stage = if basis.is_some() { "moments" } else { "diagonal" };
            let zeros = || self.fit.no_moments(basis.as_ref());
            let folder = (self.folder)(stage);
            let place = (folder.as_path(), &provenance);
            let summed =
                self.fit.run_parts(self.samples, place, progress, "second moments", zeros)?;
            let moments = fitted.add(summed);
            match fitted.moments.as_mut() {
                None => fitted.moments = Some(moments),
                Some(all) => all.extend(moments),
            }
        }
        if let Some(basis) = basis {
            fitted.basis.extend(basis);
        }
        Ok(())
    }
}

/// What was fitted: any damping can be put on it, as often as wanted.
#[derive(Debug)]
pub struct Fitted {
    kind: CurvatureKind,
    basis: Eigenbasis,
    moments: Option<SecondMoments>,
    /// Folders of covariances and their layers, a group each.
    factors: Vec<(PathBuf, Vec<LayerInfo>)>,
    fingerprints: Vec<Fingerprint>,
    bases: Vec<Fingerprint>,
    skipped: Vec<SampleId>,
    resumed: bool,
}

/// The curvature of gradients as a store keeps them.
#[derive(Debug)]
pub struct ProjectedCurvature {
    /// The layers with the sizes that are left of them.
    pub layers: Vec<LayerInfo>,
    /// Their curvature.
    pub curvature: Spectral,
}

impl Fitted {
    fn nothing(kind: CurvatureKind) -> Self {
        Self {
            kind,
            basis: Eigenbasis::default(),
            moments: None,
            factors: Vec::new(),
            fingerprints: Vec::new(),
            bases: Vec::new(),
            skipped: Vec::new(),
            resumed: false,
        }
    }

    /// Notes where sums came from, and gives them back.
    fn add<S>(&mut self, summed: Summed<S>) -> S {
        self.resumed |= summed.resumed;
        self.fingerprints.push(summed.fingerprint);
        for id in summed.left_out {
            if !self.skipped.contains(&id) {
                self.skipped.push(id);
            }
        }
        summed.sums
    }

    /// The projection onto the leading eigenvectors ([`Eigenbasis::projection`]), named by the fit that they are of.
    ///
    /// # Errors
    /// What LibTorch reports.
    pub fn projection(&self, out: usize, columns: usize) -> Result<Projection, KfacError> {
        let spec = ProjectionSpec::Pca { out, r#in: columns };
        let made_from = json!({ "projection": spec, "eigenvectors": self.basis_fingerprint() });
        Ok(self.basis.projection(out, columns)?.made_from(made_from.into()))
    }

    /// Which curvature.
    pub fn kind(&self) -> CurvatureKind {
        self.kind
    }

    /// What names it in the manifests of what is made with it: the kind and the fingerprints of its
    /// stores.
    pub fn fingerprint(&self) -> Fingerprint {
        json!({ "kind": self.kind, "fitted": self.fingerprints }).into()
    }

    /// What names the eigenvectors in the manifests of what is projected on them: the same for every
    /// kind that has them.
    pub fn basis_fingerprint(&self) -> Fingerprint {
        json!(self.bases).into()
    }

    /// Eigenvectors; without layers if the kind has none.
    pub fn basis(&self) -> &Eigenbasis {
        &self.basis
    }

    /// Samples that were left out on request ([`NonFinite::Skip`](crate::NonFinite::Skip)), in this run or in one that it
    /// goes on from.
    pub fn left_out(&self) -> &[SampleId] {
        &self.skipped
    }

    /// Whether a finished pass of an earlier run was used.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// The damped curvature; `None` for the identity.
    ///
    /// # Errors
    /// A damping that the kind does not have, or a layer that cannot be inverted with it.
    pub fn spectral(&self, damping: Damping) -> Result<Option<Spectral>, KfacError> {
        Ok(match (self.kind, &self.moments) {
            (CurvatureKind::Kfac, _) => Some(Spectral::kfac_in(&self.basis, damping)?),
            (CurvatureKind::Ekfac, Some(moments)) => {
                Some(Spectral::ekfac(&self.basis, moments, damping)?)
            }
            (CurvatureKind::Diagonal, Some(moments)) => Some(Spectral::diagonal(moments, damping)?),
            _ => None,
        })
    }

    /// The same behind the trait; [`Identity`] for the identity.
    ///
    /// # Errors
    /// As [`Fitted::spectral`].
    pub fn curvature(&self, damping: Damping) -> Result<Box<dyn Curvature>, KfacError> {
        Ok(match self.spectral(damping)? {
            Some(spectral) => Box::new(spectral),
            None => Box::new(Identity),
        })
    }

    /// The curvature of gradients that `projection`, made from `spec`, has projected. `None` where
    /// seeds are solved whole and projected then: for the identity, and for projections that are not
    /// two-sided.
    ///
    /// - On the leading eigenvectors (`pca:PxQ`) it is the curvature's own leading part, with the damping
    ///   of the whole, for K-FAC and EK-FAC alike.
    /// - On random directions it is the K-FAC of the projected factors, `R A Rᵀ` and `R S Rᵀ` (arXiv
    ///   2405.13954): solving there keeps the noise of the projection out of the inverse.
    ///
    /// # Errors
    /// EK-FAC or the diagonal on random directions: their eigenvalues there are not known.
    pub fn projected(
        &self,
        spec: &ProjectionSpec,
        projection: &Projection,
        damping: Damping,
    ) -> Result<Option<ProjectedCurvature>, KfacError> {
        let unknown = |expected| KfacError::Projected { kind: self.kind, expected };
        match (*spec, self.kind) {
            (_, CurvatureKind::Identity)
            | (ProjectionSpec::Full | ProjectionSpec::Sparse { .. }, _) => Ok(None),
            (ProjectionSpec::Pca { out, r#in }, CurvatureKind::Kfac | CurvatureKind::Ekfac) => {
                let whole = self.spectral(damping)?;
                let whole = whole.ok_or_else(|| unknown("pca:OUTxIN or full"))?;
                let (layers, curvature) = whole.leading(self.basis.layers(), out, r#in)?;
                Ok(Some(ProjectedCurvature { layers, curvature }))
            }
            (ProjectionSpec::TwoSided { .. }, CurvatureKind::Kfac) => {
                let mut all: Option<Factors> = None;
                for (folder, layers) in &self.factors {
                    let store = FactorStore::open(folder)?;
                    let device = projection.device();
                    let factors = store.merged(layers, device)?;
                    let factors = factors.ok_or(KfacError::NoTokens { samples: 0 })?;
                    let Some(own) = factors.projected(projection)? else { return Ok(None) };
                    match all.as_mut() {
                        None => all = Some(own),
                        Some(all) => all.extend(own),
                    }
                }
                let all = all.ok_or(KfacError::NoTokens { samples: 0 })?;
                let kind = all.kind();
                let curvature = Spectral::kfac(&all, damping, kind)?;
                Ok(Some(ProjectedCurvature { layers: all.layers().to_vec(), curvature }))
            }
            (ProjectionSpec::TwoSided { .. }, CurvatureKind::Ekfac) => {
                Err(unknown("pca:OUTxIN or full"))
            }
            (_, CurvatureKind::Diagonal) => Err(unknown("full")),
        }
    }
}
