//! `r1flow verify`: checks that stored bytes are undamaged, or that stages produce the same bytes again.

use std::num::NonZeroUsize;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow, bail};
use engine::event::Event;
use engine::history;
use engine::options::Halt;
use engine::select::Selection;
use engine::verify::{Comparison, Rerun, Sample, verify};
use store::{Audit, Damage, Store};
use tokio::sync::watch;

use crate::arguments::{Global, MachineArgs, WorkflowArgs};
use crate::exit::Status;
use crate::loading::{find_store, load_workflow};
use crate::results::fresh_records;
use crate::running::{Audience, explained, options, to_end};
use crate::ui::{self, Style, count, duration};

#[derive(Debug, clap::Args)]
#[command(override_usage = "r1flow verify [OPTIONS] <FILE>\n       r1flow verify --all")]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: Option<WorkflowArgs>,
    /// Read every byte of the store, whatever workflow it belongs to: results, checkpoints, rows, records, history.
    #[arg(long, conflicts_with_all = ["file", "rerun"])]
    all: bool,
    /// Run the named stages (or all) again: a segment of a stage that trains, the whole of any other stage.
    #[arg(long, value_name = "STAGE", num_args = 0..)]
    rerun: Option<Vec<String>>,
    /// How many stretches between two checkpoints are run again of each stage that trains, among those whose first
    /// checkpoint is kept.
    #[arg(long, value_name = "N", default_value = "1", requires = "rerun")]
    segments: NonZeroUsize,
    /// Seed of that draw; different in each call unless given.
    #[arg(long, value_name = "S", requires = "rerun")]
    seed: Option<u64>,
    #[command(flatten)]
    machine: MachineArgs,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(named) = &args.workflow else {
        if !args.all {
            bail!("name a workflow file, or give `--all` for every byte of the store");
        }
        return check_all_bytes(global, &find_store(global)?);
    };
    let Some(workflow) = load_workflow(global, named)? else { return Ok(Status::Refused) };
    let store = find_store(global)?;
    let Some(stages) = &args.rerun else { return check_bytes(global, workflow, &store) };
    let (sender, halt) = watch::channel(Halt::Run);
    let selection = Selection { only: stages.clone(), ..Selection::default() };
    let options = options(global, &args.machine, selection, halt)?;
    let draw = Sample { segments: args.segments.get(), seed: args.seed.unwrap_or_else(of_the_moment) };
    let is_shown = !global.json;
    let verdicts = to_end(sender, Audience::begin(false, global.verbose > 0), async |speaker| {
        let show = |event: &Event| {
            if is_shown {
                speaker.event(event);
            }
        };
        verify(workflow, &store, draw, &options, show).await
    })?;
    let verdicts = verdicts.map_err(explained)?;
    if global.json {
        ui::print_json(&verdicts)?;
    } else {
        verdicts.iter().for_each(print);
    }
    let is_any = |of: fn(&Comparison) -> bool| verdicts.iter().any(|verdict| of(&verdict.outcome));
    Ok(if is_any(|outcome| matches!(outcome, Comparison::Differs(_) | Comparison::Failed(_))) {
        Status::StageFailed
    } else if is_any(|outcome| matches!(outcome, Comparison::Stopped)) {
        Status::Interrupted
    } else {
        Status::Done
    })
}

/// Returns a seed from the clock, different in each call.
fn of_the_moment() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().rotate_left(32) ^ u64::from(since.subsec_nanos())
}

fn print(verdict: &Rerun) {
    let Rerun { stage, from, to, seconds, outcome, processors } = verdict;
    let steps = match (from, to) {
        (0, None) => String::new(),
        (from, None) => format!(" from step {from}"),
        (from, Some(to)) => format!(" from step {from} to {to}"),
    };
    let time = duration(*seconds);
    match outcome {
        Comparison::Same => ui::line(&format!("{} {stage}{steps}  {time}", ui::styled("same   ", Style::Good))),
        Comparison::NotFresh => ui::line(&format!("{} {stage}: not fresh", ui::styled("skipped", Style::Dim))),
        Comparison::Stopped => ui::line(&format!("{} {stage}{steps}", ui::styled("stopped", Style::Warn))),
        Comparison::Failed(message) => {
            ui::line(&format!("{} {stage}{steps}: {message}", ui::styled("failed ", Style::Bad)));
        }
        Comparison::Differs(outputs) => {
            for (output, was, is) in outputs {
                let digests = format!("was {}, is {}", was.short(), is.short());
                ui::line(&format!("{} {stage}.{output}{steps}: {digests}", ui::styled("differs", Style::Bad)));
            }
            if let Some((was, is)) = processors {
                ui::line(&format!(
                    "        made on {was}, run again on {is}: other instruction sets may give other bits"
                ));
            }
        }
    }
}

/// Reads every byte of every fresh output.
fn check_bytes(global: &Global, workflow: &engine::workflow::Workflow, store: &Store) -> Result<Status> {
    let records = fresh_records(workflow, store)?;
    if records.is_empty() {
        return Err(anyhow!("nothing of `{}` is fresh: run `r1flow apply` first", workflow.name));
    }
    let mut damaged = Vec::new();
    let (mut outputs, mut bytes) = (0, 0);
    for (stage, record) in &records {
        for (name, output) in &record.outputs {
            outputs += 1;
            bytes += output.bytes;
            if let Err(error) = store.check_tree(&output.digest) {
                damaged.push((format!("{stage}.{name}"), error.to_string()));
            }
        }
    }
    if global.json {
        ui::print_json(&serde_json::json!({ "outputs": outputs, "bytes": bytes, "damaged": damaged }))?;
    } else {
        for (name, error) in &damaged {
            ui::line(&format!("{} {name}: {error}", ui::styled("damaged", Style::Bad)));
        }
        ui::line(&format!("{}, {}, {} damaged", count(outputs, "output"), ui::bytes(bytes), damaged.len()));
    }
    Ok(if damaged.is_empty() { Status::Done } else { Status::StageFailed })
}

/// Reads every stored byte, whatever workflow it belongs to.
fn check_all_bytes(global: &Global, store: &Store) -> Result<Status> {
    let mut audit = store.audit(|_| ())?;
    for id in history::list(store)? {
        let read = history::read(store, &id);
        audit.entries += read.entries.len();
        if read.spoilt > 0 {
            let what = format!("{} torn or altered", count(read.spoilt, "line"));
            audit.damaged.push(Damage { path: ["runs", &id, "events.jsonl"].iter().collect(), what });
        }
    }
    if global.json {
        ui::print_json(&audit)?;
    } else {
        print_audit(&audit);
    }
    Ok(if audit.damaged.is_empty() { Status::Done } else { Status::StageFailed })
}

fn print_audit(audit: &Audit) {
    for damage in &audit.damaged {
        ui::line(&format!("{} {}: {}", ui::styled("damaged", Style::Bad), damage.path.display(), damage.what));
    }
    for stage in &audit.stages {
        ui::line(&format!("{} {stage}", ui::styled("runs again", Style::Warn)));
    }
    let (objects, entries) = (count(audit.objects, "object"), count(audit.entries, "reference"));
    ui::line(&format!("{objects}, {}, {entries}, {} damaged", ui::bytes(audit.bytes), audit.damaged.len()));
}
