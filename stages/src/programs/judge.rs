//! What the harness told of each case, compared with what is expected.

use sandbox::{End, Outcome};
use serde::Deserialize;
use serde_json::Value;
use text::program::{same_output, same_value};

use super::job::num_cases;
use super::{Failure, Trial};
use crate::checks::{Checker, Tests};

/// The most characters of an output, an error or an input that are told.
const TOLD: usize = 120;

/// A line of the harness.
#[derive(Deserialize)]
pub(super) struct Line {
    case: usize,
    end: CaseEnd,
    output: String,
    error: String,
}

impl Line {
    /// Returns what a case wrote or returned; empty if it failed.
    pub(super) fn output(&self) -> &str {
        &self.output
    }

    /// Returns whether a checker found the output right: it ended well, and wrote nothing or a number above 0.
    pub(super) fn is_right_by_checker(&self) -> bool {
        let points = self.output.split_whitespace().next();
        self.end == CaseEnd::Ok && points.is_none_or(|points| points.parse().is_ok_and(|points: f64| points > 0.0))
    }
}

/// How a case ended.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum CaseEnd {
    Ok,
    Error,
    Time,
    Clock,
    Memory,
    Output,
    Compile,
}

/// A trial, and whether other load on the machine may have decided it.
pub(super) struct Judged {
    pub(super) trial: Trial,
    pub(super) may_be_load: bool,
}

/// Reads what the harness told: the cases in order, up to where it ended.
pub(super) fn lines(outcome: &Outcome) -> Vec<Line> {
    let output = String::from_utf8_lossy(&outcome.output);
    let lines = output.lines().map_while(|line| serde_json::from_str(line).ok()).enumerate();
    lines.take_while(|(case, line): &(usize, Line)| line.case == *case).map(|(_, line)| line).collect()
}

/// Judges what a program did. Where the tests have a checker, `checked` says for each line whether it is right.
pub(super) fn judge(tests: &Tests, outcome: &Outcome, lines: &[Line], checked: Option<&[bool]>) -> Judged {
    let of = num_cases(tests);
    let mut trial = Trial { passed: 0, of, failure: None, detail: String::new() };
    let mut may_be_load = false;
    for case in 0..of {
        let failed = match lines.get(case) {
            Some(line) => {
                may_be_load |= line.end == CaseEnd::Clock || line.end == CaseEnd::Time && is_crowded(outcome);
                let is_right = checked.map(|checked| checked.get(case) == Some(&true));
                failure(tests, line, is_right)
            }
            None if case > 0 && trial.failure.is_some() => continue,
            None => {
                may_be_load |= outcome.may_be_load();
                Some(ended_early(outcome))
            }
        };
        match failed {
            None => trial.passed += 1,
            Some((failure, told)) if trial.failure.is_none() => {
                trial.failure = Some(failure);
                trial.detail = if of > 1 { format!("case {} of {of}: {told}", case + 1) } else { told };
            }
            Some(_) => {}
        }
    }
    Judged { trial, may_be_load }
}

/// Whether a program had to share its core: it waited for a third of the time.
fn is_crowded(outcome: &Outcome) -> bool {
    outcome.wall > outcome.cpu.mul_f64(1.5)
}

/// Returns why a case was not passed, if it was not.
fn failure(tests: &Tests, line: &Line, checked: Option<bool>) -> Option<(Failure, String)> {
    let told = match line.end {
        CaseEnd::Ok if checked == Some(true) => return None,
        CaseEnd::Ok if checked == Some(false) => {
            (Failure::Wrong, format!("the checker refuses {}", quoted(&line.output)))
        }
        CaseEnd::Ok => return wrong(tests, line),
        CaseEnd::Error => (Failure::Runtime, short(last_line(&line.error))),
        CaseEnd::Compile => (Failure::Compile, short(&line.error)),
        CaseEnd::Time | CaseEnd::Clock => (Failure::Time, "too slow".to_owned()),
        CaseEnd::Memory => (Failure::Memory, "out of memory".to_owned()),
        CaseEnd::Output => (Failure::Wrong, "it writes more than any right output has".to_owned()),
    };
    Some(told)
}

/// Compares the output of a case with the expected one.
fn wrong(tests: &Tests, line: &Line) -> Option<(Failure, String)> {
    let (is_right, expected) = match tests {
        Tests::Streams { cases, checker, .. } => {
            let expected = &cases[line.case].output;
            let is_right = rule(checker).is_some_and(|rule| same_output(rule, expected, &line.output));
            (is_right, expected.clone())
        }
        Tests::Calls { cases, .. } => {
            let expected = &cases[line.case].expected;
            let value: Option<Value> = serde_json::from_str(&line.output).ok();
            let is_right = value.is_some_and(|value| expected.iter().any(|expected| same_value(expected, &value)));
            (is_right, expected.first().map(Value::to_string).unwrap_or_default())
        }
        Tests::Program { .. } | Tests::Rules { .. } | Tests::Puzzle { .. } => (true, String::new()),
    };
    (!is_right).then(|| (Failure::Wrong, format!("{} in place of {}", quoted(&line.output), quoted(&expected))))
}

/// Returns the rule of a checker that is no program.
fn rule(checker: &Checker) -> Option<text::program::Checker> {
    match checker {
        Checker::Tokens => Some(text::program::Checker::Tokens),
        Checker::Lines => Some(text::program::Checker::Lines),
        Checker::Exact => Some(text::program::Checker::Exact),
        Checker::Float(tolerance) => Some(text::program::Checker::Float(*tolerance)),
        Checker::Program(_) => None,
    }
}

/// Returns why there is no line of a case.
fn ended_early(outcome: &Outcome) -> (Failure, String) {
    match outcome.end {
        End::WallTime | End::CpuTime => (Failure::Time, "too slow, all cases together".to_owned()),
        End::Memory => (Failure::Memory, "out of memory".to_owned()),
        _ => {
            (Failure::Runtime, format!("the tests were stopped: {}", short(&String::from_utf8_lossy(&outcome.errors))))
        }
    }
}

fn last_line(error: &str) -> &str {
    error.trim_end().lines().last().unwrap_or_default()
}

fn quoted(text: &str) -> String {
    format!("`{}`", short(text.trim_end()))
}

/// Returns the beginning of a text, with a mark if it goes on.
pub(crate) fn short(text: &str) -> String {
    let mut told: String = text.chars().take(TOLD).collect();
    if told.len() < text.len() {
        told.push('…');
    }
    told
}
