//! How many threads compute.

use crate::ModelError;

/// What rayon reads the size of its pool from, where a program does not say it.
const VARIABLE: &str = "RAYON_NUM_THREADS";

/// What holds after [`configure_threads`], read back from those who start the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Threads {
    /// Threads that one LibTorch operation may use, and threads of rayon's pool, on which everything
    /// else runs that is spread over cores: tokenising, clustering, k-center, metrics.
    pub count: usize,
    /// Whether idle OpenMP threads sleep instead of spinning (`OMP_WAIT_POLICY=passive`). Spinning
    /// threads make small matrix work many times slower on a shared machine; the variable is read
    /// when LibTorch is loaded, so only the caller's shell, or `.cargo/config.toml`, can set it.
    pub sleep_when_idle: bool,
}

/// Sets how many threads compute, in LibTorch and in rayon's pool of this process: `count`; else
/// `RAYON_NUM_THREADS`; else as many as the process may run on.
///
/// A program calls it once, before anything else. The pool's size is final: a later call with another
/// number is an error and changes nothing.
///
/// # Errors
/// [`ModelError::Threads`] where the pool is there already with another number of threads, or cannot be
/// made; [`ModelError::Option`] for a variable that is no number above 0.
pub fn configure_threads(count: Option<usize>) -> Result<Threads, ModelError> {
    let count = match count {
        Some(count) => count.max(1),
        None => from_environment()?
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
    };
    let failed = |problem: String| ModelError::Threads { count, problem };
    let made = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
    // Makes the pool if that failed for another reason than that there is one.
    let pool = rayon::current_num_threads();
    if pool != count {
        let problem = match made {
            Err(error) => format!("{error} (it has {pool} threads)"),
            Ok(()) => format!("rayon's pool has {pool}"),
        };
        return Err(failed(problem));
    }
    tch::set_num_threads(i32::try_from(count).unwrap_or(i32::MAX));
    let torch = tch::get_num_threads();
    if usize::try_from(torch).ok() != Some(count) {
        return Err(failed(format!("LibTorch uses {torch}")));
    }
    let policy = std::env::var("OMP_WAIT_POLICY").unwrap_or_default();
    Ok(Threads { count, sleep_when_idle: policy.eq_ignore_ascii_case("passive") })
}

/// The variable, unless it is not there or empty; 0 means that it says nothing, as for rayon.
fn from_environment() -> Result<Option<usize>, ModelError> {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<usize>() {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(_) => Err(ModelError::Option {
            what: "number of threads in RAYON_NUM_THREADS",
            found: text,
            expected: "a whole number",
        }),
    }
}
