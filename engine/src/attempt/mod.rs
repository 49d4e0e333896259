//! One attempt at a stage: it ends with a record for the stage's fingerprint, or with the reason why there is none.
//!
//! ```text
//! attempts/zero-…/
//! ├── input-<digest>/      what references point at, linked from the store
//! ├── checkpoints/<n>/     moved into the store as they come
//! └── output-<name>/       moved into the store at the end; then the record is written
//! ```
//! No other process writes to this folder, and nothing in it counts until it is in the store, so a worker that outlives
//! its engine can do no damage. The next `apply` removes the folders that a killed engine left.
//!
//! [`prepare`] lays out what the worker reads, [`follow`] reads its messages, [`publish`] moves its outputs into the
//! store, and [`log`] keeps its stderr.

mod follow;
mod log;
mod prepare;
mod publish;
mod teller;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use store::{AttemptDir, Digest, Outputs, Record, Source as Origin, Store, Unsynced};
use tokio::sync::mpsc;

use crate::action::Action;
use crate::blocking::off_thread;
use crate::curve::Curve;
use crate::doing::DoingFile;
use crate::event::Event;
use crate::failure::Failure;
use crate::options::{Halt, Options};
use crate::prefix::Segment;
use crate::tensorboard::{Followed, Live};
use crate::worker::protocol::{InputArtifact, Machine};
use crate::workflow::StageDecl;
use follow::Left;
use prepare::{Prepared, Spent, prepare};
use teller::Teller;
pub(crate) use teller::WAITING;

/// Name of the training state at the end of a segment, among digests of outputs.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// Everything that an attempt needs.
pub(crate) struct Job {
    pub(crate) workflow: String,
    /// The file, `--set` arguments and device from which the workflow can be loaded again.
    pub(crate) source: Origin,
    pub(crate) stage: StageDecl,
    pub(crate) action: Arc<Action>,
    pub(crate) fingerprint: Digest,
    /// The JSON pointer of each reference, with its artifact: a path for workflow inputs, a tree in the store
    /// otherwise.
    pub(crate) inputs: Vec<(String, InputArtifact, Source)>,
    pub(crate) machine: Machine,
    /// GPUs that the worker may see.
    pub(crate) gpus: Vec<String>,
    /// Files of this run for the log, the curve, and what is being done.
    pub(crate) log: PathBuf,
    pub(crate) metrics: PathBuf,
    pub(crate) doing: PathBuf,
    /// Folder of this run for rows of outputs as they come.
    pub(crate) growing: PathBuf,
    pub(crate) purpose: Purpose,
}

/// What an attempt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Bring the stage up to date, from the newest checkpoint of earlier attempts.
    Make,
    /// Run the stage from its beginning, whatever the store has.
    Forced,
    /// Run a segment again to see whether it gives the same bytes; keeps nothing.
    Verify(Segment),
}

/// Where an input's bytes are.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// The user's file or folder.
    Path {
        /// Files that are part of its digest, though files of these names are else not.
        reads: Vec<String>,
        /// Files and folders beside it, with their digests.
        beside: Vec<(PathBuf, Digest)>,
    },
    /// A tree in the store.
    Tree(Digest),
}

/// The result of an attempt. It is recorded in the store but not synced, so a power cut may still lose it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) record: Record,
    /// Wall time of this attempt.
    pub(crate) seconds: f64,
    unsynced: Unsynced,
    /// Removed with the sync, because removing it takes time and no stage should wait for it.
    dir: AttemptDir,
}

impl Made {
    /// Makes all results durable and removes their attempts' folders. Blocks the thread.
    pub(crate) fn sync(all: Vec<Self>) -> Result<(), store::Error> {
        let (unsynced, _dirs): (Vec<_>, Vec<_>) = all.into_iter().map(|made| (made.unsynced, made.dir)).unzip();
        unsynced.into_iter().collect::<Unsynced>().sync()
    }
}

/// The result of running a segment again.
#[derive(Debug)]
pub(crate) struct Again {
    /// The steps of the checkpoint that it resumed from.
    pub(crate) from: u64,
    /// Digests of the outputs, or of the [`CHECKPOINT`].
    pub(crate) digests: BTreeMap<String, Digest>,
    /// The processor that it ran on, as the worker reports it.
    pub(crate) processor: Option<String>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done(Box<Made>),
    /// For [`Purpose::Verify`].
    Verified(Again),
    /// Another process ran the same stage, and its result is used.
    Shared(Outputs),
    Stopped(u64),
    /// The user stopped the run before a worker had started; checkpoints of earlier attempts are unchanged.
    NotBegun,
    Failed(Failure),
}

/// Makes one attempt.
pub(crate) async fn attempt(
    job: &Arc<Job>,
    number: u32,
    store: &Store,
    options: &Options,
    events: &mpsc::Sender<Event>,
) -> Ended {
    let begun = Instant::now();
    let mut halt = options.halt.clone();
    let (for_job, for_store) = (Arc::clone(job), store.clone());
    let prepared = tokio::select! {
        prepared = off_thread(move || prepare(&for_job, &for_store)) => prepared,
        // No worker has started, so there is no checkpoint to wait for.
        Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::NotBegun,
    };
    let Prepared { dir, request, before, curve, witness } = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return Ended::Failed(failure),
    };
    let (root, events) = (dir.path().to_owned(), Teller::new(events.clone()));
    let doing = DoingFile::begin(job.doing.clone());
    let live = followed(job, &before, &curve).map(Live::begin);
    let (total, processor) = (None, None);
    let mut attempt =
        Attempt { job, store, options, root, events, curve, doing, live, begun, before, witness, total, processor };
    let left = attempt.run(number, request).await;
    let ended = match left {
        Ok(Left::Done(record, unsynced)) => {
            let seconds = attempt.begun.elapsed().as_secs_f64();
            return Ended::Done(Box::new(Made { record: *record, seconds, unsynced, dir }));
        }
        Ok(Left::Verified(digests)) => {
            Ended::Verified(Again { from: attempt.before.step, digests, processor: attempt.processor })
        }
        Ok(Left::Stopped(step)) => Ended::Stopped(step),
        Err(failure) => Ended::Failed(failure),
    };
    // Nothing left in the folder counts, and removing it may take long.
    off_thread(move || drop(dir)).await;
    ended
}

struct Attempt<'a> {
    job: &'a Arc<Job>,
    store: &'a Store,
    options: &'a Options,
    /// The attempt's folder.
    root: PathBuf,
    events: Teller,
    curve: Curve,
    doing: DoingFile,
    /// Writes TensorBoard's events, if they are wanted.
    live: Option<Live>,
    begun: Instant,
    before: Spent,
    witness: crate::worker::death::Witness,
    /// Steps in all, once the worker has told.
    total: Option<u64>,
    processor: Option<String>,
}

/// Returns what TensorBoard's events are made of, if they are wanted. A verification keeps nothing.
fn followed(job: &Job, before: &Spent, curve: &Curve) -> Option<Followed> {
    let dir = job.stage.run.tensorboard.clone().filter(|_| !matches!(job.purpose, Purpose::Verify(_)))?;
    let (path, len) = curve.file();
    Some(Followed {
        dir,
        stage: job.stage.name.to_string(),
        resumed: before.step,
        curve: (path.to_owned(), len),
        growing: job.growing.clone(),
    })
}
