//! A worker without libtorch: four kinds that write and join text, count, and draw. The tests of the engine and the
//! command line use it, and it shows everything that your own worker needs.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use engine::artifact::{ArtifactType, Samples};
use engine::stage::serve::Worker;
use engine::stage::{Context, Input, Kind, Outcome, Stage, StageError, kind};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, json};

const KINDS: &[Kind] = &[kind::<WriteText>(), kind::<Join>(), kind::<Count>(), kind::<Draw>()];

fn main() -> ExitCode {
    Worker::new(KINDS).with_imports::<Import>().serve()
}

/// How an input is read.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Import {
    /// A file with what is written after the input's text by `join`.
    #[schemars(extend("x-path" = true, "x-inputs" = ["samples"]))]
    ending: Option<String>,
}

/// Writes a text.
struct WriteText;

#[derive(Deserialize, JsonSchema)]
struct NoInputs {}

#[derive(Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
struct WriteParams {
    /// What to write.
    text: String,
    /// Writes in lower case, so that several texts come out equal.
    lower: bool,
    /// Has no effect on the result.
    #[schemars(extend("x-role" = "neutral"))]
    loudness: u32,
    /// Fails with a message.
    fail: bool,
}

impl Default for WriteParams {
    fn default() -> Self {
        Self { text: "hello".to_owned(), lower: false, loudness: 1, fail: false }
    }
}

impl Stage for WriteText {
    const KIND: &'static str = "write";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Writes a text.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("samples", ArtifactType::Samples)];
    type Inputs = NoInputs;
    type Params = WriteParams;

    fn run(ctx: &Context, _: NoInputs, params: WriteParams) -> Result<Outcome, StageError> {
        if params.fail {
            return Err(StageError::new("`fail` is set").with_help("set `fail = false`"));
        }
        let text = if params.lower { params.text.to_lowercase() } else { params.text };
        write(&ctx.output("samples"), &text)?;
        Ok(Outcome::Done(Map::from_iter([("bytes".to_owned(), json!(text.len()))])))
    }
}

/// Joins texts.
struct Join;

#[derive(Deserialize, JsonSchema)]
struct JoinInputs {
    /// What to join.
    data: Vec<Input<Samples>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct JoinParams {
    /// Stands between two texts.
    separator: String,
    /// Writes in lower case, so that several texts come out equal.
    lower: bool,
}

impl Stage for Join {
    const KIND: &'static str = "join";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Joins texts.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("samples", ArtifactType::Samples)];
    type Inputs = JoinInputs;
    type Params = JoinParams;

    fn run(ctx: &Context, inputs: JoinInputs, params: JoinParams) -> Result<Outcome, StageError> {
        let texts = inputs.data.iter().map(|input| {
            let import = Import::deserialize(serde_json::Value::Object(input.artifact.import.clone()))?;
            let ending = import.ending.map_or(Ok(String::new()), fs_err::read_to_string)?;
            Ok::<_, StageError>(read(input)? + &ending)
        });
        let text = texts.collect::<Result<Vec<_>, _>>()?.join(&params.separator);
        write(&ctx.output("samples"), &if params.lower { text.to_lowercase() } else { text })?;
        Ok(Outcome::Done(Map::new()))
    }
}

/// Counts, with a state that depends on every step: to the engine it is like training.
struct Count;

#[derive(Deserialize, JsonSchema)]
struct CountInputs {
    /// What to mix into the count.
    data: Vec<Input<Samples>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
struct CountParams {
    /// How far to count.
    #[schemars(extend("x-role" = "extent"))]
    steps: u64,
    /// Mixed into every step.
    salt: u64,
    /// Added to the salt from a step on.
    later: Option<Later>,
    /// Milliseconds to wait at each step.
    #[schemars(extend("x-role" = "neutral"))]
    wait: u64,
    /// Steps between two checkpoints.
    #[schemars(extend("x-role" = "neutral"))]
    checkpoint_steps: u64,
    /// Takes another value each time: what a stage must never do.
    unsteady: bool,
    /// Does nothing any more after this step, and does not stop either.
    #[schemars(extend("x-role" = "neutral"))]
    hang_at: Option<u64>,
    /// Starts a process that sleeps for an hour, and writes its number to this file.
    #[schemars(extend("x-role" = "neutral"))]
    sleeper: Option<String>,
    /// Ends the process without a word after this step, unless a file of this name exists, which it makes.
    #[schemars(extend("x-role" = "neutral"))]
    crash_once: Option<Crash>,
}

/// Added to the salt from a step on.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Later {
    /// How much.
    salt: u64,
    /// Updates done before it begins.
    from_step: u64,
}

/// Where to crash.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Crash {
    /// After this step.
    at: u64,
    /// Tells that it has happened.
    file: String,
}

impl Default for CountParams {
    fn default() -> Self {
        Self {
            steps: 4,
            salt: 0,
            later: None,
            wait: 0,
            checkpoint_steps: 1,
            unsteady: false,
            hang_at: None,
            sleeper: None,
            crash_once: None,
        }
    }
}

