//! The plan: for each stage, whether it is fresh, and if not, why.
//!
//! It promises no more than can be known before running. A stage downstream of one that must run is `maybe`, because
//! its input may turn out identical (early cutoff), unless its own keys have values that it never ran with.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{Digest, Record, Store};

use crate::action::{self, Action, artifact, placeholder};
use crate::dirty::{DirtyReason, diff};
use crate::forecast::{Forecast, PastRuns};
use crate::pools::{GPUS, needs};
use crate::prefix::resumable;
use crate::select::{NoStage, Selected, Selection, inputs, select};
use crate::workflow::hub::HubId;
use crate::workflow::{Reference, StageDecl, Target, Workflow, import};

/// Why a plan cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store returned an error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A stage that the user named does not exist.
    #[error(transparent)]
    NoStage(#[from] NoStage),
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
    /// An input that is needed has not been fetched from its hub.
    #[error("input `{name}`, `{id}`, is not fetched yet")]
    NotFetched {
        /// The input.
        name: String,
        /// Its id.
        id: HubId,
    },
}

/// What an `apply` would do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The workflow's name.
    pub workflow: String,
    /// Stages in topological order.
    pub rows: Vec<PlanRow>,
}

/// A stage in a plan.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlanRow {
    /// The stage.
    pub stage: String,
    /// Its kind.
    pub kind: String,
    /// What would happen.
    pub status: RowStatus,
    /// Why, where it is not fresh.
    pub reasons: Vec<DirtyReason>,
    /// Digest of everything that decides it, as far as it is known now: outputs that do not exist yet count by their
    /// names.
    pub key: Digest,
    /// Its fingerprint, if everything upstream is fresh.
    pub fingerprint: Option<Digest>,
    /// Number of rows that earlier runs have sampled from the same model; the stage reuses those that it needs.
    pub known_rows: Option<u64>,
    /// What it is expected to cost, if it is not fresh.
    pub forecast: Option<Box<Forecast>>,
}

impl PlanRow {
    /// Returns whether another plan decides the same for the stage; reasons, known rows and forecast may differ.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let decided = |row: &Self| (row.stage.clone(), row.kind.clone(), row.status, row.key, row.fingerprint);
        decided(self) == decided(other)
    }
}

/// What would happen to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RowStatus {
    /// Its outputs are in the store.
    Fresh,
    /// It must run.
    Dirty,
    /// It must run, and continues from a checkpoint.
    Extend {
        /// Steps that are already done.
        from: u64,
        /// Steps in all, if the kind has an extent key.
        to: Option<u64>,
    },
    /// An upstream stage must run; this stage runs only if that gives other bytes.
    Maybe,
}

impl Plan {
    /// Returns whether nothing would run.
    pub fn is_fresh(&self) -> bool {
        self.rows.iter().all(|row| row.status == RowStatus::Fresh)
    }
}

/// Returns the digests of the workflow's inputs, except those that have not been fetched.
pub fn hash_inputs(workflow: &Workflow, store: &Store) -> Result<BTreeMap<String, Digest>, Error> {
    hash_each(to_hash(workflow), store)
}

/// An input that is on this machine.
pub(crate) struct ToHash {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Files that are part of its digest, though files of these names are else not.
    pub(crate) reads: Vec<String>,
    /// The digest that the workflow pins.
    pub(crate) pin: Option<String>,
}

/// Returns the inputs that are on this machine.
pub(crate) fn to_hash(workflow: &Workflow) -> Vec<ToHash> {
    let inputs = workflow.inputs.iter().flat_map(|(name, input)| {
        let own = input.path().map(|path| ToHash {
            name: name.clone(),
            path: path.to_owned(),
            reads: input.reads.clone(),
            pin: input.pin.clone(),
        });
        let beside = input.beside(name).map(|(_, name, path)| ToHash {
            name,
            path: path.to_owned(),
            reads: Vec::new(),
            pin: None,
        });
        own.into_iter().chain(beside)
    });
    inputs.collect()
}

/// Does the same as [`hash_inputs`] for inputs of these names alone.
pub(crate) fn hash_some_inputs(
    workflow: &Workflow,
    store: &Store,
    names: &BTreeSet<&str>,
) -> Result<BTreeMap<String, Digest>, Error> {
    let is_wanted = |name: &str| names.contains(name.split_once('.').map_or(name, |(input, _)| input));
    hash_each(to_hash(workflow).into_iter().filter(|input| is_wanted(&input.name)).collect(), store)
}

