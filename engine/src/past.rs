//! The fresh stages of a workflow as it is now, with their actions and records.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use store::{Alive, Digest, Record, Store};

use crate::action::{Action, artifact};
use crate::plan::{self, hash_inputs, hash_some_inputs};
use crate::prefix::prefixes;
use crate::select::reached;
use crate::workflow::{Reference, StageName, Target, Workflow, import};

/// What a workflow can use of a store.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// Records of its stages, checkpoints that they can resume from, rows that need not be sampled again.
    pub alive: Alive,
    /// Stages that are not fresh: what they will need is unknown.
    pub stale: Vec<StageName>,
}

/// Returns what a workflow as it is now can use of a store.
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

/// The action and record of a stage, under its workflow as it is now.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Its action; `None` if an upstream stage is not fresh.
    pub action: Option<Arc<Action>>,
    /// The record of its result; `None` if it is not fresh.
    pub record: Option<Record>,
}

/// Returns the action and record of a stage, under its workflow as it is now; `None` if the workflow has no such stage.
/// Reads only inputs that the stage depends on.
pub fn standing(workflow: &Workflow, store: &Store, stage: &str) -> Result<Option<Standing>, plan::Error> {
    let Some(node) = workflow.graph.node_indices().find(|node| workflow.graph[*node].name.0 == stage) else {
        return Ok(None);
    };
    let stages = reached(workflow, [node].into(), Direction::Incoming);
    let read = stages.iter().flat_map(|node| &workflow.graph[*node].references);
    let read = read.filter_map(|reference| match &reference.target {
        Target::Input(name) => Some(name.as_str()),
        Target::Output { .. } => None,
    });
    let inputs = hash_some_inputs(workflow, store, &read.collect())?;
    let mut past = Past::among(workflow, store, &stages, inputs)?;
    let (action, record) = match past.records.remove(&node) {
        Some((action, record)) => (Some(action), Some(record)),
        None => (past.action(node).map(Arc::new), None),
    };
    Ok(Some(Standing { action, record }))
}

/// The fresh stages of a workflow.
pub(crate) struct Past<'a> {
    pub(crate) workflow: &'a Workflow,
    pub(crate) store: &'a Store,
    pub(crate) inputs: BTreeMap<String, Digest>,
    nodes: HashMap<&'a str, NodeIndex>,
    /// Actions and records of the fresh stages.
    pub(crate) records: HashMap<NodeIndex, (Arc<Action>, Record)>,
}

impl<'a> Past<'a> {
    pub(crate) fn read(workflow: &'a Workflow, store: &'a Store) -> Result<Self, plan::Error> {
        Self::of(workflow, store, hash_inputs(workflow, store)?)
    }

    /// Does the same as `read`, with digests of the inputs that are known already.
    pub(crate) fn of(
        workflow: &'a Workflow,
        store: &'a Store,
        inputs: BTreeMap<String, Digest>,
    ) -> Result<Self, plan::Error> {
        Self::among(workflow, store, &workflow.graph.node_indices().collect(), inputs)
    }

    /// Finds the fresh ones of `stages`, which include everything upstream of each.
    fn among(
        workflow: &'a Workflow,
        store: &'a Store,
        stages: &BTreeSet<NodeIndex>,
        inputs: BTreeMap<String, Digest>,
    ) -> Result<Self, plan::Error> {
        let nodes = workflow.graph.node_indices().map(|node| (workflow.graph[node].name.0.as_str(), node)).collect();
        let mut past = Self { workflow, store, inputs, nodes, records: HashMap::new() };
        // Nodes are in topological order, so upstream stages come first.
        for node in stages.iter().copied() {
            let Some(action) = past.action(node) else { continue };
            if let Some(record) = store.record(&action.fingerprint())?.filter(|record| store.outputs_are_whole(record))
            {
                past.records.insert(node, (Arc::new(action), record));
            }
        }
        Ok(past)
    }

    /// Returns the action of a stage; `None` if an upstream stage is not fresh.
    fn action(&self, node: NodeIndex) -> Option<Action> {
        let stage = &self.workflow.graph[node];
        if stage.references.iter().any(|reference| self.digest(reference).is_none()) {
            return None;
        }
        Some(Action::of(stage, |reference| {
            let digest = self.digest(reference).expect("each has one");
            artifact(reference.artifact, &digest, &import(self.workflow, reference, &self.inputs))
        }))
    }

    /// Returns the digest of what a reference points at; `None` if its stage is not fresh.
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