impl Stage for Count {
    const KIND: &'static str = "count";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Counts.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("model", ArtifactType::Model)];
    type Inputs = CountInputs;
    type Params = CountParams;

    fn run(ctx: &Context, inputs: CountInputs, params: CountParams) -> Result<Outcome, StageError> {
        let (mut step, mut state) = match ctx.resume() {
            Some(resume) => (resume.step, fs_err::read_to_string(resume.dir.join("state"))?.parse()?),
            None => (0, inputs.data.iter().fold(1_u64, |state, input| mix(state, input.artifact.digest.len() as u64))),
        };
        if let Some(file) = &params.sleeper {
            let sleeper = std::process::Command::new("sleep").arg("3600").spawn()?;
            fs_err::write(file, sleeper.id().to_string())?;
        }
        let drift = if params.unsteady { u64::from(std::process::id()) } else { 0 };
        while step < params.steps {
            std::thread::sleep(Duration::from_millis(params.wait));
            let later = params.later.filter(|later| step >= later.from_step).map_or(0, |later| later.salt);
            state = mix(state, params.salt + later + step + drift);
            step += 1;
            ctx.progress(step, params.steps, "step", [("loss".to_owned(), 1.0 / step as f64)].into());
            if step == params.steps || step.is_multiple_of(params.checkpoint_steps) || ctx.checkpoint_due(step) {
                ctx.checkpoint(step, |dir| fs_err::write(dir.join("state"), state.to_string()))?;
            }
            if let Some(crash) =
                params.crash_once.as_ref().filter(|crash| crash.at == step && !Path::new(&crash.file).exists())
            {
                fs_err::write(&crash.file, "")?;
                let _ = writeln!(std::io::stderr(), "crashing on purpose");
                std::process::abort();
            }
            while params.hang_at == Some(step) {
                std::thread::park();
            }
            if step < params.steps && ctx.stop_requested() {
                return Ok(Outcome::Stopped(step));
            }
        }
        let dir = ctx.output("model");
        fs_err::create_dir_all(&dir)?;
        fs_err::write(dir.join("config.json"), json!({ "count": step, "state": state }).to_string())?;
        Ok(Outcome::Done(Map::from_iter([("state".to_owned(), json!(state)), ("steps".to_owned(), json!(step))])))
    }
}

/// Gives each line a number, and keeps it as a row: to the engine it is like sampling.
struct Draw;

#[derive(Deserialize, JsonSchema)]
struct DrawInputs {
    /// Lines to draw for.
    #[schemars(extend("x-role" = "rows"))]
    data: Vec<Input<Samples>>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct DrawParams {
    /// Mixed into every number, in the place of a model.
    salt: u64,
    /// Keeps even numbers only.
    #[schemars(extend("x-role" = "rows"))]
    even: bool,
}

impl Stage for Draw {
    const KIND: &'static str = "draw";
    const HISTORY: &'static [&'static str] = &["the first"];
    const DOC: &'static str = "Draws a number for each line.";
    const OUTPUTS: &'static [(&'static str, ArtifactType)] = &[("samples", ArtifactType::Samples)];
    type Inputs = DrawInputs;
    type Params = DrawParams;

    fn run(ctx: &Context, inputs: DrawInputs, params: DrawParams) -> Result<Outcome, StageError> {
        let mut known = BTreeMap::new();
        for folder in ctx.known_rows() {
            let rows: BTreeMap<String, u64> = serde_json::from_str(&fs_err::read_to_string(folder.join("rows.json"))?)?;
            known.extend(rows);
        }
        let mut drawn = BTreeMap::new();
        let mut text = String::new();
        for input in &inputs.data {
            for line in read(input)?.lines() {
                let number = *known.entry(line.to_owned()).or_insert_with(|| {
                    let number = line.bytes().fold(params.salt, |state, byte| mix(state, u64::from(byte)));
                    drawn.insert(line.to_owned(), number);
                    number
                });
                if !params.even || number.is_multiple_of(2) {
                    text.extend([line, " ", &number.to_string(), "\n"]);
                }
            }
        }
        if !drawn.is_empty() {
            let rows = serde_json::to_string(&drawn)?;
            ctx.keep_rows(drawn.len() as u64, drawn.len() as u64, |dir| fs_err::write(dir.join("rows.json"), rows))?;
        }
        write(&ctx.output("samples"), &text)?;
        Ok(Outcome::Done(Map::from_iter([("drawn".to_owned(), json!(drawn.len()))])))
    }
}

fn read(input: &Input<Samples>) -> std::io::Result<String> {
    let path = input.path();
    let file = if path.is_dir() { path.join("samples.jsonl") } else { path.to_owned() };
    fs_err::read_to_string(file)
}

fn mix(state: u64, value: u64) -> u64 {
    (state ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17)
}

fn write(dir: &Path, text: &str) -> Result<(), StageError> {
    fs_err::create_dir_all(dir)?;
    fs_err::write(dir.join("samples.jsonl"), text)?;
    Ok(())
}
