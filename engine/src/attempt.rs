//! One attempt at a stage: from a fingerprint without a record to a record, or to a reason why not.
//!
//! ```text
//! attempts/zero-…/
//! ├── input-<digest>/      what references point at, linked from the store
//! ├── checkpoints/<n>/     moved into the store as they come
//! └── output-<name>/       moved into the store at the end; then the record is written ([`Made`])
//! ```
//! Nobody else writes there, and nothing in it counts until it is in the store: a worker that outlives its engine can
//! spoil nothing. What a killed engine leaves there the next `apply` sweeps away.

mod publish;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use store::{AttemptDir, Digest, Hold, Outputs, Record, Source as Origin, Store, Unsynced};
use tokio::sync::mpsc;

use crate::action::Action;
use crate::curve::Curve;
use crate::event::Event;
use crate::exec::Launch;
use crate::schedule::{Halt, Options};
use crate::trajectory::{Segment, find_checkpoint};
use crate::watchdog::Watchdog;
use crate::worker::client::{Conversation, Heard};
use crate::worker::protocol::{FromWorker, InputArtifact, Machine, PROTOCOL, Resume, RunRequest, ToWorker};
use crate::workflow::StageDecl;

/// Lines of a worker's log that are quoted when it dies without a word.
const QUOTED_LINES: usize = 5;

/// What the training state at the end of a segment is called among digests of outputs.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// What an attempt needs to know.
pub(crate) struct Job {
    pub(crate) workflow: String,
    /// How the workflow can be named again.
    pub(crate) source: Origin,
    pub(crate) stage: StageDecl,
    pub(crate) action: Arc<Action>,
    pub(crate) fingerprint: Digest,
    /// Each reference with what it points at: a path for inputs, a tree of the store otherwise.
    pub(crate) inputs: Vec<(String, InputArtifact, Source)>,
    pub(crate) machine: Machine,
    /// GPUs that it may see.
    pub(crate) gpus: Vec<String>,
    /// Where the log of this run goes, and the curve.
    pub(crate) log: PathBuf,
    pub(crate) metrics: PathBuf,
    pub(crate) purpose: Purpose,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To bring the stage up to date, from wherever an earlier attempt got to.
    Make,
    /// To make it anew, whatever there is.
    Forced,
    /// To see whether a part of it gives the same bytes again; keeps nothing.
    Verify(Segment),
}

/// Where an input's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The user's file or folder.
    Path,
    /// A tree in the store.
    Tree(Digest),
}

/// What an attempt made. It is in the store, but nothing says so until [`Made::write`].
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) record: Record,
    /// Wall time of this attempt.
    pub(crate) seconds: f64,
    action: Value,
    unsynced: Unsynced,
    /// Until then nothing refers to what is in the store.
    hold: Option<Hold>,
    /// Kept as long: removing it takes time, and nobody waits for that.
    dir: AttemptDir,
}

impl Made {
    /// Writes the record: from then on the stage is fresh.
    pub(crate) fn write(&mut self, store: &Store) -> Result<(), store::Error> {
        self.unsynced.extend(store.write_record(&self.record, &self.action)?);
        self.hold = None;
        Ok(())
    }

