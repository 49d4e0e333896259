//! Which stages a command is about: all, or those that the user names.
//!
//! | selection | stages | other stages that they need |
//! |---|---|---|
//! | nothing | all | |
//! | `until` | these | are brought up to date, too |
//! | `from` | these and all that follow | must be fresh |
//! | `only` | these | must be fresh |

use std::collections::BTreeSet;

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use serde::{Deserialize, Serialize};

use crate::workflow::{Target, Workflow};

/// What the user asked for; each entry names a stage or a family.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// These stages and what they need.
    pub until: Vec<String>,
    /// These stages and all that follow.
    pub from: Vec<String>,
    /// These stages alone.
    pub only: Vec<String>,
    /// These run even if they are fresh.
    pub force: Vec<String>,
}

/// A stage that the user named does not exist.
#[derive(Debug, thiserror::Error)]
#[error("the workflow has no stage `{name}`")]
pub struct NoStage {
    /// What was asked for.
    pub name: String,
    /// Names of the stages that exist.
    pub known: Vec<String>,
}

/// The stages of a selection.
#[derive(Debug)]
pub(crate) struct Selected {
    /// To be brought up to date.
    pub(crate) wanted: BTreeSet<NodeIndex>,
    /// Needed by those, and not run: they must be fresh.
    pub(crate) given: BTreeSet<NodeIndex>,
    /// To run even if they are fresh.
    pub(crate) forced: BTreeSet<NodeIndex>,
}

/// Returns the names of the workflow's inputs that a selection reads.
pub fn inputs<'a>(workflow: &'a Workflow, selection: &Selection) -> Result<BTreeSet<&'a str>, NoStage> {
    let Selected { wanted, given, .. } = select(workflow, selection)?;
    let stages = wanted.iter().chain(&given).flat_map(|node| &workflow.graph[*node].references);
    let inputs = stages.filter_map(|reference| match &reference.target {
        Target::Input(name) => Some(name.as_str()),
        Target::Output { .. } => None,
    });
    Ok(inputs.collect())
}

/// Returns the stages of a selection.
pub(crate) fn select(workflow: &Workflow, selection: &Selection) -> Result<Selected, NoStage> {
    let mut wanted: BTreeSet<NodeIndex> = workflow.graph.node_indices().collect();
    if !selection.until.is_empty() {
        let until = reached(workflow, named(workflow, &selection.until)?, Direction::Incoming);
        wanted = &wanted & &until;
    }
    if !selection.from.is_empty() {
        let from = reached(workflow, named(workflow, &selection.from)?, Direction::Outgoing);
        wanted = &wanted & &from;
    }
    if !selection.only.is_empty() {
        wanted = &wanted & &named(workflow, &selection.only)?;
    }
    let is_whole = wanted.len() == workflow.graph.node_count();
    let given =
        if is_whole { BTreeSet::new() } else { &reached(workflow, wanted.clone(), Direction::Incoming) - &wanted };
    let forced = &named(workflow, &selection.force)? & &wanted;
    Ok(Selected { wanted, given, forced })
}

fn named(workflow: &Workflow, names: &[String]) -> Result<BTreeSet<NodeIndex>, NoStage> {
    let mut nodes = BTreeSet::new();
    for name in names {
        let family = format!("{name}/");
        let is_meant = |node: &NodeIndex| {
            let stage = &workflow.graph[*node].name.0;
            stage == name || stage.starts_with(&family)
        };
        let before = nodes.len();
        nodes.extend(workflow.graph.node_indices().filter(is_meant));
        if nodes.len() == before && !workflow.graph.node_indices().any(|node| is_meant(&node)) {
            let known = workflow.graph.node_weights().map(|stage| stage.name.to_string()).collect();
            return Err(NoStage { name: name.clone(), known });
        }
    }
    Ok(nodes)
}

/// Returns `nodes` and all that can be reached from them.
pub(crate) fn reached(workflow: &Workflow, nodes: BTreeSet<NodeIndex>, direction: Direction) -> BTreeSet<NodeIndex> {
    let mut found = BTreeSet::new();
    let mut open: Vec<NodeIndex> = nodes.into_iter().collect();
    while let Some(node) = open.pop() {
        if found.insert(node) {
            open.extend(workflow.graph.neighbors_directed(node, direction));
        }
    }
    found
}
