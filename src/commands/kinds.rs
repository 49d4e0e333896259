//! `r1flow kinds`: the reference of stage kinds, from the worker's description.

use anyhow::Result;

use crate::arguments::Global;
use crate::exit::{Status, no_such};
use crate::loading::load_kinds;
use crate::reference::kinds::{markdown, rows};
use crate::ui::{self, Table};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A kind, to list its keys.
    #[arg(value_name = "KIND")]
    kind: Option<String>,
    /// Print the reference of all kinds in Markdown, as in `docs/kinds.md`.
    #[arg(long, conflicts_with = "kind")]
    markdown: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let kinds = load_kinds(global)?;
    if args.markdown {
        ui::raw(&markdown(&kinds));
        return Ok(Status::Done);
    }
    let Some(name) = &args.kind else {
        if global.json {
            ui::print_json(&kinds.iter().map(|kind| &kind.spec).collect::<Vec<_>>())?;
            return Ok(Status::Done);
        }
        let mut table = Table::new(["kind", "outputs", ""]);
        for kind in kinds.iter() {
            let outputs: Vec<&str> = kind.spec.outputs.keys().map(String::as_str).collect();
            table.push(vec![kind.spec.kind.clone(), outputs.join(", "), kind.spec.doc.clone()]);
        }
        ui::table(&table);
        return Ok(Status::Done);
    };
    let kind = kinds.get(name).ok_or_else(|| no_such("kind", name, kinds.names()))?;
    if global.json {
        ui::print_json(&kind.spec)?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{} (version {}): {}", kind.spec.kind, kind.spec.version, kind.spec.doc));
    for (index, change) in kind.spec.history.iter().enumerate() {
        ui::line(&format!("  version {}: {change}", index + 1));
    }
    let mut table = Table::new(["key", "takes", "default", "role", ""]);
    for row in rows(kind) {
        table.push(vec![row.name(), row.takes, row.default, row.role.to_owned(), row.doc]);
    }
    ui::table(&table);
    Ok(Status::Done)
}
