//! Makes stages from `[kind.name]` tables: puts them on top of `seed` and `[defaults]`, and expands `each`.

use std::collections::HashMap;

use super::check::called_here;
use super::meant::{RESERVED, stage_of_set, unknown_kind, without_name};
use super::overlay::Layers;
use super::short::write_out;
use super::tree::{Entry, Node, Table, Value};
use super::{Origin, StageName};
use crate::diagnostic::{Diagnostic, Span, suggest};
use crate::kind::{KindInfo, Kinds};
use crate::limits;

/// The key of a workflow that is a default for the key of the same name in all stages that have it.
const SEED: &str = "seed";

/// A stage with its layers merged, not yet checked against its kind.
#[derive(Clone, Debug)]
pub(super) struct Draft<'a> {
    pub(super) name: StageName,
    pub(super) kind: &'a KindInfo,
    /// The name in the table's header.
    pub(super) span: Span,
    pub(super) keys: Table,
    pub(super) origins: Vec<(String, Origin)>,
    pub(super) sets: Vec<(String, Span)>,
    pub(super) run: Option<Node>,
}

impl Draft<'_> {
    /// Returns the name of the table it came from: equal for all variants of a family.
    fn family(&self) -> &str {
        self.name.0.split('/').next().unwrap_or_default()
    }
}

/// The parts of a workflow that are not stages.
#[derive(Debug, Default)]
pub(super) struct Rest {
    pub(super) name: Option<Node>,
    pub(super) inputs: Option<Node>,
    pub(super) run: Option<Node>,
}

/// Expands the layers into stages, in the file's order.
pub(super) fn expand<'a>(
    layers: Layers,
    kinds: &'a Kinds,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Rest, Vec<Draft<'a>>) {
    let mut expansion = Expansion {
        kinds,
        diagnostics,
        drafts: Vec::new(),
        kind_of: HashMap::new(),
        followers: Vec::new(),
        seed: None,
        defaults: Table::default(),
        set_defaults: Vec::new(),
        is_full: false,
    };
    let mut table = layers.table;
    let mut sets = Vec::new();
    for set in layers.sets {
        if RESERVED.contains(&set.path[0].as_str()) {
            if let ["defaults", kind, key, ..] = set.path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                expansion.set_defaults.push((kind.to_owned(), key.to_owned(), set.node.span.clone()));
            }
            table.merge(set.table_from(0));
        } else {
            sets.push(set);
        }
    }
    let mut take = |key: &str| table.remove(key).map(|entry| entry.node);
    let rest = Rest { name: take("name"), inputs: take("inputs"), run: take("run") };
    expansion.seed = table.remove(SEED);
    if let Some(defaults) = table.remove("defaults") {
        expansion.take_defaults(defaults);
    }
    for entry in table.0 {
        expansion.take_kind(entry);
    }
    expansion.follow();
    for set in &sets {
        expansion.apply_set(set);
    }
    // The TOML tree groups tables by kind; this restores the order of the file. Extended files were read last, and come
    // first.
    expansion.drafts.sort_by_key(|draft| (std::cmp::Reverse(draft.span.source), draft.span.range().start));
    (rest, expansion.drafts)
}

struct Expansion<'a, 'd> {
    kinds: &'a Kinds,
    diagnostics: &'d mut Vec<Diagnostic>,
    drafts: Vec<Draft<'a>>,
    /// The kind of each family of `drafts`.
    kind_of: HashMap<String, &'a str>,
    /// Families whose `each` lists stages: expanded last, when all others are known.
    followers: Vec<(Draft<'a>, Vec<Node>)>,
    seed: Option<Entry>,
    defaults: Table,
    /// Kind, key and place of each default that a `--set` gives.
    set_defaults: Vec<(String, String, Span)>,
    /// Whether there have been too many stages.
    is_full: bool,
}

impl<'a> Expansion<'a, '_> {
    fn take_defaults(&mut self, defaults: Entry) {
        let Value::Table(table) = defaults.node.value else {
            let sort = defaults.node.value.sort();
            self.diagnostics.push(Diagnostic::new(&defaults.node.span, "`defaults` is a table of kinds", sort));
            return;
        };
        for entry in &table.0 {
            self.check_defaults_of(entry);
        }
        self.defaults = table;
    }

