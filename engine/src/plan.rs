//! The plan: for each stage, whether it is fresh, and if not, why.
//!
//! It promises no more than can be known before running: a stage below one that must run is `maybe`, for its input may
//! come out identical (early cutoff), unless its own keys changed, too.

use std::collections::{BTreeMap, HashMap};

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde::Serialize;
use serde_json::Value;
use store::{Digest, Record, Store};

use crate::action::{Action, artifact};
use crate::dirty::{DirtyReason, diff};
use crate::workflow::{Reference, StageDecl, Target, Workflow};

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// An input's content is not what the workflow pins.
    #[error("input `{name}` is {found}, the workflow pins {pinned}")]
    Pin {
        /// The input.
        name: String,
        /// Its digest.
        found: Digest,
        /// The `digest` key.
        pinned: String,
    },
}

/// What an `apply` would do.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    /// The workflow's name.
    pub workflow: String,
    /// Stages in topological order.
    pub rows: Vec<Row>,
}

/// A stage in a plan.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// What would happen.
    pub status: Status,
    /// Why, where it is not fresh.
    pub reasons: Vec<DirtyReason>,
    /// Seconds that it took the last time or, where a step is what it does more or less of, that it would take at that
    /// speed; absent where it never ran.
    pub seconds: Option<f64>,
    /// Its fingerprint, where everything before it is fresh.
    pub fingerprint: Option<Digest>,
}

/// What would happen to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Its outputs are in the store.
    Fresh,
    /// It must run.
    Dirty,
    /// It must run, and continues from a checkpoint.
    Extend {
        /// Steps that are already done.
        from: u64,
        /// Steps in all, where an extent key says so.
        to: Option<u64>,
    },
    /// A stage before it must run; it runs only if that gives other bytes.
    Maybe,
}

impl Plan {
    /// Returns whether nothing would run.
    pub fn is_fresh(&self) -> bool {
        self.rows.iter().all(|row| row.status == Status::Fresh)
    }
}

/// Returns the digests of the workflow's inputs.
pub fn hash_inputs(workflow: &Workflow, store: &Store) -> Result<BTreeMap<String, Digest>, Error> {
    let mut digests = BTreeMap::new();
    for (name, input) in &workflow.inputs {
        let found = store.hash_path(&input.path)?;
        if let Some(pinned) = &input.pin
            && *pinned != found.to_string()
        {
            return Err(Error::Pin { name: name.clone(), found, pinned: pinned.clone() });
        }
        digests.insert(name.clone(), found);
    }
    Ok(digests)
}

/// Plans an `apply` of all stages.
pub fn plan(workflow: &Workflow, store: &Store) -> Result<Plan, Error> {
    let mut planner =
        Planner { workflow, store, inputs: hash_inputs(workflow, store)?, known: HashMap::new(), past: None };
    let rows = workflow.graph.node_indices().map(|node| planner.row(node)).collect::<Result<_, _>>()?;
    Ok(Plan { workflow: workflow.name.clone(), rows })
}

struct Planner<'a> {
    workflow: &'a Workflow,
    store: &'a Store,
    inputs: BTreeMap<String, Digest>,
    /// Outputs of fresh stages, by stage and output name.
    known: HashMap<(String, String), Digest>,
    past: Option<HashMap<String, Vec<Record>>>,
}

