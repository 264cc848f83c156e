//! scratch
#![allow(missing_docs, clippy::all, clippy::pedantic, clippy::unwrap_used)]
use tamis_dataset::*;
use tamis_finetune::*;
use tamis_model::*;
struct Print { best: f64, n: usize, every: usize, tok: usize, sec: f64, all: Vec<f64> }
impl Observer for Print {
    fn step(&mut self, r: &StepRecord) {
        self.n += 1; self.tok += r.tokens; self.sec += r.seconds; self.all.push(r.seconds);
        if self.n % self.every == 0 || self.n == 1 {
            println!("step {}/{} epoch {} loss {:.4} norm {:.3} lr {:.2e} micro {} {:.3}s  avg {:.0} tok/s", r.step, r.steps, r.epoch, r.loss, r.grad_norm, r.learning_rate, r.micro_batches, r.seconds, self.tok as f64 / self.sec);
        }
    }
}
fn cpu() -> f64 { let s = std::fs::read_to_string("/proc/self/stat").unwrap(); let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect(); (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0 }
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let (dir, file, from, n, epochs, batch, budget, lr, out) = (&a[1], &a[2], a[3].parse::<usize>().unwrap(), a[4].parse::<usize>().unwrap(), a[5].parse().unwrap(), a[6].parse().unwrap(), a[7].parse().unwrap(), a[8].parse().unwrap(), a.get(9));
    println!("{:?}", configure_threads(Some(2)));
    let mut model = load(dir, &LoadOptions { device: DeviceSpec::Cpu, ..Default::default() }).unwrap();
    let tok = TextTokenizer::from_dir(dir).unwrap();
    let enc = Encoder::new(tok, Template::Translation { target_language: "English".into() }, EncodeOptions::default()).unwrap();
    let ds = Dataset::open(file, &ReadOptions::default()).unwrap();
    let data: Vec<Encoded> = ds.read(from..from + n).unwrap().iter().filter_map(|s| enc.encode(s).unwrap().scored()).collect();
    println!("{} samples {} tokens {} targets, {} params", data.len(), data.iter().map(|d| d.len()).sum::<usize>(), data.iter().map(|d| d.targets()).sum::<usize>(), model.parameters().count());
    println!("{:?} {:?}", data[0].ids, data[0].supervised);
    let dump: Vec<(Vec<u32>, Vec<bool>)> = data.iter().map(|d| (d.ids.clone(), d.supervised.clone())).collect();
    std::fs::write("/opt/smoke-data.json", serde_json::to_vec(&(dump, epoch_order(data.len(), 0, 0))).unwrap()).unwrap();
    let t = TrainParams { epochs, learning_rate: lr, batch_size: batch, token_budget: budget, ..Default::default() }.check().unwrap();
    let mut p = Print { best: 0., n: 0, every: a.get(10).map_or(21, |x| x.parse().unwrap()), tok: 0, sec: 0., all: vec![] };
    let cpu0 = cpu(); let r = t.train(model.as_mut(), &data, &mut p).unwrap();
    let cpu1 = cpu(); println!("cpu/step {:.3}", (cpu1 - cpu0) / r.steps as f64);
    p.all.sort_by(f64::total_cmp); p.best = p.all[p.all.len() / 2];
    println!("{r:?}\nmedian step {:.4}s min {:.4}s, {:.0} tok/s", p.best, p.all[0], r.tokens as f64 / r.seconds);
    if let Some(out) = out { model.parameters().save_pretrained(dir, out).unwrap(); }
}
