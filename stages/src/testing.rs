//! Helpers for tests of stages: inputs from files, a tiny random model, attempts in their own folder.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use engine::artifact::Artifact;
use engine::event::Level;
use engine::placement::Placement;
use engine::stage::{Context, Input, Outcome, Stage, StageError, kind};
use engine::worker::protocol::{FromWorker, InputArtifact, Machine, PROTOCOL, Resume, RunRequest};
use serde_json::{Value, json};

use crate::artifacts::PromptRow;
use crate::grading::{Answer, Form, Grade, Grader};
use crate::loading::Loading;

/// Returns a resolved reference to `path`.
pub(crate) fn artifact<A: Artifact>(name: &str, path: &Path, import: Value) -> InputArtifact {
    InputArtifact {
        name: name.to_owned(),
        artifact: A::TYPE,
        digest: format!("b3:{}", blake3::hash(name.as_bytes())),
        path: path.to_owned(),
        import: import.as_object().expect("import keys are a table").clone(),
    }
}

/// Returns an input that reads `path`.
pub(crate) fn input<A: Artifact>(name: &str, path: &Path, import: Value) -> Input<A> {
    Input::new(artifact::<A>(name, path, import))
}

/// Returns the reference to `path` as a stage's resolved keys contain it.
pub(crate) fn reference<A: Artifact>(name: &str, path: &Path) -> Value {
    serde_json::to_value(artifact::<A>(name, path, json!({}))).expect("it is plain data")
}

/// Returns a folder that has these rows in the file `data.jsonl`.
pub(crate) fn data_folder(rows: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let text = rows.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    fs_err::write(folder.path().join("data.jsonl"), text).expect("it can be written");
    folder
}

/// Returns what rewards and verifiers are loaded with on a CPU.
pub(crate) fn loading(folder: &Path) -> Loading<'_> {
    Loading { folder, ..Loading::alone(1) }
}

/// Returns the grade of a completion that ended by itself.
pub(crate) fn graded(prompt: &PromptRow, completion: &str) -> Grade {
    let grader = well(Grader::load([prompt], Form::Tags, &loading(Path::new("."))));
    well(grader.grade(&[Answer { prompt, completion, finished: true }])).remove(0)
}

/// Returns the message of an error, and fails where there is none.
pub(crate) fn message<T>(result: Result<T, StageError>) -> String {
    match result {
        Ok(_) => panic!("it went well"),
        Err(error) => error.message,
    }
}

/// Returns the value, and panics with the message of an error.
pub(crate) fn well<T>(result: Result<T, StageError>) -> T {
    result.unwrap_or_else(|error| panic!("{}", error.message))
}

/// Writes an untrained language model of a few thousand weights into `dir`, with one token for each character.
pub(crate) fn tiny_model(dir: &Path) -> lm::Model {
    tiny_model_of("qwen2", 1, dir)
}

/// Like [`tiny_model`], for any architecture and number of layers.
pub(crate) fn tiny_model_of(model_type: &str, num_layers: i64, dir: &Path) -> lm::Model {
    let specials = ["<pad>", "<eos>", "<think>", "</think>", "<answer>", "</answer>"].map(str::to_owned);
    let alphabet = "0123456789+-=,.?!\n abcdefghijklmnopqrstuvwxyz得";
    let tokenizer = text::char_level(std::iter::once(alphabet), &specials).expect("the alphabet is plain");
    let special = text::SpecialTokens { bos: None, eos: "<eos>".to_owned(), pad: "<pad>".to_owned() };
    let template = "{% for message in messages %}{{ message.content + '\n' }}{% endfor %}";
    let chat = text::Chat::new(tokenizer, Some(template), special).expect("the template is plain");
    let shape = lm::Shape {
        vocab_size: chat.tokenizer.vocab_size() as i64,
        hidden_size: 16,
        intermediate_size: 32,
        num_hidden_layers: num_layers,
        num_attention_heads: 2,
        num_key_value_heads: 2,
        head_dim: None,
        rope_theta: 100.0,
        max_position_embeddings: 256,
        tie_word_embeddings: true,
    };
    let mut config = lm::Config::new(model_type, &shape).expect("the shape fits");
    config.set_special_tokens(&[chat.eos], Some(chat.pad));
    let model = lm::Model::init(config, 7, tch::Device::Cpu);
    model.save(dir).expect("the folder can be written");
    chat.save(dir).expect("the folder can be written");
    model
}

/// Perturbations of a model's weights: none, then three of up to a millionth, some ten times the rounding of float32.
///
/// Golden losses and rewards must hold for all four. They then also hold on a processor that adds in another order, and
/// a test that rounding could change, for example by another sampled token, fails here first. Bounds are ten times the
/// worst difference of all four under seven settings of libtorch, oneDNN and MKL: 2e-6, or 2e-5 for on-policy students,
/// whose teacher has had forty steps of training.
pub(crate) const NOISES: [u64; 4] = [0, 1, 2, 3];

