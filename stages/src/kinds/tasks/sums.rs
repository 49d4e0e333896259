//! Task `sums`: running sums of single digits that never fall below zero.
//!
//! ```text
//! prompt      8-8+1+2+4=?
//! clean       <think>8-8=0,+1=1,+2=3,+4=7</think><answer>7</answer>
//! reflective  <think>8-8=0,+1=1,+2=3,+4=7.check 8-8+1+2+4=7</think><answer>7</answer>
//! messy       see `messy.rs`
//! ```

use std::collections::HashSet;
use std::fmt::Write;

use engine::stage::StageError;

use super::draw::TaskRng;
use super::messy::Mix;
use super::{Params, Split, Task, TaskRows};
use crate::artifacts::{PromptRow, SampleRow};
use crate::verifiers::Verify;

pub(super) const TASK: Task = Task {
    name: "sums",
    styles: &["clean", "messy", "reflective"],
    check: |params| Problems::of(params).map(|_| ()),
    make,
};

/// How often a problem is redrawn if it is already in the set.
const REDRAWS: usize = 20;

fn make(params: &Params, style: &str, draw: &mut TaskRng) -> Result<TaskRows, StageError> {
    let problems = Problems::of(params)?;
    let mix = Mix::of(params);
    let mut seen = HashSet::new();
    let mut rows = TaskRows::default();
    for index in 0..params.count {
        let (problem, asked, completion) = if style == "messy" {
            mix.document(&problems, draw)
        } else {
            // A repeated question teaches and measures less, so problems repeat only when short ones run out.
            let problem = problems.draw_new(draw, &mut seen);
            let completion = if style == "clean" { problem.clean() } else { problem.reflective() };
            (problem.clone(), problem.question(), completion)
        };
        let prompt = prompt_row(index, &problem);
        let mut sample = SampleRow::new(asked, completion);
        sample.answer.clone_from(&prompt.answer);
        rows.push_sample(prompt, sample);
    }
    Ok(rows)
}

fn prompt_row(index: usize, problem: &Problem) -> PromptRow {
    PromptRow {
        id: format!("sums-{index}"),
        prompt: problem.question().into(),
        answer: Some(problem.total().to_string()),
        verify: Verify::NUMBER,
        tests: None,
        tolerance: None,
        task: Some("sums".to_owned()),
        language: Some("en".to_owned()),
        source: String::new(),
    }
}

/// The problems to draw from.
pub(super) struct Problems {
    terms: [usize; 2],
    minus: f64,
    split: Split,
}

impl Problems {
    fn of(params: &Params) -> Result<Self, StageError> {
        let terms = params.terms;
        if terms[0] < 2 || terms[1] < terms[0] || terms[1] > 32 {
            return Err(StageError::new(format!("`terms` is [{}, {}]", terms[0], terms[1]))
                .with_help("give the fewest and the most terms of a problem, from 2 to 32"));
        }
        Ok(Self { terms, minus: params.minus, split: params.split })
    }

    /// Draws a problem of the split.
    pub(super) fn draw(&self, draw: &mut TaskRng) -> Problem {
        let terms = draw.between(self.terms[0], self.terms[1]);
        self.draw_of_length(terms, draw)
    }

    /// Draws a problem that is not in `seen`, if a few draws find one. The length is drawn first, so that the shares of
    /// lengths stay equal.
    fn draw_new(&self, draw: &mut TaskRng, seen: &mut HashSet<String>) -> Problem {
        let terms = draw.between(self.terms[0], self.terms[1]);
        let mut problem = self.draw_of_length(terms, draw);
        for _ in 0..REDRAWS {
            if seen.insert(problem.question()) {
                break;
            }
            problem = self.draw_of_length(terms, draw);
        }
        problem
    }

    fn draw_of_length(&self, terms: usize, draw: &mut TaskRng) -> Problem {
        loop {
            let first = draw.between(1, 9) as i64;
            let mut problem = Problem(vec![first]);
            for _ in 1..terms {
                let digit = draw.between(1, 9) as i64;
                let minus = draw.chance(self.minus) && problem.total() >= digit;
                problem.0.push(if minus { -digit } else { digit });
            }
            if self.split.holds(&problem.question()) {
                return problem;
            }
        }
    }
}

/// A sum: its terms, each from -9 to 9 and not 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem(pub(super) Vec<i64>);

impl Problem {
    /// Returns the sum.
    pub(super) fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// Returns the prompt, `8-8+1=?`.
    pub(super) fn question(&self) -> String {
        self.terms() + "=?"
    }

    fn terms(&self) -> String {
        let mut text = self.0[0].to_string();
        for term in &self.0[1..] {
            write!(text, "{term:+}").expect("writing to a string cannot fail");
        }
        text
    }

    /// Returns every step, without mistakes, `8-8=0,+1=1`.
    pub(super) fn steps(&self) -> String {
        let mut total = self.0[0];
        let mut text = total.to_string();
        for (index, term) in self.0.iter().enumerate().skip(1) {
            total += term;
            let comma = if index > 1 { "," } else { "" };
            write!(text, "{comma}{term:+}={total}").expect("writing to a string cannot fail");
        }
        text
    }

    fn clean(&self) -> String {
        tagged(&self.steps(), &self.total().to_string())
    }

    fn reflective(&self) -> String {
        let total = self.total();
        tagged(&format!("{}.check {}={total}", self.steps(), self.terms()), &total.to_string())
    }
}

/// Returns a completion in well-formed tags.
pub(super) fn tagged(thought: &str, answer: &str) -> String {
    format!("<think>{thought}</think><answer>{answer}</answer>")
}
