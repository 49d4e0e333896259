//! What has been done of a workflow as it stands: its fresh stages, with the actions and records behind them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use store::{Alive, Digest, Record, Store};

use crate::action::{Action, artifact};
use crate::plan::{self, hash_inputs};
use crate::schedule::launch::import;
use crate::trajectory::prefixes;
use crate::workflow::{Reference, StageName, Target, Workflow};

/// What a workflow reaches of a store.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Records of its stages, checkpoints that they can be continued from, rows that need not be sampled again.
    pub alive: Alive,
    /// Stages that are not fresh: what they will need nobody knows.
    pub stale: Vec<StageName>,
}

/// Returns what a workflow as it stands reaches of a store.
pub fn reach(workflow: &Workflow, store: &Store) -> Result<Reach, plan::Error> {
    let past = Past::read(workflow, store)?;
    let mut reach = Reach::default();
    for node in workflow.graph.node_indices() {
        match past.records.get(&node) {
            None => reach.stale.push(workflow.graph[node].name.clone()),
            Some((action, record)) => {
                reach.alive.records.insert(record.fingerprint);
                reach.alive.checkpoints.extend(prefixes(action, u64::MAX).into_iter().map(|(key, _)| key));
                reach.alive.rows.extend(action.row_key());
            }
        }
    }
    Ok(reach)
}

/// What is fresh, and by which actions.
pub(crate) struct Past<'a> {
    pub(crate) workflow: &'a Workflow,
    pub(crate) store: &'a Store,
    inputs: BTreeMap<String, Digest>,
    nodes: HashMap<&'a str, NodeIndex>,
    /// Of the stages that are fresh.
    pub(crate) records: HashMap<NodeIndex, (Arc<Action>, Record)>,
}

impl<'a> Past<'a> {
    pub(crate) fn read(workflow: &'a Workflow, store: &'a Store) -> Result<Self, plan::Error> {
        Self::of(workflow, store, hash_inputs(workflow, store)?)
    }

    /// Does the same where the digests of the inputs are known.
    pub(crate) fn of(
        workflow: &'a Workflow,
        store: &'a Store,
        inputs: BTreeMap<String, Digest>,
    ) -> Result<Self, plan::Error> {
        let nodes = workflow.graph.node_indices().map(|node| (workflow.graph[node].name.0.as_str(), node)).collect();
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

    /// Returns the digest of what a reference points at, unless its stage is not fresh.
    pub(crate) fn digest(&self, reference: &Reference) -> Option<Digest> {
        match &reference.target {
            Target::Input(name) => self.inputs.get(name).copied(),
            Target::Output { stage, output } => {
                let (_, record) = self.records.get(self.nodes.get(stage.0.as_str())?)?;
                record.outputs.get(output).map(|made| made.digest)
            }
        }
    }
}
