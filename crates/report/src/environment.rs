//! Where a program ran, and how much memory it took.

use serde::{Deserialize, Serialize};

use crate::Ordered;

/// The machine and the software of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Operating system, such as `linux`.
    pub os: String,
    /// Processor architecture, such as `x86_64`.
    pub arch: String,
    /// Processors this process may use.
    pub cpus: usize,
    /// Threads that computed, if the program says.
    pub threads: Option<usize>,
    /// Device of the model, such as `cpu` or `cuda:0`, if the program says.
    pub device: Option<String>,
    /// Versions of what decides the numbers: `LibTorch`, the compiler, this workspace, ...
    pub versions: Ordered<String>,
}

impl Environment {
    /// What the standard library knows; threads, device and versions are the program's to add.
    pub fn detect() -> Self {
        Self {
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            threads: None,
            device: None,
            versions: Ordered::new(),
        }
    }
}

/// Largest resident memory of this process so far, in bytes; `None` where the system does not tell
/// (it is read from `/proc/self/status`, which Linux has).
pub fn peak_memory_bytes() -> Option<u64> {
    parse_peak(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line reads `VmHWM:    12345 kB`, where kB means 1024 bytes.
fn parse_peak(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::parse_peak;

    #[test]
    fn reads_the_high_water_mark_only() {
        let status = "Name:\tgdig\nVmPeak:\t  99 kB\nVmHWM:\t   1234 kB\nVmRSS:\t  7 kB\n";
        assert_eq!(parse_peak(status), Some(1234 * 1024));
        assert_eq!(parse_peak("VmRSS:\t 7 kB\n"), None);
        assert_eq!(parse_peak("VmHWM:\t many kB\n"), None);
    }
}
