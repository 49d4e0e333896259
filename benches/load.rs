//! What it costs to load a checkpoint: seconds, and the peak memory of the process compared with the file's size.
//!
//!     cargo bench -p r1flow-lm --bench load [-- GIB]          size of the file, 3 unless given
//!
//! Writes a model of random weights in single precision to a temporary folder, then loads it in separate processes,
//! first as it is and then as bf16. The time includes reading every loaded weight once. The file has just been written,
//! so it comes from the page cache if memory allows.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use lm::{Config, Device, Kind, Model, Options, Shape, memory};

const RUNS: usize = 5;
const GIB: f64 = 1_073_741_824.0;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if let [verb, dir, dtype] = arguments.as_slice()
        && verb == "load"
    {
        return load(Path::new(dir), if dtype == "bfloat16" { Kind::BFloat16 } else { Kind::Float });
    }
    let gib: f64 = arguments.first().map_or(Ok(3.0), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let program = std::env::current_exe()?;
    {
        let device = lm::setup(0, lm::Device::Cpu)?;
        Model::init(Config::new("llama", &shape(gib))?, 1, device).save(dir.path())?;
    }
    let size = std::fs::metadata(dir.path().join("model.safetensors"))?.len() as f64;
    say(&format!("a file of {:.2} GiB\n", size / GIB));
    say("| read as | seconds (min-max) | GiB/s | peak GiB | peak / file |\n|---|---|---|---|---|");
    for dtype in ["float32", "bfloat16"] {
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let output = Command::new(&program).arg("load").arg(dir.path()).arg(dtype).output()?;
            let text = String::from_utf8(output.stdout)?;
            let (seconds, peak) = text.trim().split_once(' ').ok_or("the load did not end well")?;
            runs.push((seconds.parse::<f64>()?, peak.parse::<f64>()?));
        }
        runs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ((low, _), (seconds, peak), (high, _)) = (runs[0], runs[RUNS / 2], runs[RUNS - 1]);
        say(&format!(
            "| {dtype} | {seconds:.2} ({low:.2}-{high:.2}) | {:.2} | {:.2} | {:.2} |",
            size / GIB / seconds,
            peak / GIB,
            peak / size
        ));
    }
    Ok(())
}

/// Loads a folder, and prints the seconds and the peak memory in bytes.
fn load(dir: &Path, dtype: Kind) -> Result<(), Box<dyn Error>> {
    let begin = Instant::now();
    let device = lm::setup(0, lm::Device::Cpu)?;
    let model = Model::load(dir, &Options { device, dtype })?;
    let sum: f64 = model.parameters().iter().map(|(_, weight)| weight.sum(Kind::Float).double_value(&[])).sum();
    if !sum.is_finite() {
        return Err("the weights are not those that were written".into());
    }
    say(&format!("{} {}", begin.elapsed().as_secs_f64(), memory::used(Device::Cpu)?.peak));
    Ok(())
}

/// Returns the shape of a model whose weights take about `gib` GiB in single precision.
fn shape(gib: f64) -> Shape {
    let (hidden_size, intermediate_size, vocab_size) = (2_048, 5_632, 16_384);
    let layer = 4 * hidden_size * hidden_size + 3 * hidden_size * intermediate_size;
    let layers = ((gib * GIB / 4.0 - (vocab_size * hidden_size) as f64) / layer as f64).round().max(1.0);
    Shape {
        vocab_size,
        hidden_size,
        intermediate_size,
        num_hidden_layers: layers as i64,
        num_attention_heads: 16,
        num_key_value_heads: 16,
        head_dim: None,
        rope_theta: 10_000.0,
        max_position_embeddings: 4_096,
        tie_word_embeddings: true,
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
