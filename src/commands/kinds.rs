//! `r1flow kinds`: the reference of stage kinds, from the worker's description.

use anyhow::Result;
use engine::kind::KindInfo;

use crate::arguments::Global;
use crate::exit::{Status, no_such};
use crate::loading::load_kinds;
use crate::reference::kinds::{markdown, rows};
use crate::ui::{self, Style, Table};

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
    ui::text(&format!("{}: {}", ui::styled(&kind.spec.kind, Style::Strong), kind.spec.doc), 2);
    if global.verbose > 0 {
        print_history(kind);
    }
    let mut table = Table::new(["key", "takes, default, role; meaning"]);
    for row in rows(kind) {
        table.push(vec![row.name(), format!("{}, {}, {}", row.takes, row.default, row.role)]);
        table.push(vec![String::new(), row.doc]);
    }
    ui::line("");
    ui::table(&table);
    Ok(Status::Done)
}

/// Prints what made each version of a kind.
fn print_history(kind: &KindInfo) {
    for (index, change) in kind.spec.history.iter().enumerate() {
        ui::text(&format!("  version {}: {change}", index + 1), 4);
    }
}
