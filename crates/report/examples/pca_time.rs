//! t
fn main() {
    for (n, d) in [(20_000usize, 1000usize), (100_000, 1000)] {
        let rows: Vec<f32> = (0..n * d)
            .map(|i| {
                let h = (i as u64).wrapping_mul(0x9E3779B97F4A7C15) >> 40;
                (h as f32) / 1.6e7 - 0.5 + if i % d == 3 { (i / d % 7) as f32 } else { 0.0 }
            })
            .collect();
        let t = std::time::Instant::now();
        let p = tamis_report::principal_plane(&rows, d).unwrap();
        println!("{n} {d} {:?} {:?}", t.elapsed(), p.explained);
    }
}
