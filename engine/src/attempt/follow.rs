//! Follows one worker: reads its messages and acts on them until the attempt is over.
//!
//! A final message ends an attempt, or the worker's death, the watchdog, or the user. Messages are not trusted: paths
//! must be inside the attempt's own folder, secrets in texts are masked, lengths are bounded.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use store::{Digest, Record, Unsynced};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::log::Log;
use super::{Attempt, CHECKPOINT, Failure, Purpose};
use crate::blocking::off_thread;
use crate::event::{Event, Level};
use crate::exec::session::Heard;
use crate::exec::{Launch, Session};
use crate::options::Halt;
use crate::prefix::Segment;
use crate::tensorboard::Live;
use crate::watchdog::Watchdog;
use crate::worker::death;
use crate::worker::protocol::{FromWorker, PROTOCOL, RunRequest, ToWorker};

/// Time allowed for a signal that is sent to all processes to reach every one of them.
const AT_ONCE: Duration = Duration::from_secs(1);

/// How a worker ended that did not fail.
pub(super) enum Left {
    Done(Box<Record>, Unsynced),
    Verified(BTreeMap<String, Digest>),
    Stopped(u64),
}

/// What ended an attempt.
enum Over {
    Done {
        outputs: BTreeMap<String, PathBuf>,
        summary: Map<String, Value>,
        cpu_seconds: f64,
    },
    /// The checkpoint that a verification compares.
    Reached(PathBuf),
    Stopped(u64),
    Died(std::io::Result<ExitStatus>),
}

