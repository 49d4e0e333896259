//! What only a worker can find about a workflow: keys that contradict each other, inputs that cannot be read, models
//! that are not supported.
//!
//! A stage that cannot run must not be found only after hours of upstream work. So the worker checks every stage that
//! is not fresh before the first one starts. This is skipped if all stages are fresh, because it may start a worker
//! process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use petgraph::graph::NodeIndex;
use serde_json::Map;
use store::{Digest, stamp};

use crate::diagnostic::{Diagnostic, Severity, tidy};
use crate::worker::ask::{Ask, Error, check};
use crate::worker::cache::CacheDir;
use crate::worker::check::{CheckRequest, Checked, ExpectedMemory, Finding};
use crate::worker::protocol::InputArtifact;
use crate::workflow::{InputDecl, Reference, StageDecl, StageName, Target, Workflow, all_imports};

/// What a worker has found about stages.
#[derive(Debug, Default)]
pub struct Found {
    /// Findings, each with its place in the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The memory that stages will hold at their peaks, where that can be estimated.
    pub memory: Vec<(StageName, ExpectedMemory)>,
}

impl Found {
    /// Returns whether a stage cannot run.
    pub fn is_refused(&self) -> bool {
        self.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// Asks a worker about stages. Its answers are cached in a folder.
pub fn find(
    (worker, cache_dir): (&Path, &CacheDir),
    workflow: &Workflow,
    asked: &BTreeSet<StageName>,
) -> Result<Found, Error> {
    let mut found = Found::default();
    if asked.is_empty() {
        return Ok(found);
    }
    let (nodes, asks) = asks(workflow, asked);
    for (node, Checked { findings, memory }) in nodes.into_iter().zip(check(worker, cache_dir, asks.into_iter())?) {
        let stage = &workflow.graph[node];
        found.diagnostics.extend(findings.into_iter().map(|finding| diagnostic(workflow, stage, finding)));
        found.memory.extend(memory.map(|memory| (stage.name.clone(), memory)));
    }
    tidy(&mut found.diagnostics);
    Ok(found)
}

fn diagnostic(workflow: &Workflow, stage: &StageDecl, finding: Finding) -> Diagnostic {
    let about = finding.about.as_deref().and_then(|about| about.strip_prefix("inputs."));
    // The value of a `--set` that the message names is its cause.
    if let Some((_, span)) = stage.sets.iter().rev().find(|(key, _)| finding.message.contains(&format!("`{key}`"))) {
        let label = format!("for the {} stage `{}`", stage.kind, stage.name);
        return Diagnostic::of(finding.severity, span, finding.message, label).with_optional_help(finding.help);
    }
    let (span, label) = match about.and_then(|about| workflow.inputs.get(about)) {
        Some(input) => (&input.span, format!("read by `{}`", stage.name)),
        None if finding.severity == Severity::Error => {
            (&stage.span, format!("this {} stage could not run", stage.kind))
        }
        None => (&stage.span, format!("this {} stage", stage.kind)),
    };
    Diagnostic::of(finding.severity, span, finding.message, label).with_optional_help(finding.help)
}

/// Returns the stages to ask a worker about, and a question for each.
pub(crate) fn asks(workflow: &Workflow, asked: &BTreeSet<StageName>) -> (Vec<NodeIndex>, Vec<Ask>) {
    let is_asked = |node: &NodeIndex| asked.contains(&workflow.graph[*node].name);
    let nodes: Vec<NodeIndex> = workflow.graph.node_indices().filter(is_asked).collect();
    let mut asker = Asker { workflow, stages: BTreeMap::new(), stamps: BTreeMap::new() };
    asker.stages = workflow.graph.node_weights().map(|stage| (stage.name.0.as_str(), stage)).collect();
    let asks = nodes.iter().map(|node| asker.ask(&workflow.graph[*node])).collect();
    (nodes, asks)
}

struct Asker<'a> {
    workflow: &'a Workflow,
    stages: BTreeMap<&'a str, &'a StageDecl>,
    /// The stamp of each input so far.
    stamps: BTreeMap<&'a str, Option<Digest>>,
}

impl<'a> Asker<'a> {
    fn ask(&mut self, stage: &'a StageDecl) -> Ask {
        let mut read = BTreeSet::new();
        let artifacts: Vec<_> = stage
            .references
            .iter()
            .map(|reference| {
                let mut artifact = InputArtifact {
                    name: reference.target.to_string(),
                    artifact: reference.artifact,
                    digest: String::new(),
                    path: PathBuf::new(),
                    import: Map::new(),
                };
                if let Some((name, seen)) = self.stand_in(reference)
                    && let Some(path) = self.workflow.inputs[name].path()
                {
                    (artifact.path, artifact.import) = (path.to_owned(), all_imports(self.workflow, seen));
                    read.insert(name);
                }
                (reference.pointer.as_str(), artifact.to_value())
            })
            .collect();
        let config = stage.config_with(artifacts);
        let (kind, version, device) = (stage.kind.clone(), stage.version, stage.device);
        Ask { request: CheckRequest { kind, version, config, device }, stamp: self.stamp(&read) }
    }

    /// Returns the input that a reference points at, or that the output which it points at will be like, and the
    /// reference to that input.
    fn stand_in(&self, reference: &'a Reference) -> Option<(&'a str, &'a Reference)> {
        let mut reference = reference;
        // The graph of a draft may have circles.
        for _ in 0..=self.stages.len() {
            let (stage, output) = match &reference.target {
                Target::Input(name) => return Some((name, reference)),
                Target::Output { stage, output } => (self.stages.get(stage.0.as_str())?, output),
            };
            let pointer = format!("/{}", stage.outputs_like.get(output)?);
            reference = stage.references.iter().find(|reference| reference.pointer == pointer)?;
        }
        None
    }

    /// Returns a digest of what inputs are at the moment; `None` if one of them cannot be looked at.
    fn stamp(&mut self, read: &BTreeSet<&'a str>) -> Option<Digest> {
        let mut all = Vec::new();
        for name in read {
            let stamp = self.stamps.entry(name).or_insert_with(|| input_stamp(&self.workflow.inputs[*name]));
            all.extend_from_slice(stamp.as_ref()?.hex().as_bytes());
        }
        Some(Digest::of(&all))
    }
}

fn input_stamp(input: &InputDecl) -> Option<Digest> {
    let own = stamp(input.path()?, &input.reads).ok()?;
    let mut all = own.hex().as_bytes().to_vec();
    for path in input.beside.values() {
        all.extend_from_slice(stamp(path, &[]).ok()?.hex().as_bytes());
    }
    Some(Digest::of(&all))
}
