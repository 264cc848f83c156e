//! Benchmarks of the tamis libraries; see `benches/`.
