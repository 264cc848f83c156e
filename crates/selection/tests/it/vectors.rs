//! Tests of tamis-selection.

use proptest::prelude::*;
use tamis_selection::vectors::ndarray::{Array2, s};
use tamis_selection::vectors::{NoSuchRow, Subset, Vectors};

/// A matrix of whole numbers, and positions of its rows.
fn matrix_and_positions() -> impl Strategy<Value = (Array2<f32>, Vec<usize>)> {
    (1usize..12, 1usize..5).prop_flat_map(|(rows, width)| {
        let matrix = Array2::from_shape_fn((rows, width), |(r, c)| (r * 10 + c) as f32);
        (Just(matrix), prop::collection::vec(0..rows, 1..20))
    })
}

proptest! {
    #[test]
    fn every_block_of_a_subset_is_its_rows((matrix, positions) in matrix_and_positions()) {
        // Lent, copied because they do not lie row by row, and seen through a reference.
        let columns = matrix.t().as_standard_layout().into_owned();
        let turned = columns.t();
        let sources: [&dyn Vectors; 4] = [&matrix, &matrix.view(), &turned, &&matrix];
        for source in sources {
            prop_assert_eq!([source.len(), source.width()], matrix.shape());
            let some = Subset::new(source, &positions).unwrap();
            prop_assert_eq!([some.len(), some.width()], [positions.len(), matrix.ncols()]);
            for first in 0..positions.len() {
                for count in 0..=positions.len() - first {
                    let expected: Vec<f32> = positions[first..first + count]
                        .iter()
                        .flat_map(|&row| matrix.row(row).to_vec())
                        .collect();
                    let mut scratch = vec![7.0; 3];
                    prop_assert_eq!(some.block(first, count, &mut scratch).unwrap(), expected);
                }
            }
        }
    }
}

#[test]
fn rows_in_order_are_lent() {
    let matrix = Array2::from_shape_fn((6, 2), |(r, c)| (r * 10 + c) as f32);
    let mut scratch = Vec::new();
    let some = Subset::new(&matrix, &[5, 2, 3, 4]).unwrap();
    assert_eq!(
        some.block(1, 3, &mut scratch).unwrap(),
        matrix.slice(s![2..5, ..]).as_slice().unwrap()
    );
    assert_eq!(scratch.capacity(), 0);
    assert!(!some.is_empty() && Subset::new(&matrix, &[]).unwrap().is_empty());
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let matrix = Array2::<f32>::zeros((3, 2));
    let error = Subset::new(&matrix, &[1, 3]).unwrap_err();
    assert_eq!(error, NoSuchRow { row: 3, rows: 3 });
    assert_eq!(error.to_string(), "row 3 is asked for, but there are only 3 rows");
}
