//! Logic puzzles with verifiable answers: how they are drawn, and how an answer is verified.
//!
//! ```text
//! draw(name, difficulty, stream) ─▶ Problem { question, answer, identity, instance }
//! verify(instance, answer)       ─▶ Verdict
//! ```
//! Each puzzle is a file or folder and a row of [`PUZZLES`]; its head says what each difficulty from 1 to 10 means and
//! what its instance holds. An instance names its puzzle under `puzzle` and holds all that verification needs. Whatever
//! the instance and the answer are, verification does not panic, and its work is bounded.
//!
//! Answers are read in two steps. [`answer`] finds the part of a text that states the answer, and the puzzle reads it.
//! Both fail closed: several answers, a guess and a denial are never `Correct`.

mod answer;
mod bases;
mod calendar;
mod countdown;
mod entailment;
mod formula;
mod identity;
mod knights;
mod sorting;
mod stream;
mod sudoku;
mod vocabulary;
mod zebra;

use serde_json::Value;

use crate::Verdict;

/// A stream of random numbers, which the caller seeds.
pub trait Draw {
    /// Returns a number below `bound`, uniformly. `bound` is at least 1.
    fn below(&mut self, bound: usize) -> usize;
}

/// A problem that was drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The question. It says how the answer must be written.
    pub question: String,
    /// A right answer, written as the question asks.
    pub answer: String,
    /// Equal for problems that differ only in order, names or wording, so that it can decide between train and test.
    /// Problems that are not the same may share one, too.
    pub identity: String,
    /// What [`verify`] needs; the head of the puzzle's file describes it.
    pub instance: Value,
}

/// A row of [`PUZZLES`].
struct Puzzle {
    name: &'static str,
    doc: &'static str,
    /// Draws a problem of a difficulty from 1 to 10. `None` if a bounded number of tries finds none, which the tests
    /// have not seen.
    draw: fn(usize, &mut dyn Draw) -> Option<Problem>,
    /// `None` if the instance is malformed.
    verify: fn(&Value, &str) -> Option<Verdict>,
}

/// Every puzzle, in the order of the documentation.
const PUZZLES: &[Puzzle] = &[
    countdown::PUZZLE,
    knights::PUZZLE,
    zebra::PUZZLE,
    sorting::PUZZLE,
    bases::PUZZLE,
    calendar::PUZZLE,
    sudoku::PUZZLE,
    entailment::PUZZLE,
];

/// The highest difficulty; the lowest is 1.
pub const MAX_DIFFICULTY: u8 = 10;

/// Returns the names of the puzzles.
pub fn names() -> impl Iterator<Item = &'static str> {
    PUZZLES.iter().map(|puzzle| puzzle.name)
}

/// Returns one sentence that says what a puzzle asks.
pub fn doc(name: &str) -> Option<&'static str> {
    find(name).map(|puzzle| puzzle.doc)
}

/// Draws a problem. `None` if there is no such puzzle or difficulty.
pub fn draw(name: &str, difficulty: u8, draw: &mut dyn Draw) -> Option<Problem> {
    let puzzle = find(name).filter(|_| (1..=MAX_DIFFICULTY).contains(&difficulty))?;
    (puzzle.draw)(usize::from(difficulty), draw)
}

/// Judges an answer: the text behind the thought, with or without words around the answer itself.
///
/// `GoldUnparsed` means that the instance is malformed.
pub fn verify(instance: &Value, answer: &str) -> Verdict {
    let puzzle = instance.get("puzzle").and_then(Value::as_str).and_then(find);
    puzzle.and_then(|puzzle| (puzzle.verify)(instance, answer)).unwrap_or(Verdict::GoldUnparsed)
}

fn find(name: &str) -> Option<&'static Puzzle> {
    PUZZLES.iter().find(|puzzle| puzzle.name == name)
}

/// Returns the texts of a list of at least one and at most `most` texts, none longer than 100 bytes.
fn texts(list: Option<&Value>, most: usize) -> Option<Vec<&str>> {
    let list = list?.as_array().filter(|list| (1..=most).contains(&list.len()))?;
    list.iter().map(|text| text.as_str().filter(|text| !text.is_empty() && text.len() <= 100)).collect()
}

#[cfg(test)]
mod tests;
