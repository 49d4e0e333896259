//! One attempt at a stage: from a fingerprint without a record to a record, or to a reason why not.
//!
//! ```text
//! attempts/zero-…/
//! ├── inputs/<digest>/     what references point at, linked from the store
//! ├── checkpoints/<n>/     moved into the store as they come
//! └── outputs/<name>/      moved into the store at the end, then the record is written
//! ```
//! Nobody else writes there, and nothing in it counts until it is in the store: a worker that outlives its engine can
//! spoil nothing. What a killed engine leaves there the next `apply` sweeps away.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use store::{Digest, OutputRecord, Record, Store};
use tokio::sync::{mpsc, watch};

use crate::action::Action;
use crate::event::Event;
use crate::exec::{Executor, Launch};
use crate::plan::find_checkpoint;
use crate::run::now;
use crate::schedule::Halt;
use crate::worker::client::{Conversation, Heard};
use crate::worker::protocol::{FromWorker, InputArtifact, Machine, PROTOCOL, Resume, RunRequest, ToWorker};
use crate::workflow::StageDecl;

/// Checkpoints kept of a stage beside the newest: enough to survive one that turns out bad.
const KEPT_CHECKPOINTS: usize = 2;
/// Lines of a worker's log that are quoted when it dies without a word.
const QUOTED_LINES: usize = 5;

/// What an attempt needs to know.
pub(crate) struct Job {
    pub(crate) workflow: String,
    pub(crate) stage: StageDecl,
    pub(crate) action: Action,
    pub(crate) fingerprint: Digest,
    /// Each reference with what it points at: a path for inputs, a tree of the store otherwise.
    pub(crate) inputs: Vec<(String, InputArtifact, Source)>,
    pub(crate) machine: Machine,
    /// Log and metrics of this run.
    pub(crate) run_dir: PathBuf,
    pub(crate) use_checkpoints: bool,
}

/// Where an input's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The user's file or folder.
    Path,
    /// A tree in the store.
    Tree(Digest),
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done(Box<Record>),
    /// Another process was at the same, and its result is taken.
    Shared(Box<Record>),
    Stopped(u64),
    Failed(Failure),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Whether another attempt may fare better: the worker died or hung, it did not refuse.
    pub(crate) may_retry: bool,
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { message: error.to_string(), help: None, may_retry: false }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        Self { message: error.to_string(), help: None, may_retry: false }
    }
}

/// Makes one attempt.
pub(crate) async fn attempt(
    job: &Job,
    number: u32,
    store: &Store,
    worker: &Path,
    executor: &dyn Executor,
    halt: watch::Receiver<Halt>,
    events: &mpsc::UnboundedSender<Event>,
) -> Ended {
    // Removed at the end: what is left in it counts for nothing, and the log is in the run's folder.
    let dir = match store.new_attempt_dir(&job.stage.name.0) {
        Ok(dir) => dir,
        Err(error) => return Ended::Failed(error.into()),
    };
    let path = dir.path().to_owned();
    let mut attempt = Attempt {
        job,
        store,
        dir: path,
        events,
        curve: Curve::default(),
        begun: Instant::now(),
        before: Spent::default(),
    };
    attempt.run(number, worker, executor, halt).await.unwrap_or_else(Ended::Failed)
}

/// Time spent on a stage by earlier attempts, as its checkpoint tells.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    seconds: f64,
    cpu_seconds: f64,
    step: u64,
}

struct Attempt<'a> {
    job: &'a Job,
    store: &'a Store,
    dir: PathBuf,
    events: &'a mpsc::UnboundedSender<Event>,
    curve: Curve,
    begun: Instant,
    before: Spent,
}

