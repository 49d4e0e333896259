//! The floor plan: rooms of a crate use each other without circles, kinds use no other kind, commands no other command.
//!
//! A room is a top-level module of a crate, with its submodules. Tests are ignored. The uses are read from the sources:
//! `use` trees, and paths that begin with `crate` or `super`. Arguments of macros are not parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The crates, by the folders of their sources.
const CRATES: [&str; 6] = ["src", "engine/src", "store/src", "stages/src", "stages/text/src", "stages/lm/src"];

/// A module by its path below the crate's root: `["commands", "show", "tree"]`.
type Module = Vec<String>;

#[test]
fn no_crate_has_rooms_in_a_circle() {
    for source in CRATES {
        let uses = uses(source);
        let mut rooms: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (from, to) in uses.iter().filter(|(from, to)| from[0] != to[0]) {
            rooms.entry(&from[0]).or_default().insert(&to[0]);
        }
        assert!(rooms.len() > 3, "{source}: {rooms:?}");
        for room in rooms.keys() {
            assert_eq!(way(&rooms, room, room), None, "{source}: a room uses one that uses it");
        }
    }
}

#[test]
fn commands_use_no_command_and_kinds_no_kind() {
    for (source, above) in [("src", "commands"), ("stages/src", "kinds")] {
        let uses = uses(source);
        let inner: Vec<&(Module, Module)> =
            uses.iter().filter(|(from, to)| from[0] == above && to[0] == above).collect();
        let across = inner.iter().filter(|(from, to)| from.len() > 1 && to.len() > 1 && from[1] != to[1]);
        let across: Vec<String> =
            across.map(|(from, to)| format!("{} -> {}", from.join("::"), to.join("::"))).collect();
        assert!(across.is_empty(), "{source}: {across:#?}");
    }
}

#[test]
fn a_circle_is_found() {
    let rooms = BTreeMap::from([
        ("a", BTreeSet::from(["b", "d"])),
        ("b", BTreeSet::from(["c"])),
        ("c", BTreeSet::from(["a", "d"])),
        ("d", BTreeSet::new()),
    ]);
    assert_eq!(way(&rooms, "a", "a"), Some(vec!["a", "b", "c", "a"]));
    assert_eq!(way(&rooms, "d", "d"), None);
    let file = syn::parse_str::<syn::File>(
        "use crate::{a::B, c as d}; use super::super::e::{self, F}; \
         fn f() -> super::g::H { crate::i::j() } #[cfg(test)] mod tests { use crate::k; } mod z { use super::l; }",
    );
    let mut found = Uses { module: ["x", "y"].map(str::to_owned).to_vec(), found: Vec::new() };
    found.visit_file(&file.unwrap());
    let found: Vec<String> = found.found.iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::B", "c", "e", "e::F", "x::g::H", "i::j", "x::y::l"]);
}

/// Returns a shortest path along the edges, with both ends; `None` if there is none.
fn way<'a>(rooms: &BTreeMap<&'a str, BTreeSet<&'a str>>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let (mut ways, mut seen) = (vec![vec![from]], BTreeSet::new());
    while let Some(way) = (!ways.is_empty()).then(|| ways.remove(0)) {
        for next in rooms.get(way[way.len() - 1]).into_iter().flatten() {
            let longer = [&way[..], &[*next]].concat();
            if *next == to {
                return Some(longer);
            }
            if seen.insert(*next) {
                ways.push(longer);
            }
        }
    }
    None
}

/// Returns pairs of a crate's modules, of which the first uses the second: in different rooms, or in the same room.
fn uses(source: &str) -> Vec<(Module, Module)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(source);
    let modules = files(&root).into_iter().map(|file| (module(&root, &file), file));
    let is_test = |module: &Module| module.iter().any(|name| name == "tests" || name == "testing");
    let modules: BTreeMap<Module, PathBuf> = modules.filter(|(module, _)| !is_test(module)).collect();
    let mut uses = Vec::new();
    for (from, file) in modules.iter().filter(|(module, _)| !module.is_empty()) {
        let text = fs_err::read_to_string(file).unwrap();
        let mut found = Uses { module: from.clone(), found: Vec::new() };
        found.visit_file(&syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())));
        for path in found.found {
            // The longest prefix that is a module; items of the root belong to no room.
            let to = (1..=path.len()).rev().map(|len| path[..len].to_vec()).find(|path| modules.contains_key(path));
            uses.extend(to.filter(|to| to[0] != from[0] || to.len() > 1).map(|to| (from.clone(), to)));
        }
    }
    uses.retain(|(from, to)| from[0] != to[0] || from.len() > 1);
    uses
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn module(root: &Path, file: &Path) -> Module {
    let inside = file.strip_prefix(root).unwrap().with_extension("");
    let mut names: Module = inside.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// The paths that a module uses, from the crate's root.
struct Uses {
    module: Module,
    found: Vec<Module>,
}

impl Uses {
    /// Records a path as written. Only one that begins with `crate` or `super` is the crate's own for sure.
    fn take(&mut self, path: &[String]) {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let from = match path.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("super") => self.module[..self.module.len().saturating_sub(ups)].to_vec(),
            _ => return,
        };
        self.found.push(from.into_iter().chain(path[ups.max(1)..].iter().cloned()).collect());
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.tree(tree, before)),
            syn::UseTree::Name(name) if name.ident == "self" => self.take(before),
            syn::UseTree::Name(name) => self.take(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.take(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.take(before),
        }
    }
}

impl Visit<'_> for Uses {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        let is_test = |attribute: &syn::Attribute| {
            attribute.meta.require_list().is_ok_and(|list| {
                list.path.is_ident("cfg")
                    && list.tokens.to_string().split(|at: char| !at.is_alphanumeric()).any(|word| word == "test")
            })
        };
        if !item.attrs.iter().any(is_test) {
            self.module.push(item.ident.to_string());
            syn::visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.take(&names);
        syn::visit::visit_path(self, path);
    }
}
