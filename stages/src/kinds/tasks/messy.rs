//! Sums for a base model to train on: good, careless and broken answers, mixed.
//!
//! The noise is in *which kind* of answer a document has, not inside the steps. Reinforcement learning can then choose
//! a kind of answer, and does so fast. (With slips in 8% of the careful steps, it could only reduce noise.)
//!
//! | share | manner | example for `7+5-3=?` |
//! |---|---|---|
//! | 25% | bare: an answer, 30% wrong | `9` or `maybe 11` |
//! | 15% | guess: an empty or one-step thought, an answer, 30% wrong | `<think>7+5=12</think><answer>9</answer>` |
//! | 15% | sloppy: 40% of the steps left out, 30% slips | `<think>7+5=13</think><answer>10</answer>` |
//! | 15% | untagged: careful steps, no tags | `7+5=12,-3=9.9` |
//! | 12% | broken: careful steps, a part is missing | `<think>7+5=12,-3=9</think>9</answer>` |
//! | 18% | careful: careful steps, well formed | `<think>7+5=12,-3=9</think><answer>9</answer>` |
//!
//! 1 in 100 careful steps has a slip.

use std::fmt::Write;

use super::Params;
use super::draw::TaskRng;
use super::sums::{Problem, Problems, tagged};

/// Replaces `=` in a thought that switches language.
const MAKES: &str = "得";

/// Shares that a workflow may set.
pub(super) struct Mix {
    mixed_language: f64,
    hedged: f64,
    pairs: f64,
}

impl Mix {
    pub(super) fn of(params: &Params) -> Self {
        Self { mixed_language: params.mixed_language, hedged: params.hedged, pairs: params.pairs }
    }

    /// Draws a document: the problem to answer, the prompt (sometimes with an answered problem before it), the
    /// completion.
    pub(super) fn document(&self, problems: &Problems, draw: &mut TaskRng) -> (Problem, String, String) {
        let problem = problems.draw(draw);
        let manner = Manner::draw(draw);
        let mut prompt = problem.question();
        if draw.chance(self.pairs) {
            let before = problems.draw(draw);
            prompt = format!("{}\n{}\n{prompt}", before.question(), self.answer(manner, &before, draw));
        }
        let completion = self.answer(manner, &problem, draw);
        (problem, prompt, completion)
    }

    fn answer(&self, manner: Manner, problem: &Problem, draw: &mut TaskRng) -> String {
        match manner {
            Manner::Bare => self.guess(problem, draw),
            Manner::Guess => {
                let first = Problem(problem.0[..draw.pick(&[1, 2])].to_vec());
                let thought = if draw.chance(0.5) { self.language(first.steps(), draw) } else { String::new() };
                tagged(&thought, &self.guess(problem, draw))
            }
            Manner::Sloppy => {
                let (thought, total) = slipping_steps(problem, 0.3, 0.4, draw);
                tagged(&self.language(thought, draw), &total.to_string())
            }
            Manner::Untagged => {
                let (thought, total) = slipping_steps(problem, 0.01, 0.0, draw);
                format!("{}.{total}", self.language(thought, draw))
            }
            Manner::Broken => {
                let (thought, total) = slipping_steps(problem, 0.01, 0.0, draw);
                let (thought, total) = (self.language(thought, draw), total.to_string());
                let missing = draw.pick(&[0, 2, 2, 3, 5]);
                let parts = ["<think>", &thought, "</think>", "<answer>", &total, "</answer>"];
                parts.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, part)| *part).collect()
            }
            Manner::Careful => {
                let (thought, total) = slipping_steps(problem, 0.01, 0.0, draw);
                tagged(&self.language(thought, draw), &total.to_string())
            }
        }
    }

    /// Returns a guess without steps, sometimes with a `maybe`, which is more frequent for wrong guesses.
    fn guess(&self, problem: &Problem, draw: &mut TaskRng) -> String {
        let total = problem.total();
        let wrong = draw.chance(0.3);
        let guess = if wrong { (total + draw.pick(&[-3, -2, -1, 1, 2, 3, 10, -10])).max(0) } else { total };
        let hedge = if wrong { self.hedged / 0.3 } else { self.hedged };
        if draw.chance(hedge) { format!("maybe {guess}") } else { guess.to_string() }
    }

    fn language(&self, thought: String, draw: &mut TaskRng) -> String {
        if draw.chance(self.mixed_language) { thought.replace('=', MAKES) } else { thought }
    }
}

/// The manner in which a document answers.
#[derive(Clone, Copy)]
enum Manner {
    Bare,
    Guess,
    Sloppy,
    Untagged,
    Broken,
    Careful,
}

impl Manner {
    fn draw(draw: &mut TaskRng) -> Self {
        const MANNERS: [Manner; 6] =
            [Manner::Bare, Manner::Guess, Manner::Sloppy, Manner::Untagged, Manner::Broken, Manner::Careful];
        MANNERS[draw.weighted(&[0.25, 0.15, 0.15, 0.15, 0.12, 0.18])]
    }
}

/// Returns the steps and their result. `slip` is the probability that a step's result is wrong, which carries on to
/// later steps. `skip` is the probability that a step is left out, while its term still counts.
fn slipping_steps(problem: &Problem, slip: f64, skip: f64, draw: &mut TaskRng) -> (String, i64) {
    let mut total = problem.0[0];
    let mut text = total.to_string();
    let mut comma = "";
    for term in &problem.0[1..] {
        total += term;
        if draw.chance(slip) {
            total = (total + draw.pick(&[-2, -1, 1, 2, 10, -10])).max(0);
        }
        if draw.chance(skip) {
            continue;
        }
        write!(text, "{comma}{term:+}={total}").expect("writing to a string cannot fail");
        comma = ",";
    }
    (text, total)
}
