//! Runs stages again to see whether they give the same bytes.
//!
//! For a stage that trains, segments are drawn at random. Each goes from a checkpoint that is kept (or the beginning)
//! to the next step whose state is on record (or the end), so a verification costs a segment and not the whole stage. A
//! stage without checkpoints is one segment. The outputs of a verification are not kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use petgraph::graph::NodeIndex;
use serde::Serialize;
use store::{Digest, Record, Store};
use tokio::sync::mpsc;

use crate::action::Action;
use crate::attempt::{Again, CHECKPOINT, Ended, Purpose, WAITING, attempt};
use crate::blocking::off_thread;
use crate::event::Event;
use crate::exec::keeper;
use crate::options::{Halt, Options};
use crate::past::Past;
use crate::pools::{Pools, needs};
use crate::prefix::{Segment, segments};
use crate::run;
use crate::schedule::launch::{inputs, job, machine};
use crate::schedule::{Error, look_at_inputs};
use crate::select::select;
use crate::workflow::Workflow;

/// The result of running a segment of a stage again.
#[derive(Clone, Debug, Serialize)]
pub struct Rerun {
    /// The stage.
    pub stage: String,
    /// Steps done before the segment.
    pub from: u64,
    /// The step that it ends with; `None` if it ends with the stage.
    pub to: Option<u64>,
    /// Wall time.
    pub seconds: f64,
    /// Whether it gave the same bytes.
    pub outcome: Comparison,
    /// The processor on record and the processor now, if they differ: other instruction sets may give other bits.
    pub processors: Option<(String, String)>,
}

/// Whether a segment gave the same bytes again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// Every output, or the training state, has the digest on record.
    Same,
    /// These differ: name, digest on record, digest now.
    Differs(Vec<(String, Digest, Digest)>),
    /// The user stopped the verification.
    Stopped,
    /// It is not fresh, so there is nothing to compare with.
    NotFresh,
    /// It could not be run.
    Failed(String),
}

/// Which segments are run again.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Most segments of one stage.
    pub segments: usize,
    /// Another seed draws other segments.
    pub seed: u64,
}

impl Sample {
    /// Returns segments drawn without replacement, in order of their steps.
    fn of(&self, stage: &str, mut all: Vec<Segment>) -> Vec<Segment> {
        let Self { segments, seed } = self;
        all.sort_by_cached_key(|segment| Digest::of(format!("{seed} {stage} {}", segment.from).as_bytes()));
        all.truncate(*segments);
        all.sort_by_key(|segment| segment.from);
        all
    }
}

/// Runs drawn segments of the selected stages again, one after the other. `on_event` receives events meanwhile.
pub async fn verify(
    workflow: &Workflow,
    store: &Store,
    draw: Sample,
    options: &Options,
    mut on_event: impl FnMut(&Event),
) -> Result<Vec<Rerun>, Error> {
    let wanted = select(workflow, &options.selection)?.wanted;
    Pools::new(&options.pools, &options.gpus).check(workflow, options.threads)?;
    let is_halted = || *options.halt.borrow() != Halt::Run;
    let mut verdicts = Vec::new();
    let Some(inputs) = look_at_inputs(workflow, store, options).await? else {
        let stopped = |node: NodeIndex| Rerun {
            stage: workflow.graph[node].name.to_string(),
            from: 0,
            to: None,
            seconds: 0.0,
            outcome: Comparison::Stopped,
            processors: None,
        };
        return Ok(wanted.into_iter().map(stopped).collect());
    };
    let past = Past::of(workflow, store, inputs)?;
    for node in wanted {
        let stage = workflow.graph[node].name.to_string();
        let Some((action, record)) = past.records.get(&node) else {
            let outcome = Comparison::NotFresh;
            verdicts.push(Rerun { stage, from: 0, to: None, seconds: 0.0, outcome, processors: None });
            continue;
        };
        for segment in draw.of(&stage, segments(store, action)?) {
            let begun = Instant::now();
            let (outcome, processors) = if is_halted() {
                (Comparison::Stopped, None)
            } else {
                again(&past, node, segment, (action, record), options, &mut on_event).await?
            };
            let (stage, to, seconds) = (stage.clone(), segment.to.map(|(step, _)| step), begun.elapsed().as_secs_f64());
            verdicts.push(Rerun { stage, from: segment.from, to, seconds, outcome, processors });
        }
    }
    keeper::rest();
    Ok(verdicts)
}

async fn again(
    past: &Past<'_>,
    node: NodeIndex,
    segment: Segment,
    (action, record): (&Arc<Action>, &Record),
    options: &Options,
    on_event: &mut impl FnMut(&Event),
) -> Result<(Comparison, Option<(String, String)>), Error> {
    let (workflow, stage) = (past.workflow, &past.workflow.graph[node]);
    let needs = needs(stage, options.threads);
    let lent = Pools::new(&options.pools, &options.gpus).lend(&needs).unwrap_or_default();
    let known = |reference: &_| past.digest(reference).expect("a fresh stage's inputs are known");
    let inputs = inputs(workflow, stage, &past.inputs, known);
    let folder = past.store.new_attempt_dir("verify")?;
    fs_err::create_dir(run::stages_dir(folder.path()))?;
    let stops = segment.to.iter().map(|(step, _)| *step).collect();
    let machine = machine(stage, &lent, stops, options);
    let decided = (Arc::clone(action), record.fingerprint);
    let source = run::source(past.store, workflow);
    let job =
        job((workflow, source), folder.path(), stage, decided, (&lent, machine), inputs, Purpose::Verify(segment));
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let ended = {
        let running = attempt(&job, 1, past.store, options, &sender);
        tokio::pin!(running);
        loop {
            tokio::select! {
                Some(event) = receiver.recv() => on_event(&event),
                ended = &mut running => break ended,
            }
        }
    };
    // The last events of the attempt.
    while let Ok(event) = receiver.try_recv() {
        on_event(&event);
    }
    off_thread(move || drop(folder)).await;
    let outcome = match ended {
        Ended::Verified(Again { from, .. }) if from != segment.from => Comparison::Failed(format!(
            "the checkpoint of step {} was removed meanwhile: run `verify` again",
            segment.from
        )),
        Ended::Verified(Again { digests, processor, .. }) => {
            let two = record.processor.clone().zip(processor).filter(|(was, is)| was != is);
            return Ok((compare(segment, record, &digests), two));
        }
        Ended::Failed(failure) => Comparison::Failed(failure.message),
        Ended::Stopped(_) | Ended::NotBegun => Comparison::Stopped,
        Ended::Done(_) | Ended::Shared(_) => unreachable!("an attempt to verify makes nothing"),
    };
    Ok((outcome, None))
}

fn compare(segment: Segment, record: &Record, found: &BTreeMap<String, Digest>) -> Comparison {
    let recorded: Vec<(String, Digest)> = match segment.to {
        Some((_, digest)) => vec![(CHECKPOINT.to_owned(), digest)],
        None => record.outputs.iter().map(|(name, made)| (name.clone(), made.digest)).collect(),
    };
    let differing = recorded.into_iter().filter_map(|(name, was)| {
        let is = found.get(&name).copied().unwrap_or_else(|| Digest::of(b""));
        (is != was).then_some((name, was, is))
    });
    let differing: Vec<_> = differing.collect();
    if differing.is_empty() { Comparison::Same } else { Comparison::Differs(differing) }
}
