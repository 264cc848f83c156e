//! `.safetensors`: one tensor of a file.

use std::ops::Range;
use std::path::Path;

use memmap2::Mmap;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::EmbeddingsError;
use crate::convert::Number;
use crate::embeddings::Found;
use crate::mapped::map;
use crate::piece::Piece;

const KIND: &str = ".safetensors";

pub(crate) fn read(path: &Path, name: Option<&str>) -> Result<Found, EmbeddingsError> {
    let map = map(path)?;
    let file = SafeTensors::deserialize(&map)
        .map_err(|error| EmbeddingsError::damaged(path, KIND, error.to_string()))?;
    let (name, tensor) = find(path, &file, name)?;
    let number = number(tensor.dtype()).ok_or_else(|| EmbeddingsError::Dtype {
        path: path.to_owned(),
        what: format!("tensor `{name}`"),
        found: format!("{:?}", tensor.dtype()),
        expected: "F32, F16, BF16 or F64",
    })?;
    let &[_, columns] = tensor.shape() else {
        return Err(EmbeddingsError::Shape {
            path: path.to_owned(),
            what: format!("tensor `{name}`"),
            found: tensor.shape().to_vec(),
        });
    };
    let bytes = place(&map, &tensor);
    Ok(Found { columns, pieces: vec![Piece::of(map, bytes, number)], ..Found::default() })
}

/// Where in the file a tensor's numbers are.
pub(crate) fn place(map: &Mmap, tensor: &TensorView<'_>) -> Range<usize> {
    let start = tensor.data().as_ptr() as usize - map.as_ptr() as usize;
    start..start + tensor.data().len()
}

/// The tensor of that name, or the only one that may hold embeddings.
fn find<'a>(
    path: &Path,
    file: &SafeTensors<'a>,
    name: Option<&str>,
) -> Result<(String, TensorView<'a>), EmbeddingsError> {
    let mut all: Vec<(String, TensorView<'a>)> = file.tensors();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let fits = |view: &TensorView<'_>| view.shape().len() == 2 && number(view.dtype()).is_some();
    let found = all
        .iter()
        .map(|(name, view)| format!("`{name}` {:?} {:?}", view.dtype(), view.shape()))
        .collect::<Vec<_>>();
    let wanted =
        |(own, view): &(String, TensorView<'a>)| name.map_or(fits(view), |name| own == name);
    let mut fitting: Vec<_> = all.into_iter().filter(wanted).collect();
    let problem = match (name, fitting.len()) {
        (_, 1) => return Ok(fitting.swap_remove(0)),
        (Some(name), _) => format!("there is no tensor `{name}`"),
        (None, 0) => "there is no tensor of two dimensions with floating-point numbers".to_owned(),
        (None, many) => format!("{many} tensors may be the embeddings, name the one"),
    };
    let found = if found.is_empty() { "no tensors".to_owned() } else { found.join(", ") };
    Err(EmbeddingsError::Choice { path: path.to_owned(), problem, found })
}

fn number(dtype: Dtype) -> Option<Number> {
    match dtype {
        Dtype::F16 => Some(Number::F16),
        Dtype::BF16 => Some(Number::Bf16),
        Dtype::F32 => Some(Number::F32),
        Dtype::F64 => Some(Number::F64),
        _ => None,
    }
}
