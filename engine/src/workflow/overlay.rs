//! Reads the layers of a workflow: `extends` and the file as one table, and the `--set` arguments.

use std::path::{Path, PathBuf};

use super::short::write_out_file;
use super::syntax;
use super::tree::{Entry, Node, Table, Value, parse, parse_value, range_in};
use crate::diagnostic::{Diagnostic, Sources, Span};
use crate::kind::Kinds;
use crate::limits;

/// The layers of a workflow before stages are expanded.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// The file on top of what it extends.
    pub(super) table: Table,
    /// `--set` arguments, in order.
    pub(super) sets: Vec<Set>,
}

/// A `--set` argument.
#[derive(Debug)]
pub(super) struct Set {
    /// Dotted path; a stage's name is its first part.
    pub(super) path: Vec<String>,
    /// The place of each part of the path.
    places: Vec<Span>,
    pub(super) node: Node,
}

/// Reads a file with all files that it extends, and the `--set` arguments.
pub(super) fn read(
    file: &Path,
    arguments: &[String],
    kinds: &Kinds,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Layers, std::io::Error> {
    let table = read_extended(file, kinds, sources, diagnostics, &mut Vec::new())?;
    let mut sets = Vec::new();
    for argument in arguments {
        match argument.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => {
                let node = parse_value(sources, argument, value.trim());
                syntax::tex((node.span.source, argument), &node.span.range(), diagnostics);
                let parts: Vec<&str> = path.split('.').map(str::trim).collect();
                sets.push(Set {
                    path: parts.iter().map(|part| (*part).to_owned()).collect(),
                    places: parts.iter().map(|part| Span::new(node.span.source, range_in(argument, part))).collect(),
                    node,
                });
            }
            _ => {
                let node = parse_value(sources, argument, argument);
                let message = format!("`--set {argument}` has no value");
                diagnostics.push(
                    Diagnostic::new(&node.span, message, "expected `stage.key=value`")
                        .with_help("for example `--set zero.steps=100`"),
                );
            }
        }
    }
    Ok(Layers { table, sets })
}

fn read_extended(
    file: &Path,
    kinds: &Kinds,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
    above: &mut Vec<PathBuf>,
) -> Result<Table, std::io::Error> {
    let file = fs_err::canonicalize(file)?;
    let mut own = parse(
        sources,
        &file,
        outside::read_text(&file, limits::FILE_BYTES, "a workflow file is a few pages of text")?,
        diagnostics,
    );
    write_out_file(&mut own, kinds);
    let Some(extends) = own.remove("extends") else { return Ok(own) };
    above.push(file.clone());
    let Some(base) = base_file(&file, &extends, above, diagnostics) else { return Ok(own) };
    let mut table = read_extended(&base, kinds, sources, diagnostics, above)?;
    table.merge(own);
    Ok(table)
}

fn base_file(file: &Path, extends: &Entry, above: &[PathBuf], diagnostics: &mut Vec<Diagnostic>) -> Option<PathBuf> {
    let span = &extends.node.span;
    let mut refuse = |message: String, label: &str| {
        diagnostics.push(Diagnostic::new(span, message, label));
        None
    };
    let Some(text) = extends.node.text() else {
        return refuse("`extends` is a path".to_owned(), extends.node.value.sort());
    };
    let base = file.parent().unwrap_or(Path::new("")).join(text);
    match fs_err::canonicalize(&base) {
        Err(_) => refuse(format!("`{text}` cannot be read"), "there is no such file"),
        Ok(base) if above.contains(&base) => refuse(format!("`{text}` extends this file"), "this is a cycle"),
        Ok(base) => Some(base),
    }
}

impl Set {
    /// Returns the place of the first part, which is a name.
    pub(super) fn span(&self) -> &Span {
        &self.places[0]
    }

    /// Returns the value, nested in tables for the path from the given part on.
    pub(super) fn table_from(&self, part: usize) -> Table {
        let mut parts = self.path[part..].iter().zip(&self.places[part..]).rev();
        let entry =
            |(key, span): (&String, &Span), node: Node| Entry { key: key.clone(), key_span: span.clone(), node };
        let Some(last) = parts.next() else { return Table::default() };
        let innermost = Table(vec![entry(last, self.node.clone())]);
        parts.fold(innermost, |inner, part| {
            let node = Node { span: self.node.span.clone(), value: Value::Table(inner) };
            Table(vec![entry(part, node)])
        })
    }
}
