//! Loads a workflow file: reads its layers, expands families, checks every key, links stages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use super::{RunOptions, StageDecl, StageName, Workflow, check, each, inputs, link, overlay};
use crate::artifact::ArtifactType;
use crate::diagnostic::{Diagnostic, Sources, tidy};
use crate::kind::Kinds;
use crate::placement::Device;

/// The result of loading a file.
#[derive(Debug)]
pub struct Loaded {
    /// The workflow, if there is no mistake in it.
    pub workflow: Option<Workflow>,
    /// What can be read of a workflow with mistakes, for further checks.
    pub draft: Option<WorkflowDraft>,
    /// Every mistake.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that they point into.
    pub sources: Sources,
}

/// A workflow with mistakes. A value that is wrong is replaced by its default.
#[derive(Debug)]
pub struct WorkflowDraft {
    /// It must not be run.
    pub workflow: Workflow,
    /// The stages that have all required keys, and references that lead somewhere.
    pub complete: BTreeSet<StageName>,
}

/// Loads a workflow file with its layers, and checks all of it. Only a file that cannot be read is an error.
pub fn load(file: &Path, sets: &[String], kinds: &Kinds) -> Result<Loaded, std::io::Error> {
    let mut sources = Sources::default();
    let mut diagnostics = Vec::new();
    let layers = overlay::read(file, sets, kinds, &mut sources, &mut diagnostics)?;
    if !diagnostics.is_empty() {
        // A file that was read only in part would show mistakes that the whole file does not have.
        return Ok(Loaded { workflow: None, draft: None, diagnostics, sources });
    }
    let (rest, drafts) = each::expand(layers, kinds, &mut diagnostics);
    let name = match rest.name.as_ref().map(|node| (node.text(), node)) {
        Some((Some(name), _)) => name.to_owned(),
        Some((None, node)) => {
            diagnostics.push(Diagnostic::new(&node.span, "`name` is text", node.value.sort()));
            String::new()
        }
        None => file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned()),
    };
    let declared: Vec<String> = rest
        .inputs
        .as_ref()
        .and_then(|node| node.table())
        .map(|table| table.0.iter().map(|entry| entry.key.clone()).collect())
        .unwrap_or_default();
    let inputs = inputs::inputs(rest.inputs, kinds, &sources, &mut diagnostics);
    let run = Arc::new(check::run_options(rest.run.as_ref(), &RunOptions::default(), &sources, &mut diagnostics));
    let mut stages = Vec::with_capacity(drafts.len());
    let mut complete = BTreeSet::new();
    let mut shared = HashMap::new();
    for draft in drafts {
        let checked = check::check(&draft, &mut diagnostics);
        let kind = draft.kind;
        let tables = || {
            let (outputs, like) = (Arc::new(kind.spec.outputs.clone()), Arc::new(kind.spec.outputs_like.clone()));
            (Arc::new(check::roles(kind)), Arc::new(kind.omitted()), outputs, like)
        };
        let (roles, omitted, outputs, outputs_like) =
            shared.entry(kind.spec.kind.as_str()).or_insert_with(tables).clone();
        let absent_outputs = kind.absent_outputs(&checked.config);
        let stage = StageDecl {
            name: draft.name,
            span: draft.span,
            kind: kind.spec.kind.clone(),
            version: kind.spec.version,
            rows_version: kind.spec.rows_version.unwrap_or(kind.spec.version),
            origins: draft.origins,
            sets: draft.sets,
            config: checked.config,
            references: Vec::new(),
            roles,
            omitted,
            outputs: without(outputs, &absent_outputs),
            outputs_like,
            absent_outputs,
            device: Device::Cpu,
            uses_tensors: kind.spec.uses_tensors,
            run: match &draft.run {
                None => Arc::clone(&run),
                own => Arc::new(check::run_options(own.as_ref(), &run, &sources, &mut diagnostics)),
            },
        };
        if checked.is_complete {
            complete.insert(stage.name.clone());
        }
        stages.push(link::Unlinked { stage, written: checked.references });
    }
    // References to inputs that are declared but broken are not reported as further mistakes.
    let broken: Vec<String> = declared.into_iter().filter(|input| !inputs.contains_key(input)).collect();
    let (graph, unlinked) = link::link(stages, &inputs, &broken, &mut diagnostics);
    tidy(&mut diagnostics);
    let file = fs_err::canonicalize(file)?;
    let (sets, device) = (sets.to_vec(), Device::Cpu);
    let workflow = Workflow { name, file, sets, device, inputs, graph };
    if diagnostics.is_empty() {
        return Ok(Loaded { workflow: Some(workflow), draft: None, diagnostics, sources });
    }
    let complete = complete.into_iter().filter(|stage| !unlinked.contains(stage)).collect();
    Ok(Loaded { workflow: None, draft: Some(WorkflowDraft { workflow, complete }), diagnostics, sources })
}

/// Returns outputs without those that are absent.
fn without(
    all: Arc<BTreeMap<String, ArtifactType>>,
    absent: &[(String, String)],
) -> Arc<BTreeMap<String, ArtifactType>> {
    if absent.is_empty() {
        return all;
    }
    let is_there = |output: &String| !absent.iter().any(|(absent, _)| absent == output);
    Arc::new(all.iter().filter(|(output, _)| is_there(output)).map(|(output, ty)| (output.clone(), *ty)).collect())
}
