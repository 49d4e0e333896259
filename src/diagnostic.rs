//! Diagnostics of a file as a person reads them: the line, the caret, the cure.

use std::collections::BTreeMap;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use engine::diagnostic::Severity;
use engine::workflow::Loaded;
use serde_json::json;

use crate::arguments::Global;
use crate::ui;

/// Shows every mistake of a file, and what else is to be known.
pub(crate) fn show(global: &Global, loaded: &Loaded) {
    if global.json {
        ui::json(&format!("{}\n", to_json(loaded)));
        return;
    }
    show_each(loaded, Severity::Note);
    let count = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
    ui::complain(&format!("{}\n", ui::count(count, "mistake")));
}

/// Shows every diagnostic of a file that is at least so bad, also one that is no mistake in the file (a failed
/// download).
pub(crate) fn show_each(loaded: &Loaded, least: Severity) {
    let renderer = if ui::errors_have_color() { Renderer::styled() } else { Renderer::plain() };
    let renderer = ui::error_room().map_or(renderer.clone(), |room| renderer.term_width(room));
    let mut starts = BTreeMap::new();
    for diagnostic in loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity >= least) {
        let source = loaded.sources.get(diagnostic.span.source);
        let name = ui::short_path(&source.name);
        // Beside the message is the severity, and beside the help a margin.
        let message = ui::broken(&ui::visible(&diagnostic.message), "warning: ".len());
        let label = ui::visible(&diagnostic.label);
        let starts = starts.entry(diagnostic.span.source).or_insert_with(|| LineStarts::of(&source.text));
        let range = within(&source.text, diagnostic.span.range());
        let (line, start) = starts.line(range.start);
        // The renderer gets the lines of the range alone, because it reads all of what it gets.
        let end = source.text[range.end..].find('\n').map_or(source.text.len(), |at| range.end + at);
        let (text, name) = (ui::placeheld(&source.text[start..end]), ui::visible(&name));
        let annotation = AnnotationKind::Primary.span(range.start - start..range.end - start).label(&*label);
        let snippet = Snippet::source(&*text).path(&*name).line_start(line + 1).annotation(annotation);
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(&*message)).element(snippet);
        let help = diagnostic
            .help
            .as_deref()
            .map(|help| ui::broken(&ui::visible(help), "  = help: ".len() + (line + 1).to_string().len()));
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(&**help));
        }
        ui::complain_rendered(&format!("{}\n\n", renderer.render(&[group])));
    }
}

/// Where each line of a text begins. Files that people edit may be large and have many mistakes, so lines are counted
/// once.
struct LineStarts(Vec<usize>);

impl LineStarts {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// Returns the line of a byte, from 0, and where it begins.
    fn line(&self, at: usize) -> (usize, usize) {
        let line = self.0.partition_point(|start| *start <= at) - 1;
        (line, self.0[line])
    }
}

/// Returns a range that ends with the text.
fn within(text: &str, range: Range<usize>) -> Range<usize> {
    range.start.min(text.len())..range.end.min(text.len())
}

pub(crate) fn to_json(loaded: &Loaded) -> serde_json::Value {
    let of = |severity: Severity| listed(loaded, severity);
    json!({ "mistakes": of(Severity::Error), "warnings": of(Severity::Warning), "notes": of(Severity::Note) })
}

fn listed(loaded: &Loaded, severity: Severity) -> Vec<serde_json::Value> {
    let mut starts = BTreeMap::new();
    let listed = loaded.diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).map(|diagnostic| {
        let source = loaded.sources.get(diagnostic.span.source);
        let starts = starts.entry(diagnostic.span.source).or_insert_with(|| LineStarts::of(&source.text));
        let at = within(&source.text, diagnostic.span.range()).start;
        let (line, start) = starts.line(at);
        json!({
            "file": source.name, "line": line + 1, "column": source.text[start..at].chars().count() + 1,
            "message": diagnostic.message, "label": diagnostic.label, "help": diagnostic.help,
        })
    });
    listed.collect()
}
