//! `r1flow show EVALUATION --beside OTHER`: two evaluations question by question.

use std::io::Read;

use anyhow::{Result, anyhow, bail};
use serde_json::Value;
use store::Store;

use super::{ANSWERS, Args};
use crate::arguments::Global;
use crate::exit::Status;
use crate::results::{Found, Invocation, Look, find};
use crate::ui::{self, Style, count};
use crate::views::beside::{Answered, Comparison, Difference, compare};

/// Questions that are printed unless the user says how many.
const QUESTIONS: usize = 3;

pub(super) fn show_beside(global: &Global, store: &Store, args: &Args, other: &str) -> Result<Status> {
    let comparison =
        compare(answers(global, store, args, &args.what)?.as_mut(), answers(global, store, args, other)?.as_mut())?;
    if global.json {
        ui::print_json(&comparison)?;
        return Ok(Status::Done);
    }
    if comparison.questions == 0 {
        bail!("`{}` and `{other}` have no question with a gold answer in common", args.what);
    }
    tell(&comparison, &args.what, other, args.rows.unwrap_or(QUESTIONS));
    Ok(Status::Done)
}

/// Opens the answers of an evaluation.
fn answers(global: &Global, store: &Store, args: &Args, name: &str) -> Result<Box<dyn Read>> {
    let name = name.strip_suffix(".answers").unwrap_or(name);
    let asked = Invocation { command: "show", what: name, tail: "" };
    let look = Look { global, store, args: &args.names, asked };
    match find(&look, &format!("{name}.{ANSWERS}"))? {
        Found::Output(digest, _) => {
            let tree = store.tree(&digest)?;
            let member = tree.members.iter().find(|member| member.path.ends_with(".jsonl"));
            let member = member.ok_or_else(|| anyhow!("`{name}` is no evaluation: it has no answers"))?;
            Ok(Box::new(store.open_checked(&member.digest)?))
        }
        Found::Growing(growing) => Ok(Box::new(outside::open(&growing.file)?)),
        Found::Stage(_) => bail!("`{name}` is no evaluation: `--beside` compares the answers of two"),
    }
}

fn tell(comparison: &Comparison, one: &str, two: &str, rows: usize) {
    let Comparison { questions, one_better, two_better, only_one, only_two, differing } = comparison;
    let equal = questions - one_better - two_better;
    let (one, two) = (one.trim_end_matches(".answers"), two.trim_end_matches(".answers"));
    ui::text(
        &format!(
            "{} in both: `{one}` is right more often on {one_better}, `{two}` on {two_better}, and they are equal on \
             {equal}",
            count(*questions, "question")
        ),
        2,
    );
    for (only, name) in [(*only_one, one), (*only_two, two)] {
        if only > 0 {
            ui::line(&format!("{} only in `{name}`", count(only, "question")));
        }
    }
    for Difference { suite, prompt, gold, one: first, two: second } in differing.iter().take(rows) {
        ui::line("");
        let text = prompt.as_str().map_or_else(|| prompt.to_string(), str::to_owned);
        ui::text(&format!("{} {text}", ui::styled(suite, Style::Dim)), 2);
        ui::text(&format!("  gold: {gold}"), 4);
        for (name, answered) in [(one, first), (two, second)] {
            ui::text(&format!("  {name}: {}", told(answered)), 4);
        }
    }
}

fn told(Answered { right, of, answers }: &Answered) -> String {
    let answers: Vec<String> = answers.iter().map(|answer| Value::from(answer.as_str()).to_string()).collect();
    format!("{right} of {of} right, {}", answers.join(", "))
}
