//! The queue: stages that must run, and which of them may start now.
//!
//! A stage starts when the pools have what it needs and no running stage does work that it could resume from. Two
//! variants that share their first 300 steps run these once: the second waits for the first one's checkpoint. The
//! dispatcher looks up which checkpoints the store has ([`Queue::questions`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use petgraph::graph::NodeIndex;
use store::Digest;

use crate::action::Action;
use crate::pools::{Lent, Pools};

#[derive(Debug)]
pub(super) struct Queue {
    waiting: BTreeMap<NodeIndex, Queued>,
    running: HashMap<NodeIndex, Running>,
    /// Waiting and running stages by trail: those of one trail may have work in common.
    by_trail: HashMap<Digest, BTreeSet<NodeIndex>>,
    pools: Pools,
    /// Steps of the checkpoint that a waiting stage can resume from, for stages that have been looked up.
    resumable: HashMap<NodeIndex, Option<u64>>,
    questions: BTreeSet<NodeIndex>,
}

/// What a stage should wait for before it starts.
enum Worth {
    Nothing,
    /// This running stage.
    Waiting(NodeIndex),
    /// A query to the store.
    Asking,
}

#[derive(Clone, Debug)]
pub(super) struct Queued {
    pub(super) action: Arc<Action>,
    pub(super) fingerprint: Digest,
    pub(super) needs: BTreeMap<String, u64>,
    /// The stage that it waits for, if that has been reported.
    told: Option<NodeIndex>,
}

#[derive(Debug)]
struct Running {
    action: Arc<Action>,
    checkpoint_at: Vec<u64>,
    lent: Lent,
}

/// A stage that starts now.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) node: NodeIndex,
    pub(super) action: Arc<Action>,
    pub(super) fingerprint: Digest,
    /// Steps after which a checkpoint is needed in any case.
    pub(super) checkpoint_at: Vec<u64>,
    pub(super) lent: Lent,
}

impl Queue {
    pub(super) fn new(pools: Pools) -> Self {
        Self {
            waiting: BTreeMap::new(),
            running: HashMap::new(),
            by_trail: HashMap::new(),
            pools,
            resumable: HashMap::new(),
            questions: BTreeSet::new(),
        }
    }

    pub(super) fn push(
        &mut self,
        node: NodeIndex,
        action: Arc<Action>,
        fingerprint: Digest,
        needs: BTreeMap<String, u64>,
    ) {
        self.by_trail.entry(trail(&action)).or_default().insert(node);
        self.waiting.insert(node, Queued { action, fingerprint, needs, told: None });
    }

    /// Returns whether no stage waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Removes a stage that has not started, if it is there.
    pub(super) fn remove(&mut self, node: NodeIndex) {
        if let Some(queued) = self.waiting.remove(&node) {
            self.forget(node, &queued.action);
        }
    }

    /// Removes the first stage that has not started, and returns it.
    pub(super) fn pop(&mut self) -> Option<NodeIndex> {
        let (node, queued) = self.waiting.pop_first()?;
        self.forget(node, &queued.action);
        Some(node)
    }

    /// Returns the first stage that may start, and counts it as running. Calls `held` with each stage that begins to
    /// wait, and with the running stage that it waits for.
    pub(super) fn start(&mut self, mut held: impl FnMut(NodeIndex, NodeIndex)) -> Option<Start> {
        let mut next = self.waiting.keys().next().copied();
        while let Some(node) = next {
            next = self.waiting.range((Bound::Excluded(node), Bound::Unbounded)).next().map(|(node, _)| *node);
            let queued = &self.waiting[&node];
            match self.worth_waiting_for(node, &queued.action) {
                Worth::Waiting(by) => {
                    if queued.told != Some(by) {
                        held(node, by);
                        self.waiting.entry(node).and_modify(|queued| queued.told = Some(by));
                    }
                    continue;
                }
                Worth::Asking => {
                    self.questions.insert(node);
                    continue;
                }
                Worth::Nothing => {}
            }
            if let Some(lent) = self.pools.lend(&queued.needs)
                && let Some(Queued { action, fingerprint, .. }) = self.waiting.remove(&node)
            {
                let checkpoint_at = self.wanted_checkpoints(node, &action);
                let running =
                    Running { action: Arc::clone(&action), checkpoint_at: checkpoint_at.clone(), lent: lent.clone() };
                self.running.insert(node, running);
                return Some(Start { node, action, fingerprint, checkpoint_at, lent });
            }
        }
        None
    }

