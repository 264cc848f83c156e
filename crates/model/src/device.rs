//! The one place that loads LibTorch's CUDA half at run time.
//!
//! A program links `libtorch_cpu.so` and `libc10.so` only: the linker drops `libtorch_cuda.so`
//! because no symbol of it is named. So one binary runs on machines with and without a GPU, and
//! CUDA appears when [`load_cuda`] opens the library, whose start-up code registers its kernels.
#![allow(unsafe_code)] // dlopen runs foreign start-up code

use std::{path::PathBuf, sync::OnceLock};

/// Loads LibTorch's CUDA kernels, once per process, and counts the CUDA devices.
///
/// Must happen before the first CUDA call; [`DeviceSpec::resolve`](crate::DeviceSpec::resolve) and
/// so [`load`](crate::load) see to that. Without an NVIDIA driver it returns at once, so asking is
/// cheap on a machine without a GPU.
///
/// # Errors
/// The reason why CUDA cannot be used, as half a sentence.
pub fn load_cuda() -> Result<usize, String> {
    static CUDA: OnceLock<Result<usize, String>> = OnceLock::new();
    CUDA.get_or_init(|| {
        if !tch::Cuda::is_available() {
            open_libraries()?;
        }
        match tch::Cuda::device_count() {
            count if count > 0 => Ok(count as usize),
            _ => Err("LibTorch sees no CUDA device (is the driver new enough?)".to_owned()),
        }
    })
    .clone()
}

/// Opens `libtorch_cuda.so` beside the `libtorch_cpu.so` in use.
#[cfg(target_os = "linux")]
fn open_libraries() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

    // SAFETY: the driver's library is made to be opened by anyone; its start-up code touches
    // nothing of ours.
    if let Err(problem) = unsafe { Library::new("libcuda.so.1") } {
        return Err(format!("there is no NVIDIA driver ({problem})"));
    }
    let library = torch_folder()
        .ok_or("libtorch_cpu.so is not among the loaded libraries")?
        .join("libtorch_cuda.so");
    if !library.exists() {
        return Err(format!("{} does not exist (a CPU-only LibTorch)", library.display()));
    }
    // SAFETY: this is the other half of the LibTorch that is already loaded, from the same folder
    // and so of the same version. Its start-up code registers kernels in LibTorch's own tables.
    // Global symbols, because LibTorch's later libraries (linear algebra, NCCL) look them up.
    let cuda = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) }
        .map_err(|problem| format!("{} cannot be loaded: {problem}", library.display()))?;
    // Registered kernels point into the library: it must stay until the process ends.
    std::mem::forget(cuda);
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn open_libraries() -> Result<(), String> {
    Err("loading CUDA at run time works on Linux only".to_owned())
}

/// The folder of the `libtorch_cpu.so` that this process runs.
#[cfg(target_os = "linux")]
fn torch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.ends_with("/libtorch_cpu.so"))?;
    let path = PathBuf::from(&line[line.find('/')?..]);
    Some(path.parent()?.to_owned())
}
