//! What a stage will need, said before it starts.

use std::fmt;

use serde::{Serialize, Serializer};

/// Work, memory, disk and time that a stage will take, by their parts.
///
/// ```
/// use tamis_artifact::Estimate;
///
/// let needs = Estimate::new().memory("weights", 512 << 20).memory("rows", 1 << 20).disk("rows", 3 << 20);
/// assert_eq!(needs.to_string(), "about 513.0 MiB of memory (weights 512.0 MiB, rows 1.0 MiB) and 3.0 MiB of disk");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    counts: Vec<Count>,
    /// Floating-point operations, if they were counted.
    flops: Option<f64>,
    memory: Vec<Part>,
    disk: Vec<Part>,
    /// Seconds, if something was timed.
    seconds: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Count {
    name: &'static str,
    count: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Part {
    name: &'static str,
    bytes: Bytes,
}

impl Estimate {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says how many of something there will be: rows, tokens to read.
    #[must_use]
    pub fn count(mut self, name: &'static str, count: f64) -> Self {
        self.counts.push(Count { name, count });
        self
    }

    /// Says how many floating-point operations it will take.
    #[must_use]
    pub fn flops(self, flops: f64) -> Self {
        Self { flops: Some(flops), ..self }
    }

    /// Adds a part of the memory.
    #[must_use]
    pub fn memory(mut self, name: &'static str, bytes: u64) -> Self {
        self.memory.push(Part { name, bytes: Bytes(bytes) });
        self
    }

    /// Adds a part of the disk.
    #[must_use]
    pub fn disk(mut self, name: &'static str, bytes: u64) -> Self {
        self.disk.push(Part { name, bytes: Bytes(bytes) });
        self
    }

    /// Says how long it will take.
    #[must_use]
    pub fn seconds(mut self, seconds: f64) -> Self {
        self.seconds = Some(seconds);
        self
    }

    /// How many of something there will be.
    pub fn total(&self, name: &str) -> Option<f64> {
        self.counts.iter().find(|count| count.name == name).map(|count| count.count)
    }

    /// Floating-point operations, if they were counted.
    pub fn total_flops(&self) -> Option<f64> {
        self.flops
    }

    /// All of the memory.
    pub fn total_memory(&self) -> Bytes {
        total(&self.memory)
    }

    /// All of the disk.
    pub fn total_disk(&self) -> Bytes {
        total(&self.disk)
    }

    /// The time, if it was told.
    pub fn total_seconds(&self) -> Option<f64> {
        self.seconds
    }

    /// A part of memory or disk by its name.
    pub fn part(&self, name: &str) -> Option<Bytes> {
        self.memory.iter().chain(&self.disk).find(|part| part.name == name).map(|part| part.bytes)
    }
}

fn total(parts: &[Part]) -> Bytes {
    Bytes(parts.iter().map(|part| part.bytes.0).sum())
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for count in &self.counts {
            write!(f, "{:.0} {}, ", count.count, count.name)?;
        }
        if let Some(flops) = self.flops {
            write!(f, "{:.2} TFLOP, ", flops / 1e12)?;
        }
        write!(f, "about {} of memory", self.total_memory())?;
        if self.memory.len() > 1 {
            let parts: Vec<String> =
                self.memory.iter().map(|part| format!("{} {}", part.name, part.bytes)).collect();
            write!(f, " ({})", parts.join(", "))?;
        }
        if !self.disk.is_empty() {
            write!(f, " and {} of disk", self.total_disk())?;
        }
        match self.seconds {
            Some(seconds) if seconds >= 5400.0 => write!(f, ", about {:.1} h", seconds / 3600.0),
            Some(seconds) if seconds >= 90.0 => write!(f, ", about {:.0} min", seconds / 60.0),
            Some(seconds) => write!(f, ", about {seconds:.0} s"),
            None => Ok(()),
        }
    }
}

/// Bytes, printed in binary units: `14.0 KiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64;
        for unit in ["B", "KiB", "MiB", "GiB"] {
            if value < 1024.0 {
                return write!(f, "{value:.1} {unit}");
            }
            value /= 1024.0;
        }
        write!(f, "{value:.1} TiB")
    }
}
