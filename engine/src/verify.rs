//! Running stages again to see whether they give the same bytes.
//!
//! A stage that trains is run from its last checkpoint but the final one, so a verification costs a segment and not the
//! whole; one without checkpoints is run from the beginning. Nothing that it makes is kept.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use petgraph::graph::NodeIndex;
use serde::Serialize;
use store::{Digest, Record, Store};
use tokio::sync::mpsc;

use crate::action::{Action, artifact};
use crate::attempt::{Ended, Purpose, attempt};
use crate::event::Event;
use crate::plan::hash_inputs;
use crate::pools::{Pools, needs};
use crate::schedule::launch::{import, inputs, job, machine};
use crate::schedule::{Error, Options};
use crate::select::select;
use crate::workflow::{Reference, Target, Workflow};

/// What came of running a stage again.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The stage.
    pub stage: String,
    /// Steps that were not run again.
    pub from: u64,
    /// Wall time.
    pub seconds: f64,
    /// Whether it gave the same.
    pub outcome: Outcome,
}

/// Whether a stage gave the same again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every output has the digest on record.
    Same,
    /// These have others: name, digest on record, digest now.
    Differs(Vec<(String, Digest, Digest)>),
    /// It is not fresh, so there is nothing to compare with.
    NotFresh,
    /// It could not be run.
    Failed(String),
}

/// Runs the stages of the selection again, one after the other. `on_event` sees what happens meanwhile.
pub async fn verify(
    workflow: &Workflow,
    store: &Store,
    options: &Options,
    mut on_event: impl FnMut(&Event),
) -> Result<Vec<Verdict>, Error> {
    let wanted = select(workflow, &options.selection)?.wanted;
    Pools::new(&options.pools, &options.gpus).check(workflow, options.threads)?;
    let past = Past::read(workflow, store)?;
    let mut verdicts = Vec::new();
    for node in wanted {
        let begun = Instant::now();
        let (from, outcome) = match past.records.get(&node) {
            None => (0, Outcome::NotFresh),
            Some((action, record)) => again(&past, node, action, record, options, &mut on_event).await?,
        };
        let stage = workflow.graph[node].name.to_string();
        verdicts.push(Verdict { stage, from, seconds: begun.elapsed().as_secs_f64(), outcome });
    }
    Ok(verdicts)
}

/// What is fresh, and by which actions.
struct Past<'a> {
    workflow: &'a Workflow,
    store: &'a Store,
    inputs: BTreeMap<String, Digest>,
    nodes: HashMap<&'a str, NodeIndex>,
    records: HashMap<NodeIndex, (Arc<Action>, Record)>,
}

impl<'a> Past<'a> {
    fn read(workflow: &'a Workflow, store: &'a Store) -> Result<Self, Error> {
        let nodes = workflow.graph.node_indices().map(|node| (workflow.graph[node].name.0.as_str(), node)).collect();
        let inputs = hash_inputs(workflow, store)?;
        let mut past = Self { workflow, store, inputs, nodes, records: HashMap::new() };
        for node in workflow.graph.node_indices() {
            let stage = &workflow.graph[node];
            if stage.references.iter().any(|reference| past.digest(reference).is_none()) {
                continue;
            }
            let action = Action::of(stage, |reference| {
                let digest = past.digest(reference).expect("each has one");
                artifact(reference.artifact, &digest, &import(workflow, reference))
            });
            if let Some(record) = store.record(&action.fingerprint())?.filter(|record| store.outputs_are_whole(record))
            {
                past.records.insert(node, (Arc::new(action), record));
            }
        }
        Ok(past)
    }

    fn digest(&self, reference: &Reference) -> Option<Digest> {
        match &reference.target {
            Target::Input(name) => self.inputs.get(name).copied(),
            Target::Output { stage, output } => {
                let (_, record) = self.records.get(self.nodes.get(stage.0.as_str())?)?;
                record.outputs.get(output).map(|made| made.digest)
            }
        }
    }
}

async fn again(
    past: &Past<'_>,
    node: NodeIndex,
    action: &Arc<Action>,
    record: &Record,
    options: &Options,
    on_event: &mut impl FnMut(&Event),
) -> Result<(u64, Outcome), Error> {
    let (workflow, stage) = (past.workflow, &past.workflow.graph[node]);
    let needs = needs(stage, &workflow.device, options.threads);
    let lent = Pools::new(&options.pools, &options.gpus).lend(&needs).unwrap_or_default();
    let inputs = inputs(workflow, stage, |reference| past.digest(reference).expect("a fresh stage's inputs are known"));
    let purpose = Purpose::Verify { below: action.extent().map_or(0, |steps| steps.saturating_sub(1)) };
    let folder = past.store.new_attempt_dir("verify")?;
    let machine = machine(workflow, stage, &lent, Vec::new(), options);
    let decided = (Arc::clone(action), record.fingerprint);
    let job = job(workflow, folder.path(), stage, decided, (&lent, machine), inputs, purpose)?;
    let (sender, mut receiver) = mpsc::unbounded_channel();
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
    Ok(match ended {
        Ended::Verified(from, digests) => (from, compare(record, &digests)),
        Ended::Failed(failure) => (0, Outcome::Failed(failure.message)),
        Ended::Stopped(step) => (step, Outcome::Failed("it was stopped".to_owned())),
        Ended::Done(_) | Ended::Shared(_) => unreachable!("an attempt to verify makes nothing"),
    })
}

fn compare(record: &Record, found: &BTreeMap<String, Digest>) -> Outcome {
    let outputs = record.outputs.iter().filter_map(|(name, made)| {
        let found = found.get(name).copied().unwrap_or_else(|| Digest::of(b""));
        (found != made.digest).then(|| (name.clone(), made.digest, found))
    });
    let differing: Vec<_> = outputs.collect();
    if differing.is_empty() { Outcome::Same } else { Outcome::Differs(differing) }
}
