//! What it costs to tokenise a data set and to train on it: tokens a second beside the `tokenizers` crate, and memory.
//!
//!     cargo bench -p r1flow-stages --bench rows -- FOLDER [ROWS [WORDS]]
//!
//! FOLDER has a model's `tokenizer.json` and `tokenizer_config.json`. Made-up rows of WORDS (480: a thousand tokens)
//! are written to a file. In turns, `sft` tokenises some of them (reading, templates and writing included), and
//! `encode_batch` of the crate encodes the same texts, which it holds in memory, on as many threads. Then `sft`
//! tokenises all ROWS (20,000 unless given) and trains some steps, and its memory is looked at meanwhile. Each is a
//! process of its own.

mod stage;

use std::collections::BTreeMap;
use std::error::Error;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use engine::artifact::ArtifactType;
use engine::worker::protocol::FromWorker;
use lm::{Config, Device, Model, Shape};
use serde_json::{Value, json};
use stage::input;

type Failure = Box<dyn Error + Send + Sync>;

const TURNS: usize = 3;
/// Rows that are compared with the crate.
const COMPARED: usize = 2_000;
const ROWS: usize = 20_000;
const WORDS: usize = 480;
const STEPS: u64 = 3;
const MIB: f64 = 1_048_576.0;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["stage", dir, rows, steps] => stage(Path::new(dir), rows.parse()?, steps.parse()?),
        ["crate", dir, rows] => encode(Path::new(dir), rows.parse()?),
        [folder] => compare(Path::new(folder), ROWS, WORDS),
        [folder, rows] => compare(Path::new(folder), rows.parse()?, WORDS),
        [folder, rows, words] => compare(Path::new(folder), rows.parse()?, words.parse()?),
        _ => Err("name a folder with tokenizer.json and tokenizer_config.json".into()),
    }
}

fn compare(folder: &Path, rows: usize, words: usize) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    make_model(folder, &dir.path().join("model"))?;
    let size = make_rows(&dir.path().join("data.jsonl"), rows.max(COMPARED), words)?;
    say(&format!("{rows} rows, {:.0} MiB of JSON lines, {} threads", size as f64 / MIB, threads()));
    let mut rates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..TURNS {
        for side in ["stage", "crate"] {
            let mut arguments = vec![side.to_owned(), dir.path().display().to_string(), COMPARED.to_string()];
            arguments.extend((side == "stage").then(|| "1".to_owned()));
            let ([tokens, seconds, _], _) = child(&arguments)?;
            rates.entry(side).or_default().push(tokens / seconds);
        }
    }
    let mut median = |side: &str| {
        let rates = rates.get_mut(side).expect("it had its turns");
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let (ours, theirs) = (median("stage"), median("crate"));
    say(&format!("sft {ours:.0} tokens/s, encode_batch {theirs:.0} tokens/s, ratio {:.2}", ours / theirs));
    let arguments = ["stage".to_owned(), dir.path().display().to_string(), rows.to_string(), STEPS.to_string()];
    let ([tokens, seconds, held], peak) = child(&arguments)?;
    say(&format!(
        "{rows} rows of {:.0} tokens in {seconds:.0} s ({:.0} tokens/s): {held:.0} MiB with the model before the first step; \
         then {STEPS} steps: peak {:.0} MiB, at most {:.0} MiB anonymous and {:.0} MiB of files",
        tokens / rows as f64,
        tokens / seconds,
        peak[0] / 1_024.0,
        peak[1] / 1_024.0,
        peak[2] / 1_024.0
    ));
    Ok(())
}

