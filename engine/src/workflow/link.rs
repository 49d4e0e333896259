//! Turns references into edges: checks that each names a stage or input of the right type, and that there is no cycle.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::graph::{DiGraph, NodeIndex};

use super::check::Written;
use super::hub::{HubId, PREFIX, is_file_of_data};
use super::{InputDecl, Reference, StageDecl, StageName, Target};
use crate::artifact::ArtifactType;
use crate::diagnostic::{Diagnostic, Span, quoted, suggest};

/// A stage with its references as written.
pub(super) struct Unlinked {
    pub(super) stage: StageDecl,
    pub(super) written: Vec<Written>,
}

/// Links stages into a graph whose nodes are in topological order, ties in the file's order. Also returns the stages
/// with a reference that leads nowhere.
pub(super) fn link(
    mut stages: Vec<Unlinked>,
    inputs: &BTreeMap<String, InputDecl>,
    broken: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> (DiGraph<StageDecl, ()>, BTreeSet<StageName>) {
    let index: HashMap<&str, usize> =
        stages.iter().enumerate().map(|(at, stage)| (stage.stage.name.0.as_str(), at)).collect();
    let mut references = Vec::with_capacity(stages.len());
    let mut edges = Vec::with_capacity(stages.len());
    let mut lost = BTreeSet::new();
    for unlinked in &stages {
        let mut of_stage = Vec::with_capacity(unlinked.written.len());
        let mut needs = Vec::with_capacity(unlinked.written.len());
        for written in &unlinked.written {
            let linker = Linker { stages: &stages, index: &index, inputs, broken };
            match linker.target(written) {
                Ok(target) => {
                    if let Target::Output { stage, .. } = &target {
                        needs.push((index[stage.0.as_str()], written.span.clone()));
                    }
                    of_stage.push(Reference { pointer: written.pointer.clone(), target, artifact: written.artifact });
                }
                Err(diagnostic) => diagnostics.extend(diagnostic),
            }
        }
        if of_stage.len() < unlinked.written.len() {
            lost.insert(unlinked.stage.name.clone());
        }
        references.push(of_stage);
        edges.push(needs);
    }
    drop(index);
    for (unlinked, of_stage) in stages.iter_mut().zip(references) {
        (unlinked.stage.references, unlinked.written) = (of_stage, Vec::new());
    }
    let order = order(&edges, &stages, diagnostics);
    (build(stages, &edges, &order), lost)
}

struct Linker<'a> {
    stages: &'a [Unlinked],
    index: &'a HashMap<&'a str, usize>,
    inputs: &'a BTreeMap<String, InputDecl>,
    /// Names that exist but could not be read: references to them are not reported as further mistakes.
    broken: &'a [String],
}