    /// Checks the names in the defaults of a kind, even if no stage uses them. Values are checked with the stages that
    /// use them.
    fn check_defaults_of(&mut self, entry: &Entry) {
        let Some(kind) = self.kinds.get(&entry.key) else {
            let message = format!("unknown kind `{}` in `defaults`", entry.key);
            let of_all =
                (entry.key == SEED).then(|| "the seed of all stages is `seed` at the top of the file".to_owned());
            let help = of_all.or_else(|| suggest(&entry.key, self.kinds.names()));
            self.diagnostics.push(Diagnostic::new(&entry.key_span, message, "no such kind").with_optional_help(help));
            return;
        };
        let Some(table) = entry.node.table() else {
            let message = format!("`defaults.{}` is a table of keys", entry.key);
            self.diagnostics.push(Diagnostic::new(&entry.node.span, message, entry.node.value.sort()));
            return;
        };
        for key in table.0.iter().filter(|key| !kind.keys.contains_key(&key.key)) {
            let message = format!("unknown key `{}` in defaults of {}", key.key, entry.key);
            let label = format!("not a key of {} stages", entry.key);
            let help = called_here(&key.key, &kind.spec, &kind.keys);
            let help = help.or_else(|| suggest(&key.key, kind.keys.keys().map(String::as_str)));
            self.diagnostics.push(Diagnostic::new(&key.key_span, message, label).with_optional_help(help));
        }
    }

    fn take_kind(&mut self, entry: Entry) {
        let Some(kind) = self.kinds.get(&entry.key) else {
            self.diagnostics.push(unknown_kind(&entry, self.kinds));
            return;
        };
        let Value::Table(stages) = entry.node.value else {
            let message = format!("`{}` is a kind: its stages are tables `[{}.name]`", entry.key, entry.key);
            let is_list = matches!(entry.node.value, Value::List(_));
            let help = is_list.then(|| format!("a stage has one pair of brackets and a name: `[{}.first]`", entry.key));
            let sort = entry.node.value.sort();
            self.diagnostics.push(Diagnostic::new(&entry.node.span, message, sort).with_optional_help(help));
            return;
        };
        if let Some(diagnostic) = without_name(kind, &stages) {
            self.diagnostics.push(diagnostic);
            return;
        }
        for stage in stages.0 {
            self.take_stage(kind, stage);
        }
    }

    fn take_stage(&mut self, kind: &'a KindInfo, stage: Entry) {
        let kind_name = &kind.spec.kind;
        if !is_name(&stage.key) {
            let message = format!("`{}` is no name for a stage", stage.key);
            let help = "names are made of a-z, 0-9 and `-`, and `inputs`, `each` are taken";
            self.diagnostics.push(Diagnostic::new(&stage.key_span, message, "not a name").with_help(help));
            return;
        }
        let Value::Table(mut own) = stage.node.value else {
            let message = format!("`{}` of kind `{kind_name}` is not a table", stage.key);
            let found = stage.node.value.sort();
            let diagnostic = Diagnostic::new(&stage.node.span, message, found);
            self.diagnostics.push(diagnostic.with_help(format!("stages are tables: `[{kind_name}.{}]`", stage.key)));
            return;
        };
        let each = own.remove("each");
        let run = own.remove("run").map(|entry| entry.node);
        let mut origins = Vec::new();
        let mut keys = Table::default();
        if let Some(seed) = self.seed.as_ref().filter(|_| kind.keys.contains_key(SEED)) {
            origins.push((SEED.to_owned(), Origin::Workflow));
            keys.0.push(seed.clone());
        }
        if let Some(defaults) = self.defaults.get(kind_name).and_then(|entry| entry.node.table()) {
            mark(&mut origins, defaults, Origin::Defaults);
            keys.merge(defaults.clone());
        }
        mark(&mut origins, &own, Origin::Stage);
        let is_meant = |(of, key, _): &&(String, String, Span)| of == kind_name && own.get(key).is_none();
        let sets =
            self.set_defaults.iter().filter(is_meant).map(|(_, key, span)| (key.clone(), span.clone())).collect();
        keys.merge(own);
        let draft = Draft { name: StageName(stage.key), kind, span: stage.key_span, keys, origins, sets, run };
        match each.map(|entry| entry.node) {
            None => self.push(draft),
            Some(Node { value: Value::Table(variants), .. }) => self.take_variants(&draft, variants),
            Some(Node { value: Value::List(stages), .. }) => self.followers.push((draft, stages)),
            Some(node) => {
                let message = "`each` is a table of variants or a list of stages";
                self.diagnostics.push(Diagnostic::new(&node.span, message, node.value.sort()));
            }
        }
    }

