//! Tells what was found in an answer, how it was read, and why it was judged so.

use super::find::{Found, Missing};
use super::node::Node;
use super::{Gold, Tolerance, found, show};
use crate::Verdict;

/// How an answer was judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The verdict.
    pub verdict: Verdict,
    /// The text that was taken for the answer.
    pub found: Option<String>,
    /// Where it was found, or why nothing was.
    pub place: String,
    /// How it was read.
    pub read: Vec<String>,
    /// How the gold answer was read.
    pub gold: Vec<String>,
}

/// Compares an answer with the gold one, as [`super::verify_within`] does, and explains it.
pub fn explain(gold: &str, answer: &str, tolerance: Option<Tolerance>) -> Explanation {
    let found = found(answer);
    let gold = Gold::read(gold);
    let verdict = gold.as_ref().map_or(Verdict::GoldUnparsed, |gold| gold.judge(&found, answer, tolerance));
    let spelled = |readings: &[Node], text: &str| {
        if readings.is_empty() { vec![format!("words: {text}")] } else { readings.iter().map(show::plain).collect() }
    };
    let gold = gold.map_or_else(Vec::new, |gold| spelled(&gold.readings, &gold.text));
    match found {
        Ok(Found { text, how, readings }) => Explanation {
            verdict,
            place: how.description().to_owned(),
            read: spelled(&readings, &text),
            found: Some(text),
            gold,
        },
        Err(missing) => {
            let place = match missing {
                Missing::Nothing => "no answer was found".to_owned(),
                Missing::Refused(why) => format!("refused: {why}"),
            };
            Explanation { verdict, found: None, place, read: Vec::new(), gold }
        }
    }
}