impl Attempt<'_> {
    async fn run(
        &mut self,
        number: u32,
        worker: &Path,
        executor: &dyn Executor,
        mut halt: watch::Receiver<Halt>,
    ) -> Result<Ended, Failure> {
        let request = self.prepare()?;
        let stage = self.job.stage.name.to_string();
        self.send(Event::Started {
            stage: stage.clone(),
            kind: self.job.stage.kind.clone(),
            attempt: number,
            resumed_from: request.resume.as_ref().map(|resume| resume.step),
        });
        let log = self.job.run_dir.join("log");
        let launch = Launch { worker, dir: &self.dir, log: log.clone(), threads: self.job.machine.threads };
        let child = executor.start(&launch).map_err(|error| Failure {
            message: format!("cannot start the worker `{}`: {error}", worker.display()),
            help: Some("`r1flow doctor` tells what is missing".to_owned()),
            may_retry: false,
        })?;
        let mut worker = Conversation::with(child);
        // A worker that dies before it reads is told of by its end, below.
        let _ = worker.say(&ToWorker::Run(Box::new(request))).await;
        let timeout = self.job.stage.run.timeout.unwrap_or(Duration::MAX / 4);
        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                heard = worker.hear() => match heard? {
                    Heard::Message(message) => {
                        if let Some(ended) = self.take(message, &mut worker).await? {
                            return Ok(ended);
                        }
                    }
                    Heard::Noise(line) => writeln!(fs_err::OpenOptions::new().append(true).open(&log)?, "{line}")?,
                    Heard::End => return Err(died(&mut worker, &log).await),
                },
                Ok(()) = halt.changed() => {
                    let asked = *halt.borrow();
                    match asked {
                        Halt::Run => {}
                        // A worker that has just ended is told of by its end.
                        Halt::Stop => drop(worker.say(&ToWorker::Stop).await),
                        Halt::Kill => {
                            worker.kill().await;
                            return Ok(Ended::Stopped(self.before.step));
                        }
                    }
                }
                () = &mut deadline => {
                    worker.kill().await;
                    return Err(Failure {
                        message: format!("the attempt took longer than its timeout of {} s", timeout.as_secs()),
                        help: Some("raise `run.timeout`; the next attempt continues from the last checkpoint".to_owned()),
                        may_retry: true,
                    });
                }
            }
        }
    }

    /// Lays out inputs and the newest checkpoint, and says what to do.
    fn prepare(&mut self) -> Result<RunRequest, Failure> {
        let mut config = Value::Object(self.job.stage.config.clone());
        for (pointer, artifact, source) in &self.job.inputs {
            let mut artifact = artifact.clone();
            if let Source::Tree(digest) = source {
                let path = self.dir.join("inputs").join(digest.hex());
                if !path.exists() {
                    self.store.materialise(digest, &path)?;
                }
                artifact.path = path;
            }
            if let Some(place) = config.pointer_mut(pointer) {
                *place = serde_json::to_value(artifact).expect("an artifact is plain data");
            }
        }
        let Value::Object(config) = config else { unreachable!("a config is a table") };
        Ok(RunRequest {
            protocol: PROTOCOL,
            kind: self.job.stage.kind.clone(),
            version: self.job.stage.version,
            stage: self.job.stage.name.to_string(),
            dir: self.dir.clone(),
            config,
            machine: self.job.machine.clone(),
            resume: self.resume()?,
        })
    }

    fn resume(&mut self) -> Result<Option<Resume>, Failure> {
        let metrics = self.job.run_dir.join("metrics.jsonl");
        let found = if self.job.use_checkpoints { find_checkpoint(self.store, &self.job.action)? } else { None };
        let Some((_, checkpoint)) = found else {
            self.curve = Curve::begin(&metrics, b"")?;
            return Ok(None);
        };
        let dir = self.dir.join("resume");
        self.store.materialise(&checkpoint.tree.digest, &dir)?;
        let number = |key: &str| checkpoint.meta[key].as_f64().unwrap_or(0.0);
        self.before = Spent { seconds: number("seconds"), cpu_seconds: number("cpu-seconds"), step: checkpoint.step };
        // The curve so far belongs to the stage, whoever ran it.
        let so_far = checkpoint.meta["metrics"].as_str().and_then(|digest| digest.parse().ok());
        let so_far = so_far.and_then(|digest| self.store.read(&digest).ok()).unwrap_or_default();
        self.curve = Curve::begin(&metrics, &so_far)?;
        Ok(Some(Resume { step: checkpoint.step, dir }))
    }

    async fn take(&mut self, message: FromWorker, worker: &mut Conversation) -> Result<Option<Ended>, Failure> {
        let stage = || self.job.stage.name.to_string();
        match message {
            FromWorker::Hello { protocol, .. } if protocol != PROTOCOL => {
                worker.kill().await;
                return Err(Failure {
                    message: format!("the worker speaks protocol {protocol}, this engine speaks {PROTOCOL}"),
                    help: Some("build both from the same source".to_owned()),
                    may_retry: false,
                });
            }
            FromWorker::Hello { .. } => {}
            FromWorker::Progress { step, total, unit, metrics } => {
                self.curve.add(step, &metrics)?;
                self.send(Event::Progress { stage: stage(), step, total, unit, metrics });
            }
            FromWorker::Note { level, message } => self.send(Event::Note { stage: stage(), level, message }),
            FromWorker::Checkpoint { step, dir } => {
                self.keep_checkpoint(step, &dir, worker.cpu_seconds())?;
                self.send(Event::Checkpoint { stage: stage(), step });
            }
            FromWorker::Stopped { step } => {
                let _ = worker.child.wait().await;
                return Ok(Some(Ended::Stopped(step)));
            }
            FromWorker::Failed { message, help } => {
                let _ = worker.child.wait().await;
                return Err(Failure { message, help, may_retry: false });
            }
            FromWorker::Done { outputs, summary } => {
                let cpu_seconds = worker.cpu_seconds();
                let _ = worker.child.wait().await;
                return self.publish(&outputs, summary, cpu_seconds).map(|record| Some(Ended::Done(Box::new(record))));
            }
        }
        Ok(None)
    }

    fn keep_checkpoint(&mut self, step: u64, dir: &Path, cpu_seconds: f64) -> Result<(), Failure> {
        let tree = self.store.adopt_dir(dir)?;
        let meta = json!({
            "seconds": self.before.seconds + self.begun.elapsed().as_secs_f64(),
            "cpu-seconds": self.before.cpu_seconds + cpu_seconds,
            "metrics": self.store.put_bytes(&self.curve.bytes)?,
        });
        let key = self.job.action.prefix_fingerprint(step);
        self.store.put_checkpoint(&key, step, &tree, meta)?;
        let steps = self.store.checkpoint_steps(&key)?;
        let superfluous = steps.iter().filter(|old| **old < step).rev().skip(KEPT_CHECKPOINTS - 1);
        for old in superfluous {
            self.store.remove_checkpoint(&key, *old)?;
        }
        Ok(())
    }

    /// Moves the outputs into the store and writes the record: from then on the stage is fresh.
    fn publish(
        &mut self,
        outputs: &BTreeMap<String, PathBuf>,
        summary: Map<String, Value>,
        cpu_seconds: f64,
    ) -> Result<Record, Failure> {
        self.check_inputs()?;
        let mut kept = BTreeMap::new();
        for (name, artifact) in &self.job.stage.outputs {
            let path = outputs.get(name).filter(|path| path.is_dir()).ok_or_else(|| Failure {
                message: format!("the worker is done but did not write output `{name}`"),
                help: Some("this is a bug in the stage's kind".to_owned()),
                may_retry: false,
            })?;
            let tree = self.store.adopt_dir(path)?;
            let artifact = artifact.name().to_owned();
            kept.insert(name.clone(), OutputRecord { artifact, digest: tree.digest, bytes: tree.bytes });
        }
        let log = fs_err::read(self.job.run_dir.join("log"))?;
        let record = Record {
            fingerprint: self.job.fingerprint,
            workflow: self.job.workflow.clone(),
            stage: self.job.stage.name.to_string(),
            kind: self.job.stage.kind.clone(),
            outputs: kept,
            summary,
            metrics: if self.curve.bytes.is_empty() { None } else { Some(self.store.put_bytes(&self.curve.bytes)?) },
            log: if log.is_empty() { None } else { Some(self.store.put_bytes(&log)?) },
            seconds: self.before.seconds + self.begun.elapsed().as_secs_f64(),
            cpu_seconds: self.before.cpu_seconds + cpu_seconds,
            steps: self.curve.last_step.saturating_sub(self.before.step),
            finished: now(),
            deterministic: true,
        };
        self.store.put_action(&self.job.fingerprint, &self.job.action.document)?;
        self.store.put_record(&record)?;
        Ok(record)
    }

    /// An input that changed while the stage read it makes the result worthless: it is nobody's.
    fn check_inputs(&self) -> Result<(), Failure> {
        for (_, artifact, source) in &self.job.inputs {
            if matches!(source, Source::Path) && self.store.hash_path(&artifact.path)?.to_string() != artifact.digest {
                return Err(Failure {
                    message: format!("input `{}` changed while the stage was reading it", artifact.name),
                    help: Some("run `apply` again; nothing was recorded".to_owned()),
                    may_retry: false,
                });
            }
        }
        Ok(())
    }

    fn send(&self, event: Event) {
        // Nobody listens only when the run is over.
        let _ = self.events.send(event);
    }
}