    fn take_variants(&mut self, family: &Draft<'a>, variants: Table) {
        for variant in variants.0 {
            if !self.has_room(&variant.key_span) {
                return;
            }
            if !is_name(&variant.key) {
                let message = format!("`{}` is no name for a variant", variant.key);
                self.diagnostics.push(Diagnostic::new(&variant.key_span, message, "not a name"));
                continue;
            }
            let Value::Table(keys) = variant.node.value else {
                let message = format!("variant `{}` is not a table", variant.key);
                self.diagnostics.push(Diagnostic::new(&variant.node.span, message, variant.node.value.sort()));
                continue;
            };
            let mut draft = family.clone();
            draft.name = StageName(format!("{}/{}", family.name, variant.key));
            mark(&mut draft.origins, &keys, Origin::Each);
            draft.keys.merge(keys);
            self.push(draft);
        }
    }

    /// Returns whether there is room for another stage; reports once that there is none.
    fn has_room(&mut self, span: &Span) -> bool {
        let has_room = self.drafts.len() < limits::STAGES;
        if !has_room && !std::mem::replace(&mut self.is_full, true) {
            let message = format!("the workflow has more than {} stages", limits::STAGES);
            let help = "shorten the lists of `each`, which multiply, or split the workflow";
            self.diagnostics.push(Diagnostic::new(span, message, "one too many").with_help(help));
        }
        has_room
    }

    fn push(&mut self, draft: Draft<'a>) {
        if draft.name.0.len() > limits::STAGE_NAME {
            self.diagnostics.push(too_long(&draft));
            return;
        }
        if !self.has_room(&draft.span) {
            return;
        }
        let (family, kind) = (draft.family(), draft.kind.spec.kind.as_str());
        let other = self.kind_of.get(family).filter(|other| **other != kind);
        if let Some(other) = other {
            let message = format!("two stages are called `{family}`");
            let help = format!("the other one is of kind `{other}`; names are unique across kinds");
            self.diagnostics.push(Diagnostic::new(&draft.span, message, "taken already").with_help(help));
            return;
        }
        if !self.kind_of.contains_key(family) {
            self.kind_of.insert(family.to_owned(), kind);
        }
        self.drafts.push(draft);
    }

    /// Expands `each = ["zero", "student"]`: one variant for each stage named, and for each member of a family.
    fn follow(&mut self) {
        for (family, followed) in std::mem::take(&mut self.followers) {
            for node in followed {
                let Some(target) = node.text().map(str::to_owned) else {
                    let message = "`each` lists names of stages";
                    self.diagnostics.push(Diagnostic::new(&node.span, message, node.value.sort()));
                    continue;
                };
                let found = self.followed(&target);
                if found.is_empty() {
                    let message = format!("`each` follows `{target}`, which is no stage");
                    let help = suggest(&target, self.drafts.iter().map(Draft::family));
                    self.diagnostics
                        .push(Diagnostic::new(&node.span, message, "no such stage").with_optional_help(help));
                }
                for name in found {
                    if !self.has_room(&node.span) {
                        return;
                    }
                    let mut draft = family.clone();
                    draft.name = StageName(format!("{}/{}", family.name, name.trim_start_matches("inputs.")));
                    replace_each(&mut draft.keys, &name);
                    self.push(draft);
                }
            }
        }
    }

