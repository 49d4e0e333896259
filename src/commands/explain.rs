//! `r1flow explain`: prints the action that decided a stage's outputs, and what changed between its results. Given two
//! stages, prints how their actions differ.

use anyhow::Result;
use engine::dirty::diff;
use engine::history;
use serde_json::{Value, json};
use store::{Record, Store};

use crate::arguments::{Global, NameArgs};
use crate::exit::Status;
use crate::loading::{find_store, omitted};
use crate::results::{Invocation, Look, Named, not_fresh, stage, unfinished};
use crate::ui::{self, Style, duration, reason};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stage.
    #[arg(value_name = "STAGE")]
    stage: String,
    /// Another stage: show how the two differ.
    #[arg(value_name = "OTHER")]
    other: Option<String>,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let store = find_store(global)?;
    let action =
        |record: &store::Record| -> Result<Value> { Ok(store.action(&record.fingerprint)?.unwrap_or(Value::Null)) };
    // A stage that is at work, or was interrupted, has an action all the same.
    let found = |name: &str| -> Result<(Named, Value)> {
        let asked = Invocation { command: "explain", what: name, tail: "" };
        let look = Look { global, store: &store, args: &args.names, asked };
        let named = stage(&look, name)?;
        match (&named.record, &named.document) {
            (Some(record), _) => Ok((named.clone(), action(record)?)),
            (None, Some(document)) if unfinished(&store, &named)?.is_some() => Ok((named.clone(), document.clone())),
            (None, _) => Err(not_fresh(&look, &named)?),
        }
    };
    let (named, now) = found(&args.stage)?;
    if let Some(other) = &args.other {
        return compare(global, (&args.stage, &now), (other, &found(other)?.1));
    }
    let Some(record) = named.record.clone() else { return explain_unfinished(global, &args.stage, &now) };
    let records = past(&store, &named, record)?;
    if global.json {
        let actions: Vec<Value> = records.iter().map(action).collect::<Result<_>>()?;
        ui::print_json(&json!({ "stage": args.stage, "actions": actions }))?;
        return Ok(Status::Done);
    }
    let omitted = omitted(global, &now);
    ui::line(&format!("{} is decided by", ui::styled(&args.stage, Style::Strong)));
    ui::line(&serde_json::to_string_pretty(&now)?);
    for pair in records.windows(2) {
        ui::line(&format!("\n{} → {} ({})", pair[0].finished, pair[1].finished, duration(pair[1].seconds)));
        let reasons = diff(&action(&pair[0])?, &action(&pair[1])?, &omitted);
        if reasons.is_empty() {
            ui::line("  the same action again: it was forced, or its outputs were gone");
        }
        for why in &reasons {
            ui::line(&format!("  {}", reason(why)));
        }
    }
    Ok(Status::Done)
}

/// Explains a stage that has no result.
fn explain_unfinished(global: &Global, stage: &str, now: &Value) -> Result<Status> {
    if global.json {
        ui::print_json(&json!({ "stage": stage, "actions": [now] }))?;
        return Ok(Status::Done);
    }
    ui::line(&format!("{} has no result yet; it will be decided by", ui::styled(stage, Style::Strong)));
    ui::line(&serde_json::to_string_pretty(now)?);
    Ok(Status::Done)
}

/// Returns the results that a stage has had in its workflow, oldest first, ending with `now`. They come from the run
/// histories or, if those are gone, from the journal.
fn past(store: &Store, named: &Named, now: Record) -> Result<Vec<Record>> {
    let Some(source) = &named.source else { return Ok(vec![now]) };
    let mut records = Vec::new();
    for history in history::newest_first_about(store, &named.stage)?.filter(|history| history.is_of(&source.file)) {
        if let Some(fingerprint) = history.settled(&named.stage) {
            records.extend(store.record(&fingerprint)?);
        }
    }
    if records.is_empty() {
        records = store.records_of_stage(&named.stage)?;
        records.retain(|record| record.deterministic && record.source.file == source.file);
    }
    records.reverse();
    records.dedup_by_key(|record| record.fingerprint);
    if records.last().is_none_or(|last| last.fingerprint != now.fingerprint) {
        records.push(now);
    }
    Ok(records)
}

fn compare(global: &Global, (one, first): (&str, &Value), (two, second): (&str, &Value)) -> Result<Status> {
    let reasons = diff(first, second, &omitted(global, first));
    if global.json {
        ui::print_json(&json!({ "stages": [one, two], "differences": reasons }))?;
        return Ok(Status::Done);
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