impl Linker<'_> {
    /// Returns what a reference points at. `Err(None)` is a mistake that is reported elsewhere.
    fn target(&self, written: &Written) -> Result<Target, Option<Diagnostic>> {
        let text = written.text.as_str();
        let Some((stage, output)) = text.rsplit_once('.') else {
            let message = format!("`{text}` is no reference");
            let help = match as_input(written) {
                Some(help) => help,
                None => format!(
                    "a reference is `inputs.name` or `stage.output`, here to {}: {}",
                    written.artifact,
                    self.fitting(written)
                ),
            };
            return Err(Some(Diagnostic::new(&written.span, message, "expected `stage.output`").with_help(help)));
        };
        if self.broken.iter().any(|name| name == stage || text.strip_prefix("inputs.") == Some(name)) {
            return Err(None);
        }
        if stage == "inputs" {
            return self.input(written, output);
        }
        let Some(at) = self.index.get(stage) else {
            if let Some(input) = stage.strip_prefix("inputs.").filter(|name| self.inputs.contains_key(*name)) {
                let message = format!("`{text}` goes into an input");
                let help = format!("an input is one artifact: `inputs.{input}`");
                return Err(Some(Diagnostic::new(&written.span, message, "inputs have no outputs").with_help(help)));
            }
            if let Some(help) = as_input(written) {
                let message = format!("`{text}` is no reference");
                return Err(Some(Diagnostic::new(&written.span, message, "expected `stage.output`").with_help(help)));
            }
            return Err(Some(self.unknown_stage(written, stage, output)));
        };
        let outputs = &self.stages[*at].stage.outputs;
        let Some(found) = outputs.get(output) else {
            let names: Vec<&String> = outputs.keys().collect();
            let message = format!("stage `{stage}` has no output `{output}`");
            let absent = &self.stages[*at].stage.absent_outputs;
            let with = absent.iter().find(|(absent, _)| absent == output);
            let with = with.map(|(_, key)| {
                format!("stages of kind `{}` have it if they give `{key}`", self.stages[*at].stage.kind)
            });
            let help = with.or_else(|| suggest(output, names.iter().map(|name| name.as_str())));
            return Err(Some(Diagnostic::new(&written.span, message, "no such output").with_optional_help(help)));
        };
        self.agree(written, *found)?;
        Ok(Target::Output { stage: StageName(stage.to_owned()), output: output.to_owned() })
    }

    fn input(&self, written: &Written, name: &str) -> Result<Target, Option<Diagnostic>> {
        let Some(input) = self.inputs.get(name) else {
            let message = format!("there is no input `{name}`");
            let known = self.inputs.keys().chain(self.broken).map(String::as_str);
            let help = suggest(name, known);
            return Err(Some(Diagnostic::new(&written.span, message, "not in `[inputs]`").with_optional_help(help)));
        };
        self.agree(written, input.artifact)?;
        Ok(Target::Input(name.to_owned()))
    }

    fn unknown_stage(&self, written: &Written, stage: &str, output: &str) -> Diagnostic {
        let family = format!("{stage}/");
        let variants: Vec<String> = self
            .stages
            .iter()
            .map(|stage| &stage.stage.name.0)
            .filter(|name| name.starts_with(&family))
            .map(|name| format!("{name}.{output}"))
            .collect();
        if !variants.is_empty() {
            let message = format!("`{stage}` is a family");
            let help = format!("name one of its variants: {}", quoted(&variants));
            return Diagnostic::new(&written.span, message, "which variant?").with_help(help);
        }
        let message = format!("there is no stage `{stage}`");
        let known = self.stages.iter().map(|stage| stage.stage.name.0.as_str()).chain(["inputs"]);
        let help = self.meant(written, stage).or_else(|| suggest(stage, known));
        Diagnostic::new(&written.span, message, "no such stage").with_optional_help(help)
    }

    /// Returns what was meant by `smol.model` of an input `smol`, or by `grpo.rl.model`.
    fn meant(&self, written: &Written, stage: &str) -> Option<String> {
        let is_input = |name: &str| self.inputs.contains_key(name) || self.broken.iter().any(|broken| broken == name);
        if is_input(stage) {
            return Some(format!("an input is one artifact: `inputs.{stage}`"));
        }
        let (kind, name) = stage.split_once('.')?;
        let is_stage = self.index.get(name).is_some_and(|at| self.stages[*at].stage.kind == kind);
        is_stage.then(|| format!("a reference has no kind: `{}`", &written.text[kind.len() + 1..]))
    }

    fn agree(&self, written: &Written, found: ArtifactType) -> Result<(), Option<Diagnostic>> {
        if found == written.artifact {
            return Ok(());
        }
        let message = format!("expected {}, found {found}", written.artifact);
        let label = format!("`{}` is {found}", written.text);
        let help = format!("of type {}: {}", written.artifact, self.fitting(written));
        Err(Some(Diagnostic::new(&written.span, message, label).with_help(help)))
    }

    /// Lists what a reference of this type could name.
    fn fitting(&self, written: &Written) -> String {
        let inputs = self.inputs.iter().filter(|(_, input)| input.artifact == written.artifact);
        let inputs = inputs.map(|(name, _)| format!("inputs.{name}"));
        let others = self.stages.iter().filter(|stage| !stage.written.iter().any(|own| own.span == written.span));
        let outputs = others.flat_map(|stage| {
            let outputs = stage.stage.outputs.iter().filter(|(_, artifact)| **artifact == written.artifact);
            outputs.map(|(output, _)| format!("{}.{output}", stage.stage.name))
        });
        let mut names: Vec<String> = inputs.chain(outputs).collect();
        if names.is_empty() {
            return "nothing in this workflow".to_owned();
        }
        let more = names.len().saturating_sub(8);
        names.truncate(8);
        if more == 0 { quoted(&names) } else { format!("{} and {more} more", quoted(&names)) }
    }
}

