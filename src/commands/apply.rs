//! `r1flow apply`: brings a workflow up to date.

use anyhow::{Context, Result};
use engine::event::Event;
use engine::exec::EXECUTORS;
use engine::schedule::{Error, Halt, Options, Summary, apply};
use engine::workflow::Workflow;
use store::Store;
use tokio::sync::watch;

use super::{Global, Status, WorkflowArgs, load_workflow, no_such, scores, worker};
use crate::ui::{self, Progress};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
    /// Stages that run side by side; as many as there are cores unless given.
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// CPU threads of each stage; the cores divided by the jobs unless given.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Where tensors live: `cpu` or `cuda:N`.
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Where workers run.
    #[arg(long, default_value = "local")]
    executor: String,
    /// Run only this stage or family and what it needs (repeatable).
    #[arg(long, value_name = "STAGE")]
    until: Vec<String>,
    /// Run this stage or family even if it is fresh (repeatable).
    #[arg(long, value_name = "STAGE")]
    force: Vec<String>,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(workflow) = load_workflow(global, &args.workflow)? else { return Ok(Status::Refused) };
    let store = Store::open(&global.store)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let slots = args.jobs.unwrap_or(cores).max(1);
    let (sender, halt) = watch::channel(Halt::Run);
    let executor = EXECUTORS.iter().find(|(name, _)| *name == args.executor);
    let names = EXECUTORS.iter().map(|(name, _)| *name);
    let options = Options {
        worker: worker(global)?,
        executor: executor.ok_or_else(|| no_such("executor", &args.executor, names))?.1,
        slots,
        threads: args.threads.unwrap_or(cores / slots).max(1),
        device: args.device.clone(),
        until: args.until.clone(),
        force: args.force.clone(),
        halt,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let summary = runtime.block_on(async {
        let interrupts = tokio::spawn(listen(sender));
        let mut progress = Progress::begin(global.json);
        let summary = apply(&workflow, &store, &options, |event: &Event| progress.show(event)).await;
        interrupts.abort();
        summary
    });
    let summary = match summary {
        Err(Error::NoStage { name, known }) => return Err(no_such("stage", &name, known.iter().map(String::as_str))),
        other => other.context("the run cannot go on")?,
    };
    conclude(global, &workflow, &store, &summary)
}

/// Turns Ctrl-C and SIGTERM into requests: the first for a checkpoint, the second for the end.
async fn listen(halt: watch::Sender<Halt>) -> Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    loop {
        tokio::select! {
            result = tokio::signal::ctrl_c() => result?,
            _ = terminate.recv() => {}
        }
        let now = *halt.borrow();
        let next = if now == Halt::Run { Halt::Stop } else { Halt::Kill };
        ui::note(match next {
            Halt::Kill => "leaving at once",
            _ => "stopping after a checkpoint; again to leave at once",
        });
        halt.send(next)?;
    }
}

fn conclude(global: &Global, workflow: &Workflow, store: &Store, summary: &Summary) -> Result<Status> {
    let status = if !summary.failed.is_empty() {
        Status::StageFailed
    } else if summary.left.is_empty() {
        Status::Done
    } else {
        // Stopped on request: not an error of ours, but not done either.
        Status::StageFailed
    };
    if !global.json {
        let table = scores::table(workflow, store, &summary.records)?;
        if let Some(table) = table {
            ui::line("");
            ui::table(&table);
        }
    }
    Ok(status)
}