/// A worker that closed its end without a final message.
async fn died(worker: &mut Conversation, log: &Path) -> Failure {
    let status = worker.child.wait().await;
    let text = fs_err::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n");
    let how = status.map_or_else(|error| error.to_string(), |status| status.to_string());
    let message =
        if last.is_empty() { format!("the worker died: {how}") } else { format!("the worker died: {how}\n{last}") };
    let help = "out of memory ends a worker with signal 9; `r1flow log` shows the rest".to_owned();
    Failure { message, help: Some(help), may_retry: true }
}

/// A stage's `metrics.jsonl`: a line a step, on disk for whoever looks, and in memory for the store.
#[derive(Default)]
struct Curve {
    file: Option<fs_err::File>,
    bytes: Vec<u8>,
    last_step: u64,
}

impl Curve {
    fn begin(path: &Path, so_far: &[u8]) -> std::io::Result<Self> {
        let mut file = fs_err::File::create(path)?;
        file.write_all(so_far)?;
        Ok(Self { file: Some(file), bytes: so_far.to_vec(), last_step: 0 })
    }

    fn add(&mut self, step: u64, metrics: &BTreeMap<String, f64>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(&json!({ "step": step, "metrics": metrics }))?;
        line.push(b'\n');
        if let Some(file) = &mut self.file {
            file.write_all(&line)?;
        }
        self.bytes.extend(line);
        self.last_step = step;
        Ok(())
    }
}