/// Runs this program with arguments. Returns the three numbers that it prints, and the most KiB that it held: all,
/// anonymous, and of files.
fn child(arguments: &[String]) -> Result<([f64; 3], [f64; 3]), Failure> {
    let mut child = Command::new(std::env::current_exe()?).args(arguments).stdout(Stdio::piped()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let out = child.stdout.take().ok_or("it has a pipe")?;
    let said = std::thread::spawn(move || BufReader::new(out).lines().map_while(Result::ok).last());
    let mut peak = [0.0; 3];
    while child.try_wait()?.is_none() {
        let text = fs_err::read_to_string(&status).unwrap_or_default();
        for (at, name) in ["VmHWM:", "RssAnon:", "RssFile:"].into_iter().enumerate() {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
            let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap_or(0.0);
            peak[at] = f64::max(peak[at], kib);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let said = said.join().map_err(|_| "its output could not be read")?.ok_or("it said nothing")?;
    let numbers = said.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    Ok((numbers.try_into().map_err(|_| said)?, peak))
}

/// Runs an attempt at `sft`, and prints the tokens of its rows, the seconds that they took, and the MiB that it held
/// before its first step.
fn stage(dir: &Path, rows: usize, steps: u64) -> Result<(), Failure> {
    let attempt = tempfile::tempdir_in(dir)?;
    let model = input("inputs.model", ArtifactType::Model, &dir.join("model"), &json!({}));
    let data = input("inputs.data", ArtifactType::Samples, &dir.join("data.jsonl"), &json!({ "limit": rows }));
    let config = json!({ "model": model, "data": [data], "steps": steps, "batch-size": 4, "micro-batch-tokens": 256 });
    let lines = fs_err::File::create(attempt.path().join("lines"))?;
    stage::run("sft", attempt.path(), &config, threads(), Box::new(lines))?;
    let lines = fs_err::read_to_string(attempt.path().join("lines"))?;
    let notes = lines.lines().filter_map(|line| match serde_json::from_str(line) {
        Ok(FromWorker::Note { message, .. }) => Some(message),
        _ => None,
    });
    let words: Vec<String> = notes.flat_map(|note| note.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    let beside = |word: &str, offset: isize| -> Result<&str, Failure> {
        let at = words.iter().position(|other| other == word).ok_or_else(|| format!("it does not say `{word}`"))?;
        Ok(words.get(at.wrapping_add_signed(offset)).ok_or("its notes have changed")?)
    };
    say(&format!("{} {} {}", beside("tokens;", -1)?, beside("s", -1)?, beside("data", 1)?));
    Ok(())
}

/// Encodes prompts and completions with the crate, and prints the tokens and the seconds that this took.
fn encode(dir: &Path, rows: usize) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new().num_threads(threads()).build_global()?;
    let text = fs_err::read_to_string(dir.join("model/tokenizer.json"))?;
    let tokenizer = tokenizers::Tokenizer::from_str(&text)?;
    let mut texts = Vec::new();
    for line in BufReader::new(fs_err::File::open(dir.join("data.jsonl"))?).lines().take(rows) {
        let row: Value = serde_json::from_str(&line?)?;
        texts.extend(["prompt", "completion"].map(|key| row[key].as_str().unwrap_or_default().to_owned()));
    }
    let begin = Instant::now();
    let mut tokens = 0;
    for batch in texts.chunks(8_192) {
        let encoded = tokenizer.encode_batch_fast(batch.to_vec(), false)?;
        tokens += encoded.iter().map(|encoding| encoding.get_ids().len()).sum::<usize>();
    }
    say(&format!("{tokens} {} 0", begin.elapsed().as_secs_f64()));
    Ok(())
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Writes an untrained model of few weights with the tokenizer of `folder`.
fn make_model(folder: &Path, dir: &Path) -> Result<(), Failure> {
    let chat = text::Chat::load(folder)?;
    let shape = Shape {
        vocab_size: chat.tokenizer.last_id() + 1,
        hidden_size: 32,
        intermediate_size: 64,
        num_hidden_layers: 1,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: None,
        rope_theta: 10_000.0,
        max_position_embeddings: 4_096,
        tie_word_embeddings: true,
    };
    let device = lm::setup(0, Device::Cpu)?;
    Model::init(Config::new("llama", &shape)?, 1, device).save(dir)?;
    Ok(chat.save(dir)?)
}

/// Writes made-up rows: sentences of made-up words, frequent ones often, with numbers between them. Returns the bytes.
fn make_rows(path: &Path, rows: usize, count: usize) -> Result<u64, Failure> {
    let mut random = Random(1);
    let syllables =
        ["ta", "ing", "ver", "son", "re", "pre", "al", "con", "der", "est", "ion", "ness", "st", "a", "the", "or"];
    let word = |random: &mut Random| -> String {
        let length = 1 + random.below(3);
        (0..length).map(|_| syllables[random.below(syllables.len())]).collect()
    };
    let words: Vec<String> = (0..5_000).map(|_| word(&mut random)).collect();
    let mut sentence = |count: usize| {
        let mut text = String::new();
        for at in 0..count {
            let rank = random.below(words.len()) * random.below(words.len()) / words.len();
            text += &words[rank];
            if at % 12 == 11 {
                text.extend([" = ", &random.below(10_000).to_string(), ".\n"]);
            } else {
                text.push(' ');
            }
        }
        text
    };
    let mut out = BufWriter::new(fs_err::File::create(path)?);
    for _ in 0..rows {
        let (question, answer) = (sentence(count / 8), sentence(count / 24));
        let thought = sentence(count - count / 8 - count / 24);
        let row = json!({ "prompt": question, "completion": format!("<think>\n{thought}</think>{answer}") });
        writeln!(out, "{row}")?;
    }
    out.flush()?;
    Ok(fs_err::metadata(path)?.len())
}

/// A generator of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
