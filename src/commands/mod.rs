//! The commands: one file each, with its `Args` and its `run`. No command uses another; code that several need has a
//! module of its own beside this folder.

mod apply;
mod chaos;
mod check;
mod completions;
mod doctor;
mod explain;
mod export;
mod fetch;
mod gc;
mod grade;
mod init;
mod kinds;
mod log;
mod man;
mod plan;
mod refine;
mod schema;
mod scores;
mod show;
mod status;
mod tokens;
mod verify;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue};
use clap::{CommandFactory, Parser, Subcommand};

use crate::arguments::Global;
use crate::exit::Status;

/// `make` for reasoning models: runs a workflow's stages, and only those that are out of date.
#[derive(Debug, Parser)]
#[command(name = "r1flow", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a first workflow for your model and data.
    Init(init::Args),
    /// Check a workflow, and report every mistake at once.
    Check(check::Args),
    /// Show what `apply` would run, and why.
    Plan(plan::Args),
    /// Bring a workflow up to date.
    Apply(apply::Args),
    /// Download inputs from a hub, and check whether their branches have moved.
    Fetch(fetch::Args),
    /// Show runs and their stages, also of a run in progress.
    Status(status::Args),
    /// Look inside a stage, one of its outputs, or a digest.
    Show(show::Args),
    /// Show a row as the model sees it, token by token, with what is in the loss.
    Tokens(tokens::Args),
    /// Score completions in a file by the verifiers and rewards of training, without a workflow.
    Grade(grade::Args),
    /// Copy an output to a folder of your own: a model becomes a Hugging Face folder. Or write curves for TensorBoard.
    Export(export::Args),
    /// Write rows of samples to a text file for a person to accept, edit or drop, and read them back.
    Refine(refine::Args),
    /// Print a stage's log.
    Log(log::Args),
    /// Show what decides a stage's outputs, and what changed between its results.
    Explain(explain::Args),
    /// Print the final table of a workflow's evaluations.
    Scores(scores::Args),
    /// List the stage kinds, or the keys of one.
    Kinds(kinds::Args),
    /// Check stored bytes, or run stages again and compare.
    Verify(verify::Args),
    /// Kill engine and workers at random moments, resume, and compare with an unbroken run.
    Chaos(chaos::Args),
    /// Free disk space: remove objects that nothing refers to any more.
    Gc(gc::Args),
    /// Show what this machine has, and what is missing.
    Doctor(doctor::Args),
    /// Print, check or write the JSON schema of workflow files, for editors.
    Schema(schema::Args),
    /// Print the completion script of a shell.
    Completions(completions::Args),
    /// Write man pages to a folder.
    Man(man::Args),
}

/// What a command of another program is called here: of make, snakemake, git, terraform and the trainers.
const OTHER_COMMANDS: [(&str, &str); 29] = [
    ("build", "apply"),
    ("cat", "show"),
    ("clean", "gc"),
    ("compare", "explain"),
    ("continue", "apply"),
    ("create", "init"),
    ("diff", "explain"),
    ("download", "fetch"),
    ("dry-run", "plan"),
    ("eval", "apply"),
    ("evaluate", "apply"),
    ("generate", "apply"),
    ("grpo", "apply"),
    ("lint", "check"),
    ("list", "status"),
    ("logs", "log"),
    ("ls", "status"),
    ("make", "apply"),
    ("metrics", "show"),
    ("new", "init"),
    ("prune", "gc"),
    ("pull", "fetch"),
    ("resume", "apply"),
    ("run", "apply"),
    ("runs", "status"),
    ("sft", "apply"),
    ("start", "apply"),
    ("train", "apply"),
    ("validate", "check"),
];

/// Returns an error of the command line's parser; that of an unknown command suggests ours for the same.
pub(crate) fn with_our_name(mut error: clap::Error) -> clap::Error {
    if let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && let Some((_, ours)) = OTHER_COMMANDS.iter().find(|(other, _)| other == typed)
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![(*ours).to_owned()]));
    }
    error
}

/// Runs the command that the user named.
pub(crate) fn run(cli: Cli) -> Result<Status> {
    let global = &cli.global;
    match cli.command {
        Command::Init(args) => init::run(global, &args),
        Command::Check(args) => check::run(global, &args),
        Command::Plan(args) => plan::run(global, &args),
        Command::Apply(args) => apply::run(global, &args),
        Command::Fetch(args) => fetch::run(global, &args),
        Command::Status(args) => status::run(global, &args),
        Command::Show(args) => show::run(global, &args),
        Command::Tokens(args) => tokens::run(global, &args),
        Command::Grade(args) => grade::run(global, &args),
        Command::Export(args) => export::run(global, &args),
        Command::Refine(args) => refine::run(global, &args),
        Command::Log(args) => log::run(global, &args),
        Command::Explain(args) => explain::run(global, &args),
        Command::Scores(args) => scores::run(global, &args),
        Command::Kinds(args) => kinds::run(global, &args),
        Command::Verify(args) => verify::run(global, &args),
        Command::Chaos(args) => chaos::run(global, &args),
        Command::Gc(args) => gc::run(global, &args),
        Command::Doctor(args) => doctor::run(global, &args),
        Command::Schema(args) => schema::run(global, &args, Cli::command()),
        Command::Completions(args) => Ok(completions::run(&args, Cli::command())),
        Command::Man(args) => man::run(&args, Cli::command()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_of_other_programs_lead_to_ours() {
        let said = |typed: &str| with_our_name(Cli::try_parse_from(["r1flow", typed]).unwrap_err()).to_string();
        let ours: Vec<String> = Cli::command().get_subcommands().map(|one| one.get_name().to_owned()).collect();
        for (other, command) in OTHER_COMMANDS {
            assert!(ours.iter().any(|one| one == command) && !ours.iter().any(|one| one == other), "{other}");
            let said = said(other);
            assert!(said.contains(&format!("a similar subcommand exists: '{command}'")), "{said}");
        }
        assert!(OTHER_COMMANDS.is_sorted(), "in alphabetical order");
        assert!(said("aply").contains("'apply'"));
    }
}
