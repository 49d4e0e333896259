//! Mistakes that only a worker can see: keys that contradict each other, or what this kind makes of them.
//!
//! A stage that cannot run must not be found out after hours of work before it, so the worker is asked about every stage that
//! is not fresh before the first one starts. Skipped where all is fresh: it may start a worker process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;
use serde_json::Map;

use crate::diagnostic::{Diagnostic, tidy};
use crate::worker::ask::{Error, check};
use crate::worker::cache::CacheDir;
use crate::worker::protocol::{CheckRequest, InputArtifact, Refusal};
use crate::workflow::{StageDecl, StageName, Workflow};

/// Asks a worker, which remembers answers in a folder, about stages, and returns those that could not run, with the reasons.
pub fn refusals(
    (worker, cache_dir): (&Path, &CacheDir),
    workflow: &Workflow,
    asked: &BTreeSet<StageName>,
) -> Result<Vec<(NodeIndex, Refusal)>, Error> {
    if asked.is_empty() {
        return Ok(Vec::new());
    }
    let stages = asked_about(workflow, asked);
    let answers = check(worker, cache_dir, stages.iter().map(|node| request(&workflow.graph[*node])))?;
    Ok(stages.into_iter().zip(answers).filter_map(|(node, answer)| Some((node, answer?))).collect())
}

/// Returns what is to be asked of a worker, and about which stages.
pub(crate) fn requests(workflow: &Workflow, asked: &BTreeSet<StageName>) -> (Vec<NodeIndex>, Vec<CheckRequest>) {
    let stages = asked_about(workflow, asked);
    let requests = stages.iter().map(|node| request(&workflow.graph[*node])).collect();
    (stages, requests)
}

fn asked_about(workflow: &Workflow, asked: &BTreeSet<StageName>) -> Vec<NodeIndex> {
    workflow.graph.node_indices().filter(|node| asked.contains(&workflow.graph[*node].name)).collect()
}

/// Does the same, and returns the reasons as mistakes in the file.
pub fn diagnostics(
    worker: (&Path, &CacheDir),
    workflow: &Workflow,
    asked: &BTreeSet<StageName>,
) -> Result<Vec<Diagnostic>, Error> {
    let diagnostic = |(node, refusal): (NodeIndex, Refusal)| {
        let stage = &workflow.graph[node];
        let label = format!("this {} stage could not run", stage.kind);
        Diagnostic::new(&stage.place, refusal.message, label).with_optional_help(refusal.help)
    };
    let mut diagnostics = refusals(worker, workflow, asked)?.into_iter().map(diagnostic).collect();
    tidy(&mut diagnostics);
    Ok(diagnostics)
}

fn request(stage: &StageDecl) -> CheckRequest {
    let artifacts = stage.references.iter().map(|reference| {
        let artifact = InputArtifact {
            name: reference.target.to_string(),
            artifact: reference.artifact,
            digest: String::new(),
            path: PathBuf::new(),
            import: Map::new(),
        };
        (reference.pointer.as_str(), artifact.to_value())
    });
    let config = stage.config_with(artifacts);
    CheckRequest { kind: stage.kind.clone(), version: stage.version, config }
}
