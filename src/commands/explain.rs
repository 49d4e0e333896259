//! `r1flow explain`: the documents that decided a stage's last outputs, and what changed between them.

use anyhow::{Result, anyhow};
use engine::dirty::diff;
use serde_json::{Value, json};

use super::plan::reason;
use super::show::history;
use super::{Global, Status, find_store, print_json};
use crate::ui::{self, Style, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stage.
    #[arg(value_name = "STAGE")]
    stage: String,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let records = history(&store, &args.stage)?;
    let newest = records.last().ok_or_else(|| anyhow!("stage `{}` has not run in this store", args.stage))?;
    let action =
        |record: &store::Record| -> Result<Value> { Ok(store.action(&record.fingerprint)?.unwrap_or(Value::Null)) };
    let now = action(newest)?;
    if global.json {
        let actions: Vec<Value> = records.iter().map(action).collect::<Result<_>>()?;
        return print_json(&json!({ "stage": args.stage, "actions": actions }));
    }
    ui::line(&format!("{} is decided by", ui::styled(&args.stage, Style::Strong)));
    ui::line(&serde_json::to_string_pretty(&now)?);
    for pair in records.windows(2) {
        ui::line(&format!("\n{} → {} ({})", pair[0].finished, pair[1].finished, duration(pair[1].seconds)));
        let reasons = diff(&action(&pair[0])?, &action(&pair[1])?);
        if reasons.is_empty() {
            ui::line("  the same action again: it was forced, or its outputs were gone");
        }
        for why in &reasons {
            ui::line(&format!("  {}", reason(why)));
        }
    }
    Ok(Status::Done)
}
