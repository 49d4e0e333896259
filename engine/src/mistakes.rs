//! Mistakes that only a worker can find: keys that contradict each other, or that the kind does not accept.
//!
//! A stage that cannot run must not be found only after hours of upstream work. So the worker checks every stage that
//! is not fresh before the first one starts. This is skipped if all stages are fresh, because it may start a worker
//! process.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;
use serde_json::Map;

use crate::diagnostic::{Diagnostic, tidy};
use crate::worker::ask::{Error, check};
use crate::worker::cache::CacheDir;
use crate::worker::protocol::{CheckRequest, InputArtifact, Refusal};
use crate::workflow::{StageDecl, StageName, Workflow};

/// Asks a worker about stages, and returns those that could not run, with the reasons. Answers are cached in a folder.
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

/// Returns the stages to ask a worker about, and a request for each.
pub(crate) fn requests(workflow: &Workflow, asked: &BTreeSet<StageName>) -> (Vec<NodeIndex>, Vec<CheckRequest>) {
    let stages = asked_about(workflow, asked);
    let requests = stages.iter().map(|node| request(&workflow.graph[*node])).collect();
    (stages, requests)
}

fn asked_about(workflow: &Workflow, asked: &BTreeSet<StageName>) -> Vec<NodeIndex> {
    workflow.graph.node_indices().filter(|node| asked.contains(&workflow.graph[*node].name)).collect()
}

/// Does the same as [`refusals`], and returns the reasons as mistakes in the file.
pub fn diagnostics(
    worker: (&Path, &CacheDir),
    workflow: &Workflow,
    asked: &BTreeSet<StageName>,
) -> Result<Vec<Diagnostic>, Error> {
    let diagnostic = |(node, refusal): (NodeIndex, Refusal)| {
        let stage = &workflow.graph[node];
        let label = format!("this {} stage could not run", stage.kind);
        Diagnostic::new(&stage.span, refusal.message, label).with_optional_help(refusal.help)
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
