//! Representatives of a pool.

use tamis_clustering::KMeansParams;
use tamis_nuggets::{NuggetsError, representatives};
use tamis_selection::vectors::ndarray::{Array2, array};

#[test]
fn each_cluster_has_its_nearest_row() {
    // Centres at (1, 0), (10, 5) and (0, 20).
    let rows = array![
        [0.0f32, 0.0],
        [10.0, 5.0],
        [2.0, 0.0],
        [0.0, 21.0],
        [1.0, 0.1],
        [1.0, -0.1],
        [9.0, 5.0],
        [11.0, 5.0],
        [0.0, 19.5],
        [0.0, 19.5]
    ];
    let kmeans = KMeansParams { k: 3, n_init: 5, ..KMeansParams::default() }.check().unwrap();
    // Of two rows equally near, the first.
    assert_eq!(representatives(&rows, &kmeans).unwrap(), [1, 4, 8]);
}

#[test]
fn representatives_are_different_rows() {
    let rows = Array2::from_shape_fn((200, 5), |(row, column)| {
        ((row * 31 + column * 17 + row * row) % 97) as f32
    });
    let kmeans = KMeansParams { k: 40, ..KMeansParams::default() }.check().unwrap();
    let chosen = representatives(&rows, &kmeans).unwrap();
    assert_eq!(chosen.len(), 40);
    assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]));

    let same = Array2::<f32>::ones((10, 2));
    let kmeans = KMeansParams { k: 3, ..KMeansParams::default() }.check().unwrap();
    let error = representatives(&same, &kmeans).unwrap_err();
    assert!(matches!(error, NuggetsError::Representatives { asked: 3, rows: 10, .. }), "{error}");
}