    /// Returns the stages that cannot start before the checkpoint that they can resume from has been looked up.
    pub(super) fn questions(&mut self) -> Vec<(NodeIndex, Arc<Action>)> {
        let asked = std::mem::take(&mut self.questions).into_iter();
        asked.filter_map(|node| Some((node, Arc::clone(&self.waiting.get(&node)?.action)))).collect()
    }

    /// Notes the steps of the checkpoint that a stage can resume from.
    pub(super) fn answer(&mut self, node: NodeIndex, resumable: Option<u64>) {
        self.resumable.insert(node, resumable);
    }

    /// Forgets the answers, because the store has other checkpoints now.
    pub(super) fn ask_anew(&mut self) {
        self.resumable.clear();
    }

    /// Removes a running stage, and takes back what it had from the pools.
    pub(super) fn ended(&mut self, node: NodeIndex) {
        self.ask_anew();
        if let Some(running) = self.running.remove(&node) {
            self.forget(node, &running.action);
            self.pools.take_back(running.lent);
        }
    }

    fn forget(&mut self, node: NodeIndex, action: &Action) {
        let trail = trail(action);
        if let Some(nodes) = self.by_trail.get_mut(&trail) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.by_trail.remove(&trail);
            }
        }
    }

    fn others(&self, node: NodeIndex, action: &Action) -> impl Iterator<Item = NodeIndex> {
        let nodes = self.by_trail.get(&trail(action)).into_iter().flatten().copied();
        nodes.filter(move |other| *other != node)
    }

    /// Returns whether a running stage does work that this stage would do again.
    fn worth_waiting_for(&self, node: NodeIndex, action: &Action) -> Worth {
        for by in self.others(node, action) {
            let Some(other) = self.running.get(&by) else { continue };
            // The same action, or rows from the same artifacts under the same row key.
            if action.document == other.action.document
                || !action.row_sources().is_disjoint(&other.action.row_sources())
            {
                return Worth::Waiting(by);
            }
            let shared = action.shared_steps(&other.action);
            // Shared steps help only if the other stage keeps a checkpoint at their end, and the store has none that is
            // as far.
            let will_be_kept = other.checkpoint_at.contains(&shared) || other.action.extent() == Some(shared);
            if shared > 0 && will_be_kept {
                match self.resumable.get(&node) {
                    None => return Worth::Asking,
                    Some(step) if step.is_none_or(|step| step < shared) => return Worth::Waiting(by),
                    Some(_) => {}
                }
            }
        }
        Worth::Nothing
    }

    /// Returns the steps after which this stage must save a checkpoint: its own `from-step`s, and the steps where it
    /// parts from a waiting stage.
    fn wanted_checkpoints(&self, node: NodeIndex, action: &Action) -> Vec<u64> {
        let waiting = self.others(node, action).filter_map(|other| self.waiting.get(&other));
        let mut steps: Vec<u64> = waiting.map(|other| action.shared_steps(&other.action)).collect();
        steps.extend(action.from_steps());
        steps.retain(|step| *step > 0 && action.extent().is_none_or(|extent| *step <= extent));
        steps.sort_unstable();
        steps.dedup();
        steps
    }
}

/// Returns an action's trail: two actions can have work in common only if their trails are equal.
pub(super) fn trail(action: &Action) -> Digest {
    action.row_key().unwrap_or_else(|| action.prefix_fingerprint(1))
}
