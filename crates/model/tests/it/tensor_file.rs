//! The one way tensors get into files.

use std::fs;

use tamis_model::{visit_bytes, write_tensors};
use tch::{Device, Kind, TchError, Tensor};

fn numbers(size: &[i64], kind: Kind) -> Tensor {
    let count = size.iter().product::<i64>();
    Tensor::arange(count, (Kind::Double, Device::Cpu)).sin().view(size).to_kind(kind)
}

#[test]
fn any_kinds_and_layouts_are_read_back_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mixed.safetensors");
    let written = [
        ("half", numbers(&[3], Kind::Half)),
        ("brain", numbers(&[5, 7], Kind::BFloat16)),
        ("double", numbers(&[2, 1, 4], Kind::Double)),
        // Longer than a piece.
        ("long", numbers(&[1 << 10, (1 << 10) + 3], Kind::Float)),
        ("turned", numbers(&[4, 6], Kind::Float).transpose(0, 1)),
        ("one", numbers(&[], Kind::Float)),
        ("none", numbers(&[0, 3], Kind::Float)),
    ];
    let clones = || written.iter().map(|(name, tensor)| (*name, tensor.shallow_clone()));
    write_tensors(&path, clones()).unwrap();

    let bytes = fs::read(&path).unwrap();
    let read = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(read.len(), written.len());
    for (name, tensor) in &written {
        let found = read.tensor(name).unwrap();
        let shape: Vec<usize> = tensor.size().into_iter().map(|side| side as usize).collect();
        assert_eq!(found.shape(), shape, "{name}");
        let mut expected = Vec::new();
        visit_bytes(tensor, |bytes| {
            expected.extend_from_slice(bytes);
            Ok::<_, TchError>(())
        })
        .unwrap();
        assert_eq!(found.data(), expected, "{name}");
        let width = tensor.kind().elt_size_in_bytes();
        let place = found.data().as_ptr() as usize - bytes.as_ptr() as usize;
        assert_eq!(place % width, 0, "{name} can be read in place");
    }
    for (name, tensor) in Tensor::read_safetensors(&path).unwrap() {
        let (_, expected) = written.iter().find(|(known, _)| *known == name).unwrap();
        assert!(tensor.kind() == expected.kind() && tensor.equal(expected), "{name}");
    }
    // The order in which they are given does not matter.
    let other = folder.path().join("other.safetensors");
    write_tensors(&other, clones().rev()).unwrap();
    assert_eq!(fs::read(&other).unwrap(), bytes);
}

#[test]
fn what_cannot_be_written_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let one = || numbers(&[2], Kind::Float);
    write_tensors(&path, [("a", one())]).unwrap();
    let before = fs::read(&path).unwrap();
    let whole = write_tensors(&path, [("a", Tensor::from_slice(&[1_i64]))]).unwrap_err();
    assert!(whole.to_string().contains("Int64"), "{whole}");
    assert_eq!(fs::read(&path).unwrap(), before);
    let absent = folder.path().join("absent/weights.safetensors");
    let problem = write_tensors(&absent, [("a", one())]).unwrap_err();
    assert!(problem.to_string().contains("weights.safetensors"), "{problem}");
}