/// Returns the digests of inputs. Reads every file whose digest is not cached, and blocks the thread meanwhile.
pub(crate) fn hash_each(inputs: Vec<ToHash>, store: &Store) -> Result<BTreeMap<String, Digest>, Error> {
    let digests = inputs.into_iter().map(|ToHash { name, path, reads, pin }| {
        let found = store.hash_path(&path, &reads)?;
        match pin {
            Some(pinned) if pinned != found.to_string() => Err(Error::Pin { name, found, pinned }),
            _ => Ok((name, found)),
        }
    });
    digests.collect()
}

/// Fails unless every hub input that a selection reads has been fetched.
pub fn check_fetched(workflow: &Workflow, selection: &Selection) -> Result<(), Error> {
    let missing = |name: &str| workflow.inputs[name].unfetched().map(|id| (name.to_owned(), id.clone()));
    match inputs(workflow, selection)?.into_iter().find_map(missing) {
        Some((name, id)) => Err(Error::NotFetched { name, id }),
        None => Ok(()),
    }
}

/// Plans an `apply` of a selection of stages. Other stages that these need also have rows, unless they are fresh.
pub fn plan(workflow: &Workflow, store: &Store, selection: &Selection) -> Result<Plan, Error> {
    let mut planner = Planner {
        workflow,
        store,
        inputs: hash_inputs(workflow, store)?,
        selected: select(workflow, selection)?,
        known: HashMap::with_capacity(workflow.graph.node_count()),
        past_runs: None,
    };
    let mut rows = Vec::with_capacity(workflow.graph.node_count());
    for node in workflow.graph.node_indices() {
        let (is_wanted, is_given) = (planner.selected.wanted.contains(&node), planner.selected.given.contains(&node));
        if is_wanted || is_given {
            let row = planner.row(node)?;
            rows.extend(Some(row).filter(|row| is_wanted || row.status != RowStatus::Fresh));
        }
    }
    Ok(Plan { workflow: workflow.name.clone(), rows })
}

struct Planner<'a> {
    workflow: &'a Workflow,
    store: &'a Store,
    inputs: BTreeMap<String, Digest>,
    selected: Selected,
    /// Outputs of fresh stages, by stage and output name.
    known: HashMap<(&'a str, &'a str), Digest>,
    /// Read at most once per plan, and only if a stage is not fresh.
    past_runs: Option<PastRuns>,
}

