//! `r1flow grade`: scores completions in a file by the verifiers and rewards of training.

mod keys;
mod told;

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use engine::worker::ask;
use engine::worker::grade::{GradeEnd, GradeRequest, GradedRow};
use serde_json::{Map, Value, json};

use crate::arguments::Global;
use crate::exit::{Advice, Status};
use crate::loading::{load_kinds, worker};
use crate::ui;
use crate::views::grades::{Confusion, Summary, disagrees};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The completions with their prompts and gold answers: JSON lines, CSV, Parquet, or a folder of such files.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A reward, with its weight or its keys in TOML: `format=0.5`, `length={max-tokens=512}` (repeatable); by default
    /// `accuracy`.
    #[arg(long = "reward", value_name = "NAME[=KEYS]")]
    rewards: Vec<String>,
    /// How rows are read: a key of an input, with its value in TOML: `verify=number`, `fields.completion=output`
    /// (repeatable).
    #[arg(long = "with", value_name = "KEY=VALUE")]
    keys: Vec<String>,
    /// Only rows with this value in a field; a list of values, or two numbers for a range, in TOML: `level=[1, 3]`
    /// (repeatable).
    #[arg(long = "where", value_name = "FIELD=VALUE")]
    conditions: Vec<String>,
    /// Most rows to grade.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The form that a completion must have to be right. Stages have `tags` by default, which few models know.
    #[arg(long, value_enum, default_value = "any")]
    form: Form,
    /// A field that says whether a completion is right: true or false, 1 or 0, yes or no, correct or incorrect. Prints
    /// how often the verifier agrees.
    #[arg(long, value_name = "FIELD")]
    label: Option<String>,
    /// Print of each row what was found, how it was read, and the verdict; with `--label`, of rows that disagree.
    #[arg(long)]
    explain: bool,
}

/// The form of a completion, as stages have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A thought in `<think>…</think>`, then the answer, in `<answer>…</answer>` or without tags.
    Tags,
    /// The answer in `\boxed{…}`.
    Boxed,
    /// Any.
    Any,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Boxed => "boxed",
            Self::Any => "any",
        }
    }
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let request = request(global, args)?;
    let mut summary = Summary::of(request.rewards.keys());
    let mut confusion = args.label.is_some().then(Confusion::default);
    let mut has_told = false;
    let end = ask::grade(&worker(global)?, &request, &mut |row| {
        if global.json {
            print_row(&row, summary.rows == 0);
        } else if args.explain && (args.label.is_none() || disagrees(&row)) {
            told::row(&row);
            has_told = true;
        }
        summary.add(&row);
        if let Some(confusion) = &mut confusion {
            confusion.add(&row);
        }
        if ui::has_reader() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let counts = match end {
        GradeEnd::Done(counts) => counts,
        GradeEnd::Stopped => return Ok(Status::Done),
        GradeEnd::Refused(refusal) => {
            let message = refusal.message;
            return Err(refusal.help.map_or_else(|| anyhow!("{message}"), |help| Advice::new(&*message, help).into()));
        }
    };
    let left_out: Map<String, Value> = counts.into_iter().filter(|(what, count)| is_left_out(what, count)).collect();
    if global.json {
        let mut end = json!({ "summary": summary });
        if let Some(confusion) = confusion {
            end["confusion"] = json!(confusion);
        }
        if !left_out.is_empty() {
            end["left-out"] = Value::Object(left_out);
        }
        // The rows stand before it in the same object.
        let text = serde_json::to_string_pretty(&end)?;
        ui::json(&format!("\n  ],{}\n", text.strip_prefix('{').unwrap_or(&text)));
        return Ok(Status::Done);
    }
    if has_told {
        ui::line("");
    }
    told::summary(&summary);
    if let (Some(confusion), Some(label)) = (&confusion, &args.label) {
        told::confusion(confusion, label);
    }
    for (what, count) in &left_out {
        ui::note(&format!("rows {}: {count}", what.replace('-', " ")));
    }
    Ok(Status::Done)
}

fn request(global: &Global, args: &Args) -> Result<GradeRequest> {
    let name = args.file.display().to_string();
    let path = fs_err::canonicalize(&args.file).map_err(|_| anyhow!("there is no file or folder `{name}`"))?;
    let rewards = match args.rewards.as_slice() {
        [] => Map::from_iter([("accuracy".to_owned(), json!({}))]),
        written => keys::rewards(written)?,
    };
    Ok(GradeRequest {
        name,
        path,
        import: keys::import(load_kinds(global)?.imports(), &args.keys, &args.conditions, args.limit)?,
        rewards,
        form: args.form.name().to_owned(),
        label: args.label.clone(),
        explain: args.explain,
    })
}

/// Prints a row as JSON; the first opens the list.
fn print_row(row: &GradedRow, is_first: bool) {
    let row = serde_json::to_string(row).expect("rows are plain data");
    ui::json(&format!("{}\n    {row}", if is_first { "{\n  \"rows\": [" } else { "," }));
}

/// Returns whether a count of the file's rows is of some that were left out.
fn is_left_out(what: &str, count: &Value) -> bool {
    what != "rows" && what != "expanded" && *count != 0
}