/// Returns how a path or an id of the hub, written in place of a reference, becomes an input.
fn as_input(written: &Written) -> Option<String> {
    let (text, kind) = (written.text.as_str(), written.artifact.name());
    let is_hub = HubId::parse(text.strip_prefix(PREFIX).unwrap_or(text), written.artifact).is_ok();
    let is_file = is_file_of_data(text);
    let is_path = text.starts_with(['/', '.', '~']) || is_file;
    if !text.contains('/') && !is_file {
        return None;
    }
    let prefix = if is_hub && !is_path && !text.starts_with(PREFIX) { PREFIX } else { "" };
    Some(format!(
        "name it in the file's inputs, `[inputs] base = {{ {kind} = \"{prefix}{text}\" }}`, and write `inputs.base` here"
    ))
}

/// Orders stages so that each comes after what it needs; a cycle is a mistake, and its stages come last.
fn order(edges: &[Vec<(usize, Span)>], stages: &[Unlinked], diagnostics: &mut Vec<Diagnostic>) -> Vec<usize> {
    let mut missing: Vec<usize> = vec![0; edges.len()];
    let mut dependants: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (at, needs) in edges.iter().enumerate() {
        missing[at] = needs.len();
        for (need, _) in needs {
            dependants[*need].push(at);
        }
    }
    let mut ready: std::collections::BTreeSet<usize> = (0..edges.len()).filter(|at| missing[*at] == 0).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(at) = ready.pop_first() {
        order.push(at);
        for dependant in &dependants[at] {
            missing[*dependant] -= 1;
            if missing[*dependant] == 0 {
                ready.insert(*dependant);
            }
        }
    }
    if order.len() < edges.len() {
        diagnostics.push(cycle(edges, stages, &missing));
        order.extend((0..edges.len()).filter(|at| missing[*at] > 0));
    }
    order
}

fn cycle(edges: &[Vec<(usize, Span)>], stages: &[Unlinked], missing: &[usize]) -> Diagnostic {
    let on_cycle = |at: &usize| missing[*at] > 0;
    let mut path: Vec<usize> = (0..edges.len()).find(on_cycle).into_iter().collect();
    loop {
        // Each stage left over needs another one, so following needs leads into a cycle.
        let last = *path.last().expect("a stage is left over");
        let (next, span) =
            edges[last].iter().find(|(need, _)| on_cycle(need)).expect("a left-over stage needs another");
        if let Some(start) = path.iter().position(|at| at == next) {
            let mut names: Vec<String> = path[start..].iter().map(|at| stages[*at].stage.name.to_string()).collect();
            names.push(names[0].clone());
            let message = format!("stages need each other: {}", names.join(" needs "));
            return Diagnostic::new(span, message, "this closes the circle");
        }
        path.push(*next);
    }
}

fn build(stages: Vec<Unlinked>, edges: &[Vec<(usize, Span)>], order: &[usize]) -> DiGraph<StageDecl, ()> {
    let mut graph = DiGraph::with_capacity(stages.len(), edges.iter().map(Vec::len).sum());
    let mut nodes: Vec<NodeIndex> = vec![NodeIndex::end(); stages.len()];
    let mut stages: Vec<Option<StageDecl>> = stages.into_iter().map(|unlinked| Some(unlinked.stage)).collect();
    for at in order {
        nodes[*at] = graph.add_node(stages[*at].take().expect("an order names each stage once"));
    }
    for (at, needs) in edges.iter().enumerate() {
        for (need, _) in needs {
            graph.update_edge(nodes[*need], nodes[at], ());
        }
    }
    graph
}