impl Attempt<'_> {
    pub(super) async fn run(&mut self, number: u32, request: RunRequest) -> Result<Left, Failure> {
        let (worker, threads, gpus) = (&self.options.worker, self.job.machine.threads, &self.job.gpus);
        let launch = Launch { worker, dir: &self.root, threads, gpus };
        let mut worker = self.options.executor.start(&launch).map_err(|error| {
            let failure = Failure::from(error);
            let help = failure.help.unwrap_or_else(|| "`r1flow doctor` tells what is missing".to_owned());
            let message = format!("cannot start the worker `{}`: {}", worker.display(), failure.message);
            Failure { message, help: Some(help), ..failure }
        })?;
        let log = Log::follow(self.job, worker.take_stderr(), &self.options.secrets)?;
        self.events
            .tell(Event::Started {
                stage: self.stage(),
                kind: self.job.stage.kind.clone(),
                fingerprint: self.job.fingerprint,
                attempt: number,
                resumed_from: request.resume.as_ref().map(|resume| resume.step),
            })
            .await;
        worker.say(&ToWorker::Run(Box::new(request)));
        let over = self.follow(&mut worker, &log).await;
        self.end_live(&over).await;
        // The worker has nothing left to do, and processes that it started must not outlive it.
        worker.kill().await;
        let (last_words, trouble) = log.finish().await;
        if let Some(error) = trouble {
            self.note(Level::Warn, format!("its log is incomplete: {error}")).await;
        }
        match over? {
            Over::Done { outputs, .. } if self.verified().is_some() => self.hash(&outputs).await.map(Left::Verified),
            Over::Done { outputs, summary, cpu_seconds } => self.publish(outputs, summary, cpu_seconds).await,
            Over::Reached(dir) => {
                let (store, dir) = (self.store.clone(), own(&self.root, &dir)?);
                let digest = off_thread(move || store.hash_output(&dir)).await?;
                Ok(Left::Verified(BTreeMap::from([(CHECKPOINT.to_owned(), digest)])))
            }
            Over::Stopped(step) => Ok(Left::Stopped(step)),
            Over::Died(Ok(status)) if was_asked_to_end(status) && self.is_asked_to_end().await => {
                Ok(Left::Stopped(self.before.step))
            }
            Over::Died(status) => Err(died(status, self.witness, &last_words)),
        }
    }

    async fn follow(&mut self, worker: &mut Session, log: &Log) -> Result<Over, Failure> {
        let mut halt = self.options.halt.clone();
        let mut killed = self.options.halt.clone();
        let mut watchdog = Watchdog::new(&self.job.stage.run, self.options.silence, Instant::now());
        let mut ticks = interval(watchdog.pace());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_closed = false;
        loop {
            tokio::select! {
                heard = worker.hear() => match heard? {
                    Heard::Message(message) => {
                        watchdog.hear(&message);
                        let over = tokio::select! {
                            over = self.take(message, worker) => over?,
                            // Safe to cancel: what is being moved into the store does not count until all of it is
                            // there.
                            Ok(_) = killed.wait_for(|halt| *halt == Halt::Kill) => Some(Over::Stopped(self.before.step)),
                        };
                        if let Some(over) = over {
                            return Ok(over);
                        }
                    }
                    Heard::Noise(line) => log.add(line).await,
                    Heard::End => is_closed = true,
                    Heard::Death(status) => return Ok(Over::Died(status)),
                },
                Ok(()) = halt.changed() => {
                    let asked = *halt.borrow();
                    match asked {
                        Halt::Run => {}
                        Halt::Stop => worker.say(&ToWorker::Stop),
                        Halt::Kill => return Ok(Over::Stopped(self.before.step)),
                    }
                }
                _ = ticks.tick() => {
                    if let Some(failure) = watchdog.tick(Instant::now()) {
                        return Err(if is_closed { closed(failure) } else { failure });
                    }
                    self.events.catch_up();
                    if let Some(trouble) = self.live.as_mut().and_then(Live::trouble) {
                        self.note(Level::Warn, trouble).await;
                    }
                    if self.curve.is_due() {
                        self.curve.write().await?;
                    }
                    self.doing.write_if_due().await;
                }
            }
        }
    }

    async fn take(&mut self, message: FromWorker, worker: &Session) -> Result<Option<Over>, Failure> {
        let secrets = &self.options.secrets;
        match message {
            FromWorker::Hello { protocol, .. } if protocol != PROTOCOL => {
                let message = format!("the worker speaks protocol {protocol}, this engine speaks {PROTOCOL}");
                let help = Some("build both from the same source".to_owned());
                return Err(Failure { help, ..Failure::new(message) });
            }
            FromWorker::Hello { processor, .. } => self.processor = processor,
            FromWorker::Alive => {}
            FromWorker::Progress { step, total, unit, metrics } => {
                self.doing.step();
                self.doing.write_if_due().await;
                self.curve.add(step, &metrics)?;
                if let Some(live) = &mut self.live {
                    live.step(step, &metrics);
                }
                if self.curve.is_due() {
                    self.curve.write().await?;
                }
                if self.total.replace(total) != Some(total) {
                    self.events.tell(Event::Extent { stage: self.stage(), total, unit: unit.clone() }).await;
                }
                self.events.progress(Event::Progress { stage: self.stage(), step, total, unit, metrics });
            }
            FromWorker::Doing { what, part } => {
                let what = secrets.mask(&what);
                self.doing.set(&what, part);
                self.doing.write_if_due().await;
                self.events.progress(Event::Doing { stage: self.stage(), what, part });
            }
            FromWorker::Note { level, message } => {
                let message = secrets.mask(&message);
                self.note(level, message).await;
            }
            // A verification keeps neither checkpoints nor rows.
            FromWorker::Checkpoint { step, dir } if self.verified().is_some_and(|segment| segment.ends_at(step)) => {
                return Ok(Some(Over::Reached(dir)));
            }
            FromWorker::Checkpoint { dir, .. } | FromWorker::Rows { dir, .. } if self.verified().is_some() => {
                let (store, dir) = (self.store.clone(), own(&self.root, &dir)?);
                off_thread(move || store.discard(&dir)).await?;
            }
            FromWorker::Rows { step, rows, dir } => {
                self.keep_rows(rows, own(&self.root, &dir)?).await?;
                self.events.tell(Event::Checkpoint { stage: self.stage(), step }).await;
            }
            FromWorker::Checkpoint { step, dir } => {
                self.keep_checkpoint(step, own(&self.root, &dir)?, worker.spent()).await?;
                self.events.tell(Event::Checkpoint { stage: self.stage(), step }).await;
            }
            FromWorker::Stopped { step } => return Ok(Some(Over::Stopped(step))),
            FromWorker::Failed { message, help } => {
                let help = help.map(|help| secrets.mask(&help));
                return Err(Failure { help, ..Failure::new(secrets.mask(&message)) });
            }
            FromWorker::Done { outputs, summary } => {
                let cpu_seconds = worker.spent();
                let Value::Object(summary) = secrets.mask_value(Value::Object(summary)) else {
                    unreachable!("a table stays one")
                };
                return Ok(Some(Over::Done { outputs, summary, cpu_seconds }));
            }
        }
        Ok(None)
    }

    /// Ends TensorBoard's event file while the outputs are still where the worker has put them.
    async fn end_live(&mut self, over: &Result<Over, Failure>) {
        let Some(live) = self.live.take() else { return };
        let outputs = match over {
            Ok(Over::Done { outputs, .. }) => Some(outputs),
            _ => None,
        };
        let owned = |(name, path): (&String, &PathBuf)| Some((name.clone(), own(&self.root, path).ok()?));
        let outputs = outputs.into_iter().flatten().filter_map(owned).collect();
        if let Some(trouble) = live.finish(outputs).await {
            self.note(Level::Warn, trouble).await;
        }
    }

    fn verified(&self) -> Option<Segment> {
        if let Purpose::Verify(segment) = self.job.purpose { Some(segment) } else { None }
    }

    /// Returns whether the engine has been asked to stop as well, or is within [`AT_ONCE`]. A batch system sends its
    /// signal to every process, and a worker by another author may die of it.
    async fn is_asked_to_end(&self) -> bool {
        let mut halt = self.options.halt.clone();
        let asked = timeout(AT_ONCE, halt.wait_for(|halt| *halt != Halt::Run)).await;
        matches!(asked, Ok(Ok(_)))
    }

    fn stage(&self) -> String {
        self.job.stage.name.to_string()
    }

    async fn note(&mut self, level: Level, message: String) {
        self.events.tell(Event::Note { stage: self.stage(), level, message }).await;
    }
}