    /// Makes all of them durable and tidies up. Blocks the thread.
    pub(crate) fn sync(all: Vec<Self>) -> Result<(), store::Error> {
        let (unsynced, _dirs): (Vec<_>, Vec<_>) = all.into_iter().map(|made| (made.unsynced, made.dir)).unzip();
        unsynced.into_iter().collect::<Unsynced>().sync()
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done(Box<Made>),
    /// For [`Purpose::Verify`]: where it went on from, and the digests of the outputs or of the [`CHECKPOINT`].
    Verified(u64, BTreeMap<String, Digest>),
    /// Another process was at the same, and its result is taken.
    Shared(Outputs),
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
    options: &Options,
    events: &mpsc::UnboundedSender<Event>,
) -> Ended {
    // Removed at the end: what is left in it counts for nothing, and the log is in the run's folder.
    let dir = match store.new_attempt_dir(&job.stage.name.0) {
        Ok(dir) => dir,
        Err(error) => return Ended::Failed(error.into()),
    };
    let mut attempt = Attempt {
        job,
        store,
        dir: dir.path().to_owned(),
        events,
        curve: Curve::default(),
        begun: Instant::now(),
        before: Spent::default(),
    };
    match attempt.run(number, options).await {
        Ok(Left::Done(record, unsynced, hold)) => {
            let (action, seconds) = (job.action.document.clone(), attempt.begun.elapsed().as_secs_f64());
            Ended::Done(Box::new(Made { record: *record, seconds, action, unsynced, hold: Some(hold), dir }))
        }
        Ok(Left::Verified(digests)) => Ended::Verified(attempt.before.step, digests),
        Ok(Left::Stopped(step)) => Ended::Stopped(step),
        Err(failure) => Ended::Failed(failure),
    }
}

/// How a worker left that did not fail.
enum Left {
    Done(Box<Record>, Unsynced, Hold),
    Verified(BTreeMap<String, Digest>),
    Stopped(u64),
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
    async fn run(&mut self, number: u32, options: &Options) -> Result<Left, Failure> {
        let request = self.prepare()?;
        self.send(Event::Started {
            stage: self.job.stage.name.to_string(),
            kind: self.job.stage.kind.clone(),
            fingerprint: self.job.fingerprint.to_string(),
            attempt: number,
            resumed_from: request.resume.as_ref().map(|resume| resume.step),
        });
        let (worker, log, threads) = (&options.worker, &self.job.log, self.job.machine.threads);
        let launch = Launch { worker, dir: &self.dir, log, threads, gpus: &self.job.gpus };
        let child = options.executor.start(&launch).map_err(|error| Failure {
            message: format!("cannot start the worker `{}`: {error}", worker.display()),
            help: Some("`r1flow doctor` tells what is missing".to_owned()),
            may_retry: false,
        })?;
        let mut worker = Conversation::with(child);
        // A worker that dies before it reads is told of by its end, below.
        let _ = worker.say(&ToWorker::Run(Box::new(request))).await;
        let mut halt = options.halt.clone();
        let mut watchdog = Watchdog::new(&self.job.stage.run, options.silence);
        loop {
            tokio::select! {
                heard = worker.hear() => match heard? {
                    Heard::Message(message) => {
                        watchdog.hear(&message);
                        if let Some(left) = self.take(message, &mut worker).await? {
                            return Ok(left);
                        }
                    }
                    Heard::Noise(line) => writeln!(fs_err::OpenOptions::new().append(true).open(log)?, "{line}")?,
                    Heard::End => return Err(died(&mut worker, log).await),
                },
                Ok(()) = halt.changed() => {
                    let asked = *halt.borrow();
                    match asked {
                        Halt::Run => {}
                        // A worker that has just ended is told of by its end.
                        Halt::Stop => drop(worker.say(&ToWorker::Stop).await),
                        Halt::Kill => {
                            worker.kill().await;
                            return Ok(Left::Stopped(self.before.step));
                        }
                    }
                }
                failure = watchdog.bark() => {
                    worker.kill().await;
                    return Err(failure);
                }
            }
        }
    }

    /// Lays out inputs and the newest checkpoint, and says what to do.
    fn prepare(&mut self) -> Result<RunRequest, Failure> {
        let mut artifacts = Vec::with_capacity(self.job.inputs.len());
        for (pointer, artifact, source) in &self.job.inputs {
            let mut artifact = artifact.clone();
            if let Source::Tree(digest) = source {
                let path = self.dir.join(format!("input-{}", digest.hex()));
                if !path.exists() {
                    self.store.materialise(digest, &path)?;
                }
                artifact.path = path;
            }
            artifacts.push((pointer.as_str(), artifact.to_value()));
        }
        Ok(RunRequest {
            protocol: PROTOCOL,
            kind: self.job.stage.kind.clone(),
            version: self.job.stage.version,
            stage: self.job.stage.name.to_string(),
            dir: self.dir.clone(),
            config: self.job.stage.config_with(artifacts),
            machine: self.job.machine.clone(),
            resume: self.resume()?,
            rows: self.known_rows()?,
        })
    }