    fn followed(&self, target: &str) -> Vec<String> {
        if target.starts_with("inputs.") {
            return vec![target.to_owned()];
        }
        let is_meant = |draft: &&Draft| draft.name.0 == target || draft.family() == target;
        self.drafts.iter().filter(is_meant).map(|draft| draft.name.0.clone()).collect()
    }

    fn apply_set(&mut self, set: &super::overlay::Set) {
        let target = set.path[0].clone();
        let is_meant = |draft: &Draft| draft.name.0 == target || draft.family() == target;
        if !self.drafts.iter().any(is_meant) {
            let message = format!("`--set` names `{target}`, which is no stage");
            let stages = self.drafts.iter().map(|draft| (draft.name.0.as_str(), draft.family(), draft.kind));
            let help = stage_of_set(&set.path, stages);
            self.diagnostics.push(Diagnostic::new(set.span(), message, "no such stage").with_optional_help(help));
            return;
        }
        if set.path.len() < 2 {
            let message = format!("`--set {target}` names no key");
            self.diagnostics.push(Diagnostic::new(set.span(), message, "expected `stage.key=value`"));
            return;
        }
        if set.path[1] == "each" {
            let message = format!("`--set {target}.each` comes too late: variants are stages already");
            let help = "edit the file, or set a key of a variant: `--set stage/variant.key=value`";
            self.diagnostics.push(Diagnostic::new(set.span(), message, "not a key of a stage").with_help(help));
            return;
        }
        for draft in self.drafts.iter_mut().filter(|draft| is_meant(draft)) {
            let mut table = set.table_from(1);
            write_out(&mut table, &draft.kind.keys);
            if set.path[1] == "run" {
                // `run` is not among the stage's keys: wrap it in a table, merge, and unwrap it again.
                let run = Table(vec![Entry {
                    key: "run".to_owned(),
                    key_span: set.span().clone(),
                    node: draft
                        .run
                        .take()
                        .unwrap_or(Node { span: set.span().clone(), value: Value::Table(Table::default()) }),
                }]);
                let mut merged = run;
                merged.merge(table);
                draft.run = merged.remove("run").map(|entry| entry.node);
            } else {
                mark(&mut draft.origins, &table, Origin::Set);
                draft.sets.push((set.path[1].clone(), set.node.span.clone()));
                draft.keys.merge(table);
            }
        }
    }
}

/// Reports a name that is too long for the files named after it: the log, the curve, the folder of an attempt.
fn too_long(draft: &Draft<'_>) -> Diagnostic {
    let name = &draft.name.0;
    let end = name.floor_char_boundary(40);
    let message = format!("the name `{}…` has {} bytes", &name[..end], name.len());
    let label = format!("at most {}", limits::STAGE_NAME);
    let help =
        "it names files, which may have no more; of a variant the family's name counts, too: shorten one of them";
    Diagnostic::new(&draft.span, message, label).with_help(help)
}

/// Notes the layer that keys have their values from; the last note for a key counts.
fn mark(origins: &mut Vec<(String, Origin)>, keys: &Table, origin: Origin) {
    origins.reserve_exact(keys.0.len());
    origins.extend(keys.0.iter().map(|entry| (entry.key.clone(), origin)));
}

/// Returns whether a text may name a stage.
pub(super) fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !text.is_empty() && text.chars().all(is_plain) && text != "inputs" && text != "each"
}

/// Replaces `each` in references by the followed stage.
fn replace_each(table: &mut Table, name: &str) {
    for entry in &mut table.0 {
        replace_in(&mut entry.node, name);
    }
}

fn replace_in(node: &mut Node, name: &str) {
    match &mut node.value {
        Value::Text(text) => {
            if let Some(output) = text.strip_prefix("each.") {
                *text = if name.starts_with("inputs.") { name.to_owned() } else { format!("{name}.{output}") };
            }
        }
        Value::List(items) => items.iter_mut().for_each(|item| replace_in(item, name)),
        Value::Table(table) => replace_each(table, name),
        _ => {}
    }
}