impl Planner<'_> {
    fn row(&mut self, node: NodeIndex) -> Result<PlanRow, Error> {
        let (workflow, store) = (self.workflow, self.store);
        let stage = &workflow.graph[node];
        let upstream = self.unknown_upstream(node);
        // Outputs that do not exist yet and inputs that are not fetched are hashed as placeholders.
        let resolve = |planner: &Self, reference: &Reference| match &reference.target {
            Target::Output { stage, output } => {
                planner.resolve(reference).unwrap_or_else(|| placeholder(&stage.0, output))
            }
            Target::Input(name) => planner.resolve(reference).unwrap_or_else(|| placeholder("inputs", name)),
        };
        let key = action::fingerprint(stage, |reference| resolve(self, reference));
        let unfetched = self.unfetched(stage);
        let is_known = upstream.is_empty() && unfetched.is_empty();
        let fingerprint = is_known.then_some(key);
        let is_forced = self.selected.forced.contains(&node);
        let mut row = PlanRow {
            stage: stage.name.to_string(),
            kind: stage.kind.clone(),
            status: RowStatus::Fresh,
            reasons: Vec::new(),
            key,
            fingerprint,
            known_rows: None,
            forecast: None,
        };
        if let Some(fingerprint) = fingerprint.filter(|_| !is_forced)
            && let Some(outputs) = store.fresh_outputs(&fingerprint)?
        {
            for output in stage.outputs.keys() {
                let made = outputs.iter().find(|(name, _)| name == output);
                self.known.extend(made.map(|(_, digest)| ((stage.name.0.as_str(), output.as_str()), *digest)));
            }
            return Ok(row);
        }
        let action = Action::of(stage, |reference| resolve(self, reference));
        let past_runs = self.past_runs()?;
        let last = past_runs.last(stage, &workflow.name).cloned();
        row.reasons = match (&last, is_forced) {
            (_, true) => vec![DirtyReason::Forced],
            (None, false) => vec![DirtyReason::New],
            (Some(last), false) if is_known => self.changes(stage, last, &action.document)?,
            (Some(last), false) => self.own_changes(stage, last)?,
        };
        let past_runs = self.past_runs()?;
        row.status = match fingerprint.filter(|_| !is_forced) {
            Some(_) => match resumable(store, &action)? {
                Some(from) => RowStatus::Extend { from, to: action.extent() },
                None => RowStatus::Dirty,
            },
            // It has run with these parameters before; whether it is fresh depends on its upstream outputs.
            None if !is_forced && past_runs.has_run_with(store, &action)? => RowStatus::Maybe,
            None => RowStatus::Dirty,
        };
        if let (Some(key), Some(_)) = (action.row_key().filter(|_| !is_forced), fingerprint) {
            row.known_rows = Some(store.rows(&key)?.iter().map(|part| part.rows).sum()).filter(|rows| *rows > 0);
        }
        let done = if let RowStatus::Extend { from, .. } = row.status { from } else { 0 };
        let gpus = needs(stage, 1).get(GPUS).copied().unwrap_or(0);
        let past_runs = self.past_runs()?;
        row.forecast = Some(past_runs.forecast(store, last.as_ref(), (&action, &row.reasons), done, gpus)?.into());
        row.reasons.extend(upstream.into_iter().map(|stage| DirtyReason::Upstream { stage }));
        row.reasons.extend(unfetched.into_iter().map(|input| DirtyReason::NotFetched { input }));
        Ok(row)
    }

    fn past_runs(&mut self) -> Result<&mut PastRuns, store::Error> {
        match &mut self.past_runs {
            Some(past_runs) => Ok(past_runs),
            none => Ok(none.insert(PastRuns::read(self.store)?)),
        }
    }

    fn unknown_upstream(&self, node: NodeIndex) -> Vec<String> {
        let graph = &self.workflow.graph;
        let is_unknown = |upstream: &&StageDecl| {
            let name = upstream.name.0.as_str();
            upstream.outputs.keys().any(|output| !self.known.contains_key(&(name, output.as_str())))
        };
        let before = graph.neighbors_directed(node, Direction::Incoming).map(|upstream| &graph[upstream]);
        let mut names: Vec<String> = before.filter(is_unknown).map(|upstream| upstream.name.to_string()).collect();
        names.sort();
        names
    }

    /// Returns the ids of inputs whose content is not known yet.
    fn unfetched(&self, stage: &StageDecl) -> BTreeSet<String> {
        let missing = stage.references.iter().filter_map(|reference| match &reference.target {
            Target::Input(name) => self.workflow.inputs[name].unfetched(),
            Target::Output { .. } => None,
        });
        missing.map(HubId::to_string).collect()
    }

    fn resolve(&self, reference: &Reference) -> Option<Value> {
        match &reference.target {
            Target::Input(name) => {
                let import = import(self.workflow, reference, &self.inputs);
                Some(artifact(reference.artifact, self.inputs.get(name)?, &import))
            }
            Target::Output { stage, output } => {
                let digest = self.known.get(&(stage.0.as_str(), output.as_str()))?;
                Some(artifact(reference.artifact, digest, &serde_json::Map::new()))
            }
        }
    }

    /// Returns the differences that remain if every upstream stage gives the same outputs as last time.
    fn own_changes(&self, stage: &StageDecl, last: &Record) -> Result<Vec<DirtyReason>, Error> {
        let Some(old) = self.store.action(&last.fingerprint)? else { return Ok(vec![DirtyReason::New]) };
        let new = Action::of(stage, |reference| {
            let before = || old["params"].pointer(&reference.pointer).cloned();
            self.resolve(reference).or_else(before).unwrap_or(Value::Null)
        });
        Ok(diff(&old, &new.document, &stage.omitted))
    }

    fn changes(&self, stage: &StageDecl, last: &Record, new: &Value) -> Result<Vec<DirtyReason>, Error> {
        let Some(old) = self.store.action(&last.fingerprint)? else { return Ok(vec![DirtyReason::New]) };
        let reasons = diff(&old, new, &stage.omitted);
        Ok(if reasons.is_empty() { vec![DirtyReason::OutputsMissing] } else { reasons })
    }
}
