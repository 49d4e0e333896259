//! The answers of two evaluations, question by question: on which of them one is right more often than the other.
//!
//! A question is known by its suite, its text and its gold answer. Questions without a gold answer are left out.

use std::collections::BTreeMap;
use std::io::{Read, Result};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::rows::each_line;

/// The most different answers that are kept of a question.
const ANSWERS: usize = 4;

/// How two evaluations compare. The first is `one`, the second `two`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Comparison {
    /// Questions that both have.
    pub(crate) questions: usize,
    /// Those on which the first is right more often.
    pub(crate) one_better: usize,
    /// Those on which the second is right more often.
    pub(crate) two_better: usize,
    /// Questions that only the first has, and only the second.
    pub(crate) only_one: usize,
    pub(crate) only_two: usize,
    /// The questions on which they differ, those that differ most first.
    pub(crate) differing: Vec<Difference>,
}

/// A question on which two evaluations differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Difference {
    pub(crate) suite: String,
    /// Its text, or its conversation.
    pub(crate) prompt: Value,
    pub(crate) gold: String,
    pub(crate) one: Answered,
    pub(crate) two: Answered,
}

/// The answers of one evaluation to a question.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Answered {
    pub(crate) right: usize,
    pub(crate) of: usize,
    /// Some of the different answers.
    pub(crate) answers: Vec<String>,
}

impl Answered {
    fn share(&self) -> f64 {
        self.right as f64 / self.of.max(1) as f64
    }

    fn add(&mut self, row: Row) {
        self.of += 1;
        self.right += usize::from(row.correct == Some(true));
        let answer = row.answer.unwrap_or_default();
        if self.answers.len() < ANSWERS && !self.answers.contains(&answer) {
            self.answers.push(answer);
        }
    }
}

/// What is read of a row of `answers.jsonl`.
#[derive(Deserialize)]
struct Row {
    #[serde(default)]
    suite: String,
    prompt: Value,
    gold: Option<String>,
    answer: Option<String>,
    correct: Option<bool>,
}

/// A question's suite, its text as JSON, its gold answer.
type Key = (String, String, String);

/// Compares the answers of two evaluations.
pub(crate) fn compare(one: impl Read, two: impl Read) -> Result<Comparison> {
    let (one, mut two) = (answered(one)?, answered(two)?);
    let mut comparison = Comparison::default();
    for ((suite, prompt, gold), one) in one {
        let key = (suite, prompt, gold);
        let Some(two) = two.remove(&key) else {
            comparison.only_one += 1;
            continue;
        };
        comparison.questions += 1;
        let better = one.share() - two.share();
        comparison.one_better += usize::from(better > 0.0);
        comparison.two_better += usize::from(better < 0.0);
        if better != 0.0 {
            let (suite, prompt, gold) = key;
            let prompt = serde_json::from_str(&prompt).unwrap_or_default();
            comparison.differing.push(Difference { suite, prompt, gold, one, two });
        }
    }
    comparison.only_two = two.len();
    let size = |difference: &Difference| (difference.one.share() - difference.two.share()).abs();
    comparison.differing.sort_by(|one, two| size(two).total_cmp(&size(one)));
    Ok(comparison)
}

fn answered(file: impl Read) -> Result<BTreeMap<Key, Answered>> {
    let mut questions: BTreeMap<Key, Answered> = BTreeMap::new();
    each_line(file, true, |_, line| {
        let Some(Ok(mut row)) = line.map(serde_json::from_slice::<Row>) else { return };
        let (Some(gold), true) = (row.gold.take(), row.correct.is_some()) else { return };
        let key = (std::mem::take(&mut row.suite), row.prompt.to_string(), gold);
        questions.entry(key).or_default().add(row);
    })?;
    Ok(questions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(prompt: &str, answer: &str, correct: bool) -> String {
        format!(
            "{{\"suite\":\"sums\",\"prompt\":\"{prompt}\",\"gold\":\"9\",\"answer\":\"{answer}\",\"correct\":{correct}}}\n"
        )
    }

    #[test]
    fn questions_are_matched_by_their_texts() {
        let one = line("a", "9", true) + &line("a", "8", false) + &line("b", "9", true) + &line("only", "1", false);
        let two = line("b", "7", false) + &line("a", "9", true) + &line("a", "9", true) + "{\"prompt\":\"chat\"}\n";
        let found = compare(one.as_bytes(), two.as_bytes()).unwrap();
        assert_eq!((found.questions, found.one_better, found.two_better), (2, 1, 1));
        assert_eq!((found.only_one, found.only_two), (1, 0), "what has no gold answer is left out");
        let [first, second] = found.differing.as_slice() else { panic!("{found:?}") };
        assert_eq!(first.prompt, "b", "1 and 0 differ more than 1/2 and 1");
        assert_eq!(first.two, Answered { right: 0, of: 1, answers: vec!["7".to_owned()] });
        assert_eq!(second.one, Answered { right: 1, of: 2, answers: vec!["9".to_owned(), "8".to_owned()] });
        assert_eq!(compare(one.as_bytes(), one.as_bytes()).unwrap().differing, []);
    }
}