/// Returns the canonical path of a folder that a worker names. An error unless it is inside `root`, the canonical path
/// of the attempt's folder, because named folders are moved and may be removed.
pub(super) fn own(root: &Path, dir: &Path) -> Result<PathBuf, Failure> {
    let found = fs_err::canonicalize(root.join(dir))?;
    if found.starts_with(root) && found != root {
        return Ok(found);
    }
    let message = format!("the worker names `{}`, which is not in the folder of its attempt", dir.display());
    let help = Some("this is a bug in the worker: it may write only below the `dir` of its request".to_owned());
    Err(Failure { help, ..Failure::new(message) })
}

fn was_asked_to_end(status: ExitStatus) -> bool {
    let signals = [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGUSR2];
    status.signal().is_some_and(|signal| signals.contains(&signal))
}

/// Returns the failure of a worker that died without a final message.
fn died(status: std::io::Result<ExitStatus>, witness: death::Witness, last_words: &str) -> Failure {
    let (mut message, help) = death::tell(status, witness);
    if !last_words.is_empty() {
        message = format!("{message}\n{last_words}");
    }
    Failure { help: Some(help), may_retry: true, ..Failure::new(message) }
}

/// Returns the failure of a worker that closed its stdout but is still running.
fn closed(failure: Failure) -> Failure {
    let message = format!("the worker closed its stdout without a final message, and lived on: {}", failure.message);
    let help = Some("something in the stage has closed descriptor 1; the process was ended".to_owned());
    Failure { message, help, ..failure }
}
