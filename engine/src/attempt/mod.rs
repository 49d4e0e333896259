//! One attempt at a stage: from a fingerprint without a record to a record, or to a reason why not.
//!
//! ```text
//! attempts/zero-…/
//! ├── input-<digest>/      what references point at, linked from the store
//! ├── checkpoints/<n>/     moved into the store as they come
//! └── output-<name>/       moved into the store at the end; then the record is written
//! ```
//! Nobody else writes there, and nothing in it counts until it is in the store: a worker that outlives its engine can
//! spoil nothing. What a killed engine leaves there the next `apply` sweeps away.
//!
//! [`prepare`] lays out what the worker reads, [`follow`] listens to it, [`publish`] takes what it has made, [`log`] what it
//! writes besides.

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
use crate::event::Event;
use crate::failure::Failure;
use crate::options::{Halt, Options};
use crate::trajectory::Segment;
use crate::worker::protocol::{InputArtifact, Machine};
use crate::workflow::StageDecl;
use follow::Left;
use prepare::{Prepared, Spent, prepare};
use teller::Teller;
pub(crate) use teller::WAITING;

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

/// What an attempt made. It is in the store and recorded; a power cut may still take it.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) record: Record,
    /// Wall time of this attempt.
    pub(crate) seconds: f64,
    unsynced: Unsynced,
    /// Kept as long: removing it takes time, which no stage should wait for.
    dir: AttemptDir,
}

impl Made {
    /// Makes all of them durable and tidies up. Blocks the thread.
    pub(crate) fn sync(all: Vec<Self>) -> Result<(), store::Error> {
        let (unsynced, _dirs): (Vec<_>, Vec<_>) = all.into_iter().map(|made| (made.unsynced, made.dir)).unzip();
        unsynced.into_iter().collect::<Unsynced>().sync()
    }
}

/// What came of running a part of a stage again.
#[derive(Debug)]
pub(crate) struct Again {
    /// The steps of the checkpoint that it went on from.
    pub(crate) from: u64,
    /// Digests of the outputs, or of the [`CHECKPOINT`].
    pub(crate) digests: BTreeMap<String, Digest>,
    /// What it ran on, as the worker tells.
    pub(crate) processor: Option<String>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done(Box<Made>),
    /// For [`Purpose::Verify`].
    Verified(Again),
    /// Another process was at the same, and its result is taken.
    Shared(Outputs),
    Stopped(u64),
    /// The user wanted the end before a worker was at it; what earlier attempts have kept is as it was.
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
        // Nothing has begun: there is no checkpoint to wait for.
        Ok(_) = halt.wait_for(|halt| *halt != Halt::Run) => return Ended::NotBegun,
    };
    let Prepared { dir, request, before, curve, witness } = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => return Ended::Failed(failure),
    };
    let (root, events) = (dir.path().to_owned(), Teller::new(events.clone()));
    let mut attempt = Attempt { job, store, options, root, events, curve, begun, before, witness, processor: None };
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
    // What is left in it counts for nothing, and may be much.
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
    begun: Instant,
    before: Spent,
    witness: crate::worker::death::Witness,
    processor: Option<String>,
}