/// Applies one of [`NOISES`] to the weights of the model in `dir`.
pub(crate) fn shake(dir: &Path, noise: u64) {
    let model = lm::Model::load(dir, &lm::Options::default()).expect("a model's folder");
    let amount = if noise == 0 { 0.0 } else { 1e-6 };
    let _guard = lm::no_grad_guard();
    for (index, (_, weight)) in model.parameters().iter().enumerate() {
        let phase = (noise * 1000 + index as u64) as f64;
        let wave = (lm::Tensor::arange(weight.numel() as i64, (lm::Kind::Double, lm::Device::Cpu)) * 1.7 + phase).sin();
        let noisy = weight.to_kind(lm::Kind::Double) * (wave.view_as(weight) * amount + 1.0);
        weight.shallow_clone().copy_(&noisy);
    }
    model.save(dir).expect("the folder can be written");
}

/// Writes a reward model that gives every completion the same score into `dir`.
pub(crate) fn tiny_reward_model(dir: &Path) {
    let model = lm::RewardModel::init_from(&tiny_model(dir));
    model.save(dir, 0).expect("the folder can be written");
}

/// One attempt at a stage, in this process; only its folder is on disk.
pub(crate) struct Attempt {
    pub(crate) ctx: Context,
    lines: Arc<Mutex<Vec<u8>>>,
    dir: PathBuf,
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no holder panics").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn request<S: Stage>(dir: &Path, config: &Value, resume: Option<Resume>, rows: Vec<PathBuf>) -> RunRequest {
    RunRequest {
        protocol: PROTOCOL,
        kind: S::KIND.to_owned(),
        version: S::VERSION,
        stage: "tested".to_owned(),
        dir: dir.to_owned(),
        config: config.as_object().expect("keys are a table").clone(),
        machine: Machine {
            threads: 1,
            placement: Placement::default(),
            checkpoint_seconds: 1e9,
            checkpoint_steps: None,
            checkpoint_at: Vec::new(),
            silence_seconds: 60.0,
        },
        resume,
        rows,
        growing: None,
    }
}

impl Attempt {
    /// Makes an attempt in `dir` with the keys `config`; `resume` is the checkpoint to start from.
    pub(crate) fn new<S: Stage>(dir: &Path, config: &Value, resume: Option<Resume>) -> Self {
        Self::with_rows::<S>(dir, config, resume, Vec::new())
    }

    /// Like [`new`](Attempt::new), with folders of kept rows.
    pub(crate) fn with_rows<S: Stage>(dir: &Path, config: &Value, resume: Option<Resume>, rows: Vec<PathBuf>) -> Self {
        fs_err::create_dir_all(dir).expect("the folder can be made");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let request = request::<S>(dir, config, resume, rows);
        let ctx = Context::new(request, Box::new(Lines(Arc::clone(&lines))));
        Self { ctx, lines, dir: dir.to_owned() }
    }

    /// Returns what the stage gets, with this number of threads.
    pub(crate) fn context_of<S: Stage>(dir: &Path, threads: usize) -> Context {
        fs_err::create_dir_all(dir).expect("the folder can be made");
        let mut request = request::<S>(dir, &json!({}), None, Vec::new());
        request.machine.threads = threads;
        Context::new(request, Box::new(std::io::sink()))
    }

    /// Runs the stage.
    pub(crate) fn run<S: Stage>(&self) -> Result<Outcome, StageError> {
        (kind::<S>().run)(&self.ctx)
    }

    /// Runs the stage with a stop already requested, and returns the checkpoint that it wrote.
    pub(crate) fn run_stopped<S: Stage>(&self) -> Resume {
        self.ctx.request_stop();
        match well(self.run::<S>()) {
            Outcome::Stopped(step) => Resume { step, dir: self.dir.join("checkpoints").join(step.to_string()) },
            Outcome::Done(_) => panic!("it went on to its end"),
        }
    }

    /// Returns the folders of rows that it gave to the engine, and the number of rows.
    pub(crate) fn rows(&self) -> (Vec<PathBuf>, u64) {
        let parts = self.sent().into_iter().filter_map(|line| match line {
            FromWorker::Rows { rows, dir, .. } => Some((dir, rows)),
            _ => None,
        });
        let (folders, counts): (Vec<_>, Vec<_>) = parts.unzip();
        (folders, counts.iter().sum())
    }

    /// Returns the messages that it sent.
    pub(crate) fn sent(&self) -> Vec<FromWorker> {
        let lines = self.lines.lock().expect("no holder panics");
        let lines = std::str::from_utf8(&lines).expect("messages are text");
        lines.lines().map(|line| serde_json::from_str(line).expect("each line is a message")).collect()
    }

    /// Returns its warnings.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let warnings = self.sent().into_iter().filter_map(|line| match line {
            FromWorker::Note { level: Level::Warn, message } => Some(message),
            _ => None,
        });
        warnings.collect()
    }

    /// Reads a file of an output.
    pub(crate) fn output(&self, path: &str) -> String {
        fs_err::read_to_string(self.dir.join(format!("output-{path}"))).expect("the output is there")
    }
}
