//! `r1flow tokens`: a row as the model sees it, token by token.

use anyhow::{Result, anyhow};
use engine::kind::{KindInfo, Kinds};
use engine::tokens::{Error, tokens};
use engine::worker::tokens::{ShownRow, ShownSequence, ShownToken, TokensAnswer};
use engine::workflow::{StageDecl, Workflow};
use serde_json::json;
use store::Store;

use crate::arguments::{Global, WorkflowArgs};
use crate::exit::{Advice, Status, no_such};
use crate::loading::{load_kinds, load_workflow, worker};
use crate::results::typed_file;
use crate::ui::{self, Style, Table, count};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    workflow: WorkflowArgs,
    /// The stage that reads the row; needed if several stages read rows.
    #[arg(value_name = "STAGE")]
    stage: Option<String>,
    /// Which row, counted from 0, as messages do; all sets of the stage count on.
    #[arg(long, default_value_t = 0, value_name = "N")]
    row: usize,
    /// Print each token on a line of its own, with its id.
    #[arg(long)]
    ids: bool,
}

pub(crate) fn run(global: &Global, args: &Args) -> Result<Status> {
    let Some(workflow) = load_workflow(global, &args.workflow)? else { return Ok(Status::Refused) };
    let kinds = load_kinds(global)?;
    let (stage, kind) = chosen(workflow, &kinds, args)?;
    let store = Store::find(&global.store)?;
    let answer = tokens(&worker(global)?, (workflow, store.as_ref()), (stage, kind), args.row);
    let row = match answer.map_err(|error| advised(error, args))? {
        TokensAnswer::Shown(row) => row,
        TokensAnswer::Refused(refusal) => {
            let message = format!("`{}`: {}", stage.name, refusal.message);
            return Err(refusal.help.map_or_else(|| anyhow!("{message}"), |help| Advice::new(&*message, help).into()));
        }
    };
    if global.json {
        ui::print_json(&json!({ "stage": stage.name, "kind": stage.kind, "row": row }))?;
        return Ok(Status::Done);
    }
    for sequence in &row.sequences {
        ui::line(&heading(stage, &row, sequence));
        if args.ids {
            ui::table(&table(sequence));
        } else {
            for line in lines(sequence) {
                ui::line(&line);
            }
        }
    }
    Ok(Status::Done)
}

/// Returns the stage that the user named, or the only one that reads rows.
fn chosen<'a>(workflow: &'a Workflow, kinds: &'a Kinds, args: &Args) -> Result<(&'a StageDecl, &'a KindInfo)> {
    let all = workflow.graph.node_weights().filter_map(|stage| Some((stage, kinds.get(&stage.kind)?)));
    let (readers, others): (Vec<_>, Vec<_>) = all.partition(|(_, kind)| !kind.spec.tokens.is_empty());
    let names = || readers.iter().map(|(stage, _)| stage.name.0.as_str());
    let Some(name) = &args.stage else {
        return match readers.as_slice() {
            [one] => Ok(*one),
            [] => Err(anyhow!("`{}` has no stage that reads rows of tokens", workflow.name)),
            [(first, _), ..] => {
                let again = format!("say which: `r1flow tokens {} {}`", typed_file(&args.workflow.file), first.name);
                let all = names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
                Err(Advice::new(format!("several stages read rows: {all}"), again).into())
            }
        };
    };
    let is_named = |(stage, _): &&(&StageDecl, &KindInfo)| stage.name.0 == *name;
    match (readers.iter().find(is_named), others.iter().find(is_named)) {
        (Some(found), _) => Ok(*found),
        (None, Some((_, kind))) => Err(anyhow!("`{name}` is a {} stage, which has no rows to show", kind.spec.kind)),
        (None, None) => Err(no_such("stage that reads rows", name, names())),
    }
}

/// Adds what to do about an error.
fn advised(error: Error, args: &Args) -> anyhow::Error {
    let file = typed_file(&args.workflow.file);
    let help = match &error {
        Error::NotFresh { stage, .. } => format!("make it: `r1flow apply {file} --until {stage}`"),
        Error::NotFetched { .. } => format!("`r1flow fetch {file}` downloads it"),
        Error::Store(_) | Error::Plan(_) | Error::Ask(_) => return error.into(),
    };
    Advice::new(error.to_string(), help).into()
}

fn heading(stage: &StageDecl, row: &ShownRow, sequence: &ShownSequence) -> String {
    let all = sequence.tokens.len();
    let learnt = sequence.tokens.iter().filter(|token| token.is_learnt).count();
    let text = format!(
        "{} ({}), {}: {}, {learnt} in the loss",
        ui::styled(&stage.name.0, Style::Strong),
        stage.kind,
        row.name,
        count(all, "token")
    );
    let limit = match row.max_tokens {
        Some(most) if sequence.is_left_out => ui::styled(&format!(", left out by `max-tokens` = {most}"), Style::Bad),
        Some(most) => format!(", within `max-tokens` = {most}"),
        None => String::new(),
    };
    let opening = match row.opening.as_str() {
        "" => String::new(),
        opening => format!("\nthe template opens the completion with {}", quoted(opening)),
    };
    text + &limit + &opening
}

/// Separator of two tokens.
const BETWEEN: &str = "·";
/// Prefixes of a line of tokens in the loss, and of a line of others.
const LEARNT: &str = "loss  ";
const READ: &str = "      ";

/// Returns the tokens in lines as the text has them; a line has only tokens in the loss, or none.
fn lines(sequence: &ShownSequence) -> Vec<String> {
    let mut lines: Vec<(bool, Vec<String>)> = Vec::new();
    let mut is_open = false;
    for token in &sequence.tokens {
        match lines.last_mut().filter(|(is_learnt, _)| is_open && *is_learnt == token.is_learnt) {
            Some((_, line)) => line.push(painted(token)),
            None => lines.push((token.is_learnt, vec![painted(token)])),
        }
        is_open = !token.text.ends_with('\n');
    }
    let between = ui::styled(BETWEEN, Style::Dim);
    lines
        .iter()
        .map(|(is_learnt, line)| (if *is_learnt { LEARNT } else { READ }).to_owned() + &line.join(&between))
        .collect()
}

fn painted(token: &ShownToken) -> String {
    let text = escaped(&token.text);
    match (token.is_learnt, token.is_special) {
        (true, _) => ui::styled(&text, Style::Good),
        (false, true) => ui::styled(&text, Style::Strong),
        (false, false) => text,
    }
}

/// Returns a text in one line: each line break becomes a sign.
fn escaped(text: &str) -> String {
    text.replace('\n', "⏎").replace('\t', "⇥")
}

fn quoted(text: &str) -> String {
    format!("`{}`", escaped(text))
}

fn table(sequence: &ShownSequence) -> Table {
    let mut table = Table::new(["at", "id", "", "", "token"]);
    for (at, token) in sequence.tokens.iter().enumerate() {
        let (special, learnt) =
            (if token.is_special { "special" } else { "" }, if token.is_learnt { "loss" } else { "" });
        table.push(vec![at.to_string(), token.id.to_string(), learnt.to_owned(), special.to_owned(), painted(token)]);
    }
    table
}