    /// Lays out the rows that are known already, if the stage keeps any.
    fn known_rows(&self) -> Result<Vec<PathBuf>, Failure> {
        let Some(key) = self.job.action.row_key().filter(|_| self.job.purpose == Purpose::Make) else {
            return Ok(Vec::new());
        };
        let mut folders = Vec::new();
        for part in self.store.rows(&key)? {
            let folder = self.dir.join(format!("rows-{}", part.tree.digest.hex()));
            self.store.materialise(&part.tree.digest, &folder)?;
            folders.push(folder);
        }
        Ok(folders)
    }

    fn resume(&mut self) -> Result<Option<Resume>, Failure> {
        let metrics = self.job.metrics.clone();
        let most = match self.job.purpose {
            Purpose::Make => u64::MAX,
            Purpose::Forced => 0,
            Purpose::Verify(segment) => segment.from,
        };
        // Else another process, further on, could take it away before it is laid out.
        let _hold = self.store.hold()?;
        let found = find_checkpoint(self.store, &self.job.action, most)?;
        let Some(checkpoint) = found else {
            self.curve = Curve::begin(metrics, Vec::new());
            return Ok(None);
        };
        let dir = self.dir.join("resume");
        self.store.materialise(&checkpoint.tree.digest, &dir)?;
        let number = |key: &str| checkpoint.meta[key].as_f64().unwrap_or(0.0);
        self.before = Spent { seconds: number("seconds"), cpu_seconds: number("cpu-seconds"), step: checkpoint.step };
        // The curve so far belongs to the stage, whoever ran it.
        let so_far = checkpoint.meta["metrics"].as_str().and_then(|digest| digest.parse().ok());
        let so_far = so_far.and_then(|digest| self.store.read(&digest).ok()).unwrap_or_default();
        self.curve = Curve::begin(metrics, so_far);
        Ok(Some(Resume { step: checkpoint.step, dir }))
    }

    async fn take(&mut self, message: FromWorker, worker: &mut Conversation) -> Result<Option<Left>, Failure> {
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
            FromWorker::Hello { .. } | FromWorker::Alive => {}
            FromWorker::Progress { step, total, unit, metrics } => {
                self.curve.add(step, &metrics)?;
                self.send(Event::Progress { stage: stage(), step, total, unit, metrics });
            }
            FromWorker::Note { level, message } => self.send(Event::Note { stage: stage(), level, message }),
            // What is made only to be compared is not kept.
            FromWorker::Checkpoint { step, dir } if self.verified().is_some_and(|segment| segment.ends_at(step)) => {
                worker.kill().await;
                let digest = self.store.hash_path(&dir)?;
                return Ok(Some(Left::Verified(BTreeMap::from([(CHECKPOINT.to_owned(), digest)]))));
            }
            FromWorker::Checkpoint { dir, .. } | FromWorker::Rows { dir, .. } if self.verified().is_some() => {
                fs_err::remove_dir_all(dir)?;
            }
            FromWorker::Rows { step, rows, dir } => {
                self.keep_rows(rows, dir).await?;
                self.send(Event::Checkpoint { stage: stage(), step });
            }
            FromWorker::Checkpoint { step, dir } => {
                self.keep_checkpoint(step, dir, worker.cpu_seconds()).await?;
                self.send(Event::Checkpoint { stage: stage(), step });
            }
            FromWorker::Stopped { step } => {
                worker.kill().await;
                return Ok(Some(Left::Stopped(step)));
            }
            FromWorker::Failed { message, help } => {
                worker.kill().await;
                return Err(Failure { message, help, may_retry: false });
            }
            FromWorker::Done { outputs, summary } => {
                let cpu_seconds = worker.cpu_seconds();
                // It has nothing left to do, and what it has started must not live on.
                worker.kill().await;
                if self.verified().is_some() {
                    return self.hash(&outputs).map(|digests| Some(Left::Verified(digests)));
                }
                let (record, unsynced, hold) = self.publish(&outputs, summary, cpu_seconds).await?;
                return Ok(Some(Left::Done(Box::new(record), unsynced, hold)));
            }
        }
        Ok(None)
    }

    fn verified(&self) -> Option<Segment> {
        if let Purpose::Verify(segment) = self.job.purpose { Some(segment) } else { None }
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
