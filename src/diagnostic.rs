//! Diagnostics of a file as a person reads them: the line, the caret, the cure.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use engine::workflow::Loaded;
use serde_json::json;

use crate::arguments::Global;
use crate::ui;

/// Shows every mistake of a file.
pub(crate) fn show(global: &Global, loaded: &Loaded) {
    if global.json {
        ui::json(&format!("{}\n", to_json(loaded)));
        return;
    }
    show_each(loaded);
    let count = loaded.diagnostics.len();
    ui::complain(&format!("{}\n", ui::count(count, "mistake")));
}

/// Shows every diagnostic of a file, also one that is no mistake in the file (a failed download).
pub(crate) fn show_each(loaded: &Loaded) {
    let renderer = if ui::errors_have_color() { Renderer::styled() } else { Renderer::plain() };
    for diagnostic in &loaded.diagnostics {
        let source = loaded.sources.get(diagnostic.span.source);
        let name = ui::short_path(&source.name);
        let (message, label) = (ui::visible(&diagnostic.message), ui::visible(&diagnostic.label));
        let Lines { text, number, range } = lines(&source.text, diagnostic.span.range());
        let (text, name) = (ui::placeheld(text), ui::visible(&name));
        let annotation = AnnotationKind::Primary.span(range).label(&*label);
        let snippet = Snippet::source(&*text).path(&*name).line_start(number).annotation(annotation);
        let mut group = Group::with_title(Level::ERROR.primary_title(&*message)).element(snippet);
        let help = diagnostic.help.as_deref().map(ui::visible);
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(&**help));
        }
        ui::complain_rendered(&format!("{}\n\n", renderer.render(&[group])));
    }
}

/// Lines of a source.
struct Lines<'a> {
    text: &'a str,
    /// The number of the first, from 1.
    number: usize,
    /// The range that was asked for, within them.
    range: Range<usize>,
}

/// Returns the lines that a range touches. A renderer that got the whole text would read all of it for each mistake.
fn lines(text: &str, range: Range<usize>) -> Lines<'_> {
    let range = range.start.min(text.len())..range.end.min(text.len());
    let start = text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[range.end..].find('\n').map_or(text.len(), |at| range.end + at);
    let number = text[..start].matches('\n').count() + 1;
    Lines { text: &text[start..end], number, range: range.start - start..range.end - start }
}

pub(crate) fn to_json(loaded: &Loaded) -> serde_json::Value {
    let mistakes = loaded.diagnostics.iter().map(|diagnostic| {
        let source = loaded.sources.get(diagnostic.span.source);
        let before = &source.text[..diagnostic.span.range().start.min(source.text.len())];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
        json!({
            "file": source.name, "line": line, "column": column,
            "message": diagnostic.message, "label": diagnostic.label, "help": diagnostic.help,
        })
    });
    json!({ "mistakes": mistakes.collect::<Vec<_>>() })
}
