//! K-means itself: Lloyd's iterations from one or several starts.

use tamis_artifact::Random;
use tamis_selection::Vectors;
use tamis_selection::vectors::ndarray::{Array2, ArrayView2};

use crate::assign::{assign, own_distances};
use crate::rows::Rows;
use crate::seeding::plus_plus;
use crate::update::{Update, update};
use crate::{ClusteringError, KMeansParams, Metric};

/// K-means with checked settings; made by [`KMeansParams::check`].
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    params: KMeansParams,
}

/// What k-means found.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeansFit {
    /// Cluster of every row, in 0..k.
    pub labels: Vec<usize>,
    /// Centre of every cluster, (k, columns); of length one for cosine.
    pub centroids: Array2<f32>,
    /// Distance of every row to the centroid of its cluster: straight-line, or one minus the cosine.
    pub distances: Vec<f32>,
    /// Sum over the rows of the squared distance (Euclidean) or of the distance (cosine).
    pub inertia: f64,
    /// Iterations of the run that was kept.
    pub iterations: usize,
    /// Whether that run ended because nothing moved any more, not because of `max_iter`.
    pub converged: bool,
}

impl KMeansFit {
    /// Number of rows in each cluster.
    ///
    /// A cluster is empty only if there are fewer different rows than clusters, or if its last row
    /// left it in the last iteration allowed.
    pub fn sizes(&self) -> Vec<usize> {
        let mut sizes = vec![0; self.centroids.nrows()];
        for &label in &self.labels {
            sizes[label] += 1;
        }
        sizes
    }
}

/// A run as the coordinates worked in have it.
struct Run {
    labels: Vec<usize>,
    centroids: Array2<f32>,
    squared_distances: Vec<f64>,
    iterations: usize,
    converged: bool,
}

impl Run {
    fn sum(&self) -> f64 {
        self.squared_distances.iter().sum()
    }
}

impl KMeans {
    /// Called by [`KMeansParams::check`] only.
    pub(crate) fn of(params: KMeansParams) -> Self {
        Self { params }
    }

    /// The settings.
    pub fn params(&self) -> &KMeansParams {
        &self.params
    }

    /// Clusters rows, each start seeded by greedy k-means++ (Arthur and Vassilvitskii,
    /// 2007). Of several starts the one with the lowest inertia is kept, the first of equal ones.
    ///
    /// Runs on the current rayon pool; its number of threads does not change the result. Rows are read block by
    /// block: once for every cluster of a start, twice an iteration, and a few times more.
    ///
    /// # Errors
    /// Rows that cannot be read, more clusters than rows, no columns, values that are not finite, rows too long for f32 or
    /// (cosine) of length zero; each names the row.
    pub fn fit(&self, rows: &dyn Vectors) -> Result<KMeansFit, ClusteringError> {
        let rows = self.checked(rows)?;
        let mut best = self.run_from_seed(&rows, 0)?;
        for start in 1..self.params.n_init {
            let run = self.run_from_seed(&rows, start)?;
            if run.sum() < best.sum() {
                best = run;
            }
        }
        Ok(finished(&rows, best))
    }

    /// Clusters rows from given centroids (k, columns); `n_init` and `seed` do not
    /// matter.
    ///
    /// # Errors
    /// As [`fit`](Self::fit), for the rows and for the centroids, and centroids of another shape.
    pub fn fit_from(
        &self,
        rows: &dyn Vectors,
        initial: ArrayView2<'_, f32>,
    ) -> Result<KMeansFit, ClusteringError> {
        let rows = self.checked(rows)?;
        let (found, expected) = (initial.dim().into(), [self.params.k, rows.columns()]);
        if found != expected {
            return Err(ClusteringError::InitialShape { found, expected });
        }
        let start = rows.place(initial)?;
        let run = self.run(&rows, start)?;
        Ok(finished(&rows, run))
    }

    fn checked<'a>(&self, rows: &'a dyn Vectors) -> Result<Rows<'a>, ClusteringError> {
        let (k, count) = (self.params.k, rows.len());
        if k > count {
            return Err(ClusteringError::TooFewRows { k, rows: count });
        }
        Rows::new(rows, self.params.metric)
    }

    fn run_from_seed(&self, rows: &Rows<'_>, start: usize) -> Result<Run, ClusteringError> {
        let mut random = Random::keyed(self.params.seed, "k-means++", &start.to_string());
        self.run(rows, plus_plus(rows, self.params.k, &mut random)?)
    }

    fn run(&self, rows: &Rows<'_>, mut centroids: Array2<f32>) -> Result<Run, ClusteringError> {
        let tolerance = self.params.tolerance * rows.mean_variance;
        let mut labels = vec![0; rows.len()];
        let mut before = Vec::new();
        let (mut iterations, mut converged, mut labels_fit) = (0, false, false);
        while iterations < self.params.max_iter && !converged {
            iterations += 1;
            assign(rows, centroids.view(), &mut labels)?;
            if labels == before {
                // The centroids are the means of these very labels already.
                (converged, labels_fit) = (true, true);
            } else {
                let Update { centroids: new, movement, repaired } =
                    update(rows, centroids.view(), &labels)?;
                centroids = new;
                converged = movement <= tolerance && repaired == 0;
                before.clone_from(&labels);
            }
        }
        if !labels_fit {
            assign(rows, centroids.view(), &mut labels)?;
        }
        let squared_distances = own_distances(rows, centroids.view(), &labels)?;
        Ok(Run { labels, centroids, squared_distances, iterations, converged })
    }
}

fn finished(rows: &Rows<'_>, run: Run) -> KMeansFit {
    let sum = run.sum();
    // For unit vectors |x − c|² = 2 (1 − cos).
    let (distances, inertia) = match rows.metric {
        Metric::Euclidean => (run.squared_distances.iter().map(|d| d.sqrt() as f32).collect(), sum),
        Metric::Cosine => {
            (run.squared_distances.iter().map(|d| (d / 2.0) as f32).collect(), sum / 2.0)
        }
    };
    KMeansFit {
        labels: run.labels,
        centroids: rows.restore(run.centroids),
        distances,
        inertia,
        iterations: run.iterations,
        converged: run.converged,
    }
}
