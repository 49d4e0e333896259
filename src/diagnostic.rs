//! Diagnostics of a workflow as a person reads them: the line, the caret, the cure.

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
        let (text, name) = (ui::placeheld(&source.text), ui::visible(&name));
        let annotation = AnnotationKind::Primary.span(diagnostic.span.range()).label(&*label);
        let snippet = Snippet::source(&*text).path(&*name).annotation(annotation);
        let mut group = Group::with_title(Level::ERROR.primary_title(&*message)).element(snippet);
        let help = diagnostic.help.as_deref().map(ui::visible);
        if let Some(help) = &help {
            group = group.element(Level::HELP.message(&**help));
        }
        ui::complain_rendered(&format!("{}\n\n", renderer.render(&[group])));
    }
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
