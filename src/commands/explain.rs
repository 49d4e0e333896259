//! `r1flow explain`: the documents that decided a stage's last outputs, and what changed between them; of two stages, how
//! they differ.

use anyhow::{Result, anyhow};
use engine::dirty::diff;
use serde_json::{Value, json};
use store::{Record, Store};

use super::plan::reason;
use super::show::history;
use super::{Global, Status, find_store, print_json};
use crate::ui::{self, Style, duration};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stage.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Another stage: say how the two differ.
    #[arg(value_name = "OTHER")]
    other: Option<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let action =
        |record: &store::Record| -> Result<Value> { Ok(store.action(&record.fingerprint)?.unwrap_or(Value::Null)) };
    let records = all_of(&store, &args.stage)?;
    let now = action(&records[records.len() - 1])?;
    if let Some(other) = &args.other {
        let others = all_of(&store, other)?;
        return compare(global, (&args.stage, &now), (other, &action(&others[others.len() - 1])?));
    }
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

/// Returns the records of a stage, at least one.
fn all_of(store: &Store, stage: &str) -> Result<Vec<Record>> {
    let records = history(store, stage)?;
    if records.is_empty() { Err(anyhow!("stage `{stage}` has not run in this store")) } else { Ok(records) }
}

fn compare(global: &Global, (one, first): (&str, &Value), (two, second): (&str, &Value)) -> Result<Status> {
    let reasons = diff(first, second);
    if global.json {
        return print_json(&json!({ "stages": [one, two], "differences": reasons }));
    }
    if reasons.is_empty() {
        ui::line(&format!("{one} and {two} are one action: what one makes the other takes"));
    } else {
        ui::line(&format!("{} → {}", ui::styled(one, Style::Strong), ui::styled(two, Style::Strong)));
    }
    for why in &reasons {
        ui::line(&format!("  {}", reason(why)));
    }
    Ok(Status::Done)
}