impl Planner<'_> {
    fn row(&mut self, node: NodeIndex) -> Result<Row, Error> {
        let stage = &self.workflow.graph[node];
        let row = |status, reasons, seconds| Row {
            stage: stage.name.to_string(),
            kind: stage.kind.clone(),
            status,
            reasons,
            seconds,
            fingerprint: None,
        };
        let upstream = self.unknown_upstream(node);
        if upstream.is_empty() {
            let action = Action::of(stage, |reference| self.resolve(reference).unwrap_or(Value::Null));
            let record = self.store.record(&action.fingerprint())?;
            if let Some(record) = record.filter(|record| self.store.outputs_are_whole(record)) {
                for (output, made) in &record.outputs {
                    self.known.insert((stage.name.to_string(), output.clone()), made.digest);
                }
                let fresh = row(Status::Fresh, Vec::new(), Some(record.seconds));
                return Ok(Row { fingerprint: Some(record.fingerprint), ..fresh });
            }
            let last = self.last_record(stage)?;
            let reasons = self.reasons(last.as_ref(), &action.document)?;
            let status = match resumable(self.store, &action)? {
                Some(from) => Status::Extend { from, to: action.extent() },
                None => Status::Dirty,
            };
            let seconds = match last {
                Some(last) => self.expected_seconds(&last, &action, status)?,
                None => None,
            };
            return Ok(Row { fingerprint: Some(action.fingerprint()), ..row(status, reasons, seconds) });
        }
        let last = self.last_record(stage)?;
        let (own, seconds) = match &last {
            Some(record) => (self.own_changes(stage, record)?, Some(record.seconds)),
            None => (vec![DirtyReason::New], None),
        };
        let status = if own.is_empty() { Status::Maybe } else { Status::Dirty };
        let reasons = own.into_iter().chain(upstream.into_iter().map(|stage| DirtyReason::Upstream { stage }));
        Ok(row(status, reasons.collect(), seconds))
    }

    /// By the last run's speed: a stage that continues pays for the steps that are left, one with more steps for more.
    fn expected_seconds(&self, last: &Record, action: &Action, status: Status) -> Result<Option<f64>, Error> {
        let before = self.store.action(&last.fingerprint)?.and_then(|document| action.extent_in(&document));
        let (Some(before), Some(now)) = (before, action.extent()) else { return Ok(Some(last.seconds)) };
        let done = if let Status::Extend { from, .. } = status { from } else { 0 };
        Ok((before > 0).then(|| last.seconds / before as f64 * now.saturating_sub(done) as f64))
    }

    fn unknown_upstream(&self, node: NodeIndex) -> Vec<String> {
        let graph = &self.workflow.graph;
        let mut names: Vec<String> = graph
            .neighbors_directed(node, Direction::Incoming)
            .map(|upstream| &graph[upstream])
            .filter(|upstream| {
                upstream
                    .outputs
                    .keys()
                    .any(|output| !self.known.contains_key(&(upstream.name.to_string(), output.clone())))
            })
            .map(|upstream| upstream.name.to_string())
            .collect();
        names.sort();
        names
    }

    fn resolve(&self, reference: &Reference) -> Option<Value> {
        match &reference.target {
            Target::Input(name) => {
                let import = &self.workflow.inputs[name].import;
                Some(artifact(reference.artifact, &self.inputs[name], import))
            }
            Target::Output { stage, output } => {
                let digest = self.known.get(&(stage.to_string(), output.clone()))?;
                Some(artifact(reference.artifact, digest, &serde_json::Map::new()))
            }
        }
    }

    /// What would differ even if every stage before this one came out as last time.
    fn own_changes(&mut self, stage: &StageDecl, last: &Record) -> Result<Vec<DirtyReason>, Error> {
        let Some(old) = self.store.action(&last.fingerprint)? else { return Ok(vec![DirtyReason::New]) };
        let new = Action::of(stage, |reference| {
            let before = || old["params"].pointer(&reference.pointer).cloned();
            self.resolve(reference).or_else(before).unwrap_or(Value::Null)
        });
        Ok(diff(&old, &new.document))
    }

    fn reasons(&self, last: Option<&Record>, new: &Value) -> Result<Vec<DirtyReason>, Error> {
        let Some(last) = last else { return Ok(vec![DirtyReason::New]) };
        let Some(old) = self.store.action(&last.fingerprint)? else { return Ok(vec![DirtyReason::New]) };
        let reasons = diff(&old, new);
        Ok(if reasons.is_empty() { vec![DirtyReason::OutputsMissing] } else { reasons })
    }

    /// The newest record of a stage of this name, of this workflow if there is one: a variant of a workflow is told how it
    /// differs from it. All records are read at most once a plan, and only if one is asked for.
    fn last_record(&mut self, stage: &StageDecl) -> Result<Option<Record>, Error> {
        if self.past.is_none() {
            self.past = Some(self.store.records_by_stage()?);
        }
        let past = self.past.as_ref().and_then(|past| past.get(&stage.name.0)).map(Vec::as_slice).unwrap_or_default();
        let of_kind = || past.iter().filter(|record| record.kind == stage.kind);
        Ok(of_kind().find(|record| record.workflow == self.workflow.name).or_else(|| of_kind().next()).cloned())
    }
}

/// Returns the most steps that a checkpoint in the store has done of an action.
pub fn resumable(store: &Store, action: &Action) -> Result<Option<u64>, store::Error> {
    Ok(find_checkpoint(store, action)?.map(|(_, checkpoint)| checkpoint.step))
}

/// Returns the largest usable checkpoint of an action, with its key.
///
/// The prefix at step n differs from the one at n + 1 only where a `from-step` lies between them, so there are few
/// distinct keys, and each is a folder whose names are the steps.
pub fn find_checkpoint(
    store: &Store,
    action: &Action,
) -> Result<Option<(Digest, store::CheckpointRecord)>, store::Error> {
    let limit = action.extent().unwrap_or(u64::MAX);
    let mut bounds = from_steps(&action.document);
    bounds.retain(|bound| *bound < limit);
    bounds.push(limit);
    bounds.sort_unstable();
    bounds.dedup();
    // A checkpoint of n steps with bounds[i-1] < n <= bounds[i] has the prefix fingerprint of bounds[i].
    for index in (0..bounds.len()).rev() {
        let upper = bounds[index];
        let lower = if index == 0 { 0 } else { bounds[index - 1] };
        let key = action.prefix_fingerprint(upper);
        for step in store.checkpoint_steps(&key)?.into_iter().rev().filter(|step| (lower + 1..=upper).contains(step)) {
            if let Some(checkpoint) = store.checkpoint(&key, step)? {
                return Ok(Some((key, checkpoint)));
            }
        }
    }
    Ok(None)
}

fn from_steps(document: &Value) -> Vec<u64> {
    match document {
        Value::Object(entries) => {
            let own = entries.get("from-step").and_then(Value::as_u64);
            own.into_iter().chain(entries.values().flat_map(from_steps)).collect()
        }
        Value::Array(items) => items.iter().flat_map(from_steps).collect(),
        _ => Vec::new(),
    }
}
