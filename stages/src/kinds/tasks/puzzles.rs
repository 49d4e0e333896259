//! Task `puzzles`: logic puzzles of several sorts and difficulties ([`text::puzzles`]).
//!
//! A solution may be written in more than one way, so a prompt carries its puzzle in `tests`, and `verify = "puzzle"`
//! judges by its rules. Prompts only: there are no worked solutions to learn from.

use std::collections::HashSet;

use engine::stage::StageError;
use text::puzzles::{Draw, MAX_DIFFICULTY, Problem, draw};

use super::draw::TaskRng;
use super::{Params, Split, Task, TaskRows};
use crate::artifacts::PromptRow;
use crate::checks::Tests;
use crate::verifiers::Verify;

pub(super) const TASK: Task = Task { name: "puzzles", styles: &["plain"], check, make };

/// How often a puzzle is redrawn that is already in the set, or in the other split.
const REDRAWS: usize = 200;

/// Returns the names of the puzzles.
pub(super) fn names() -> Vec<&'static str> {
    text::puzzles::names().collect()
}

fn check(params: &Params) -> Result<(), StageError> {
    let [low, high] = params.difficulty;
    if !(1..=high).contains(&low) || high > MAX_DIFFICULTY {
        return Err(StageError::new(format!("`difficulty` is [{low}, {high}]"))
            .with_help(format!("give the easiest and the hardest: `difficulty = [1, {MAX_DIFFICULTY}]` has all")));
    }
    if let Some(name) = params.puzzles.0.keys().find(|name| !names().contains(&name.as_str())) {
        return Err(StageError::new(format!("no puzzle `{name}`"))
            .with_help(format!("the puzzles are `{}`", names().join("`, `"))));
    }
    if params.puzzles.0.values().sum::<f64>() <= 0.0 {
        return Err(StageError::new("`puzzles` has no puzzle with a share above 0"));
    }
    Ok(())
}

fn make(params: &Params, _: &str, rng: &mut TaskRng) -> Result<TaskRows, StageError> {
    check(params)?;
    let (names, shares): (Vec<&String>, Vec<f64>) = params.puzzles.0.iter().unzip();
    let [low, high] = params.difficulty.map(usize::from);
    let mut seen = HashSet::new();
    let mut rows = TaskRows::default();
    for index in 0..params.count {
        let name = names[rng.weighted(&shares)];
        let difficulty = u8::try_from(rng.between(low, high)).expect("it is at most the highest");
        let problem = draw_new(name, difficulty, params.split, (rng, &mut seen))?;
        rows.prompts.push(prompt_row(index, name, problem));
    }
    Ok(rows)
}

/// Draws a puzzle of the split. One that was drawn before is taken only if no new one is found: easy ones run out.
fn draw_new(
    name: &str,
    difficulty: u8,
    split: Split,
    (rng, seen): (&mut TaskRng, &mut HashSet<String>),
) -> Result<Problem, StageError> {
    let mut known = None;
    for _ in 0..REDRAWS {
        let Some(problem) = draw(name, difficulty, rng) else { continue };
        let identity = format!("{name} {}", problem.identity);
        if !split.holds(&identity) {
            continue;
        }
        if seen.insert(identity) {
            return Ok(problem);
        }
        known = Some(problem);
    }
    known.ok_or_else(|| {
        StageError::new(format!("no `{name}` of difficulty {difficulty} is in the split"))
            .with_help("a higher `difficulty` has more of them")
    })
}

fn prompt_row(index: usize, name: &str, problem: Problem) -> PromptRow {
    PromptRow {
        id: format!("puzzles-{index}"),
        prompt: problem.question.into(),
        answer: Some(problem.answer),
        verify: Verify::PUZZLE,
        tests: Some(Tests::Puzzle { puzzle: problem.instance }),
        tolerance: None,
        task: Some(name.to_owned()),
        language: Some("en".to_owned()),
        source: String::new(),
    }
}

impl Draw for TaskRng {
    fn below(&mut self, bound: usize) -> usize {
        TaskRng::below(self, bound)
    }
}
