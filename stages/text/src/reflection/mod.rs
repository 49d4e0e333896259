//! Reflection: re-evaluations in a thought that confirm or change what it had found.
//!
//! The word "wait" is no reflection. A re-evaluation is a sentence that opens it (`Wait`, `Let me check`, `不对`), then
//! work that was not there before, then a conclusion about a value that the thought had stated:
//!
//! ```text
//! 3 * 4 = 12, so there are 12.  Let me check:  12 / 4 = 3.  Indeed, it is 12.
//!                      stated   opens          work          confirms
//! ```
//!
//! *Work* is a sum that comes out ([`sums`]), has the value in it and at least half of whose terms were known before;
//! where it confirms and is of two terms, both numbers beside the value must be known. Known are the numbers of the question, and what
//! follows from them by sums that come out. (Policies that were paid for reflection alone ended every thought with
//! `check 8+9=17`, and, when numbers of the thought were enough, planted those that they then checked.) Where the
//! question has no two numbers, those of the thought are known. Or else work is 20 words, most of them in an order that
//! is new, that speak of the same things as before. A sum with its terms in another order is the same sum.
//!
//! A *conclusion* confirms by a word (`indeed`, `which matches`), or by ending a check on the same number; each value
//! is confirmed once. It changes by a value that was not stated before, where the old one is said to be wrong, or
//! where both are said to be the answer. Going back to a value that was given up is no change.
//!
//! What no rule on one text can see: a mistake that was made so as to be corrected. Rewards should grow slowly with the
//! count, and have a cap.

mod marks;
mod phrases;
mod prose;
mod sums;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use prose::{Progress, Said, Word};
use sums::{Number, Sum};

/// Sentences after the one that opens a re-evaluation, within which it must conclude.
const MAX_SENTENCES: usize = 30;
/// A longer thought is read up to here, in bytes.
const MAX_THOUGHT: usize = 1 << 18;

/// What a re-evaluation comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The value that was stated before is right.
    Confirms,
    /// Another is.
    Changes,
}

/// A re-evaluation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reevaluation {
    /// What it comes to.
    pub kind: Kind,
    /// Its bytes in the thought, from the sentence that opens it to the one that concludes.
    pub range: Range<usize>,
}

/// Returns the re-evaluations of a thought about a question, the first `cap` of them.
pub fn reevaluations(question: &str, thought: &str, cap: usize) -> Vec<Reevaluation> {
    let question = &question[..question.floor_char_boundary(MAX_THOUGHT)];
    let mut known = Known::of(question);
    let mut open: Option<Episode> = None;
    let mut found = Vec::new();
    for range in sentences(&thought[..thought.floor_char_boundary(MAX_THOUGHT)]) {
        if found.len() >= cap {
            break;
        }
        let sentence = Sentence::of(&thought[range.clone()]);
        if sentence.opening.is_some() && open.as_ref().is_none_or(|episode| episode.has_body) {
            let space = thought[range.clone()].len() - thought[range.clone()].trim_start().len();
            known.close(open.replace(Episode::at(range.start + space)));
        }
        let Some(episode) = &mut open else {
            known.add(&sentence);
            continue;
        };
        episode.take_in(&sentence, &known);
        let conclusion = episode.conclusion(&sentence, &known);
        episode.sentences.push(sentence);
        let is_over = conclusion.is_some() || episode.sentences.len() > MAX_SENTENCES;
        if let Some((kind, value)) = conclusion {
            found.push(Reevaluation { kind, range: episode.start..range.end });
            known.settled.insert(value);
        }
        if is_over {
            known.close(open.take());
        }
    }
    found
}

/// Returns the sentences of a thought. A full stop ends one before a space and between a digit and a letter.
fn sentences(thought: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let (mut before, mut has_content) = (' ', false);
        let mut chars = thought[start..].char_indices().peekable();
        let mut end = thought.len();
        while let Some((at, c)) = chars.next() {
            let next = chars.peek().map_or(' ', |(_, next)| *next);
            has_content |= c.is_alphanumeric();
            let is_end = has_content
                && match c {
                    '!' | '?' | ';' | '\n' | '。' | '！' | '？' | '；' | '…' => true,
                    '.' => next.is_whitespace() || before.is_ascii_digit() && next.is_alphabetic(),
                    _ => false,
                };
            if is_end {
                end = start + at + c.len_utf8();
                break;
            }
            before = c;
        }
        let sentence = start..end;
        start = end;
        (!sentence.is_empty()).then_some(sentence)
    })
}

/// A value that a thought states.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Value {
    Number(Number),
    /// An answer that is no number, in lower case.
    Name(String),
}

/// What a sentence has that counts.
struct Sentence {
    opening: Option<marks::Opening>,
    words: Vec<Word>,
    numbers: Vec<Number>,
    sums: Vec<Sum>,
    /// Values that it states, in order.
    stated: Vec<Value>,
    /// Those that it states as the answer.
    answers: Vec<Value>,
    confirms: bool,
    /// Whether it says that something is wrong.
    corrects: bool,
    /// Whether it draws a conclusion.
    concludes: bool,
}

impl Sentence {
    fn of(text: &str) -> Self {
        let read = sums::read(text);
        let answers = marks::answers(text);
        let mut stated: Vec<Value> = read.results.iter().map(|result| Value::Number(*result)).collect();
        stated.extend(marks::stated(text));
        stated.extend(answers.iter().cloned());
        let corrects = marks::corrects(text);
        Self {
            opening: marks::opening_of(text),
            words: prose::words(text),
            numbers: read.numbers,
            sums: read.sums,
            stated,
            answers,
            confirms: !corrects && marks::confirms(text),
            corrects,
            concludes: marks::concludes(text),
        }
    }
}

/// What the thought has said before the re-evaluation under way.
#[derive(Default)]
struct Known {
    said: Said,
    /// Numbers of the question, and what follows from them; where it has no two, every number.
    numbers: HashSet<Number>,
    takes_any_number: bool,
    sums: HashSet<Sum>,
    stated: HashSet<Value>,
    answers: HashSet<Value>,
    /// Values that were confirmed, or changed to.
    settled: HashSet<Value>,
}

impl Known {
    fn of(question: &str) -> Self {
        let numbers = sums::read(question).numbers;
        Self { takes_any_number: numbers.len() < 2, numbers: numbers.into_iter().collect(), ..Self::default() }
    }

    fn add(&mut self, sentence: &Sentence) {
        self.said.add(&sentence.words);
        if self.takes_any_number {
            self.numbers.extend(&sentence.numbers);
        }
        for sum in &sentence.sums {
            let num_known = sum.terms.iter().filter(|term| self.numbers.contains(term)).count();
            if num_known * 2 >= sum.terms.len() {
                self.numbers.insert(sum.result);
            }
        }
        self.sums.extend(sentence.sums.iter().cloned());
        self.stated.extend(sentence.stated.iter().cloned());
        self.answers.extend(sentence.answers.iter().cloned());
    }

    fn close(&mut self, episode: Option<Episode>) {
        for sentence in episode.into_iter().flat_map(|episode| episode.sentences) {
            self.add(&sentence);
        }
    }
}

/// A re-evaluation that has not concluded yet.
#[derive(Default)]
struct Episode {
    start: usize,
    sentences: Vec<Sentence>,
    /// Whether there is more than the sentences that open it (`Wait. Let me check.`).
    has_body: bool,
    is_check: bool,
    corrects: bool,
    prose: Progress,
    /// Its sums that count as work.
    sums: HashSet<Sum>,
    /// The numbers in those.
    worked: BTreeSet<Number>,
    /// The numbers in those of them that may confirm.
    checked: BTreeSet<Number>,
}

impl Episode {
    fn at(start: usize) -> Self {
        Self { start, ..Self::default() }
    }

    fn take_in(&mut self, sentence: &Sentence, known: &Known) {
        self.is_check |= matches!(sentence.opening, Some(marks::Opening::Check));
        self.corrects |= sentence.corrects;
        self.prose.add(&sentence.words, &known.said);
        for sum in &sentence.sums {
            let is_known = |number: &&Number| known.numbers.contains(number) || self.worked.contains(number);
            let num_known = sum.terms.iter().filter(is_known).count();
            let is_new = !known.sums.contains(sum) && !self.sums.contains(sum);
            if is_new && num_known * 2 >= sum.terms.len() {
                self.sums.insert(sum.clone());
                let numbers: Vec<Number> = sum.terms.iter().chain([&sum.result]).copied().collect();
                let is_checked = |at: usize| {
                    let mut others = numbers.iter().enumerate().filter(|(other, _)| *other != at);
                    numbers.len() > 3 || others.all(|(_, number)| is_known(&number))
                };
                let checked: Vec<Number> =
                    (0..numbers.len()).filter(|at| is_checked(*at)).map(|at| numbers[at]).collect();
                self.checked.extend(checked);
                self.worked.extend(numbers);
            }
        }
        self.has_body |= sentence.opening.is_none() || !self.sums.is_empty();
    }

    /// Returns what a sentence concludes, and about which value.
    fn conclusion(&self, sentence: &Sentence, known: &Known) -> Option<(Kind, Value)> {
        let is_worked = |value: &&Value| {
            let by_sums = matches!(value, Value::Number(number) if self.worked.contains(number));
            !known.settled.contains(*value) && (by_sums || self.prose.is_work())
        };
        let values: Vec<&Value> = sentence.stated.iter().rev().filter(is_worked).collect();
        let replaces = |value: &&&Value| {
            let other_answer = sentence.answers.contains(value) && !known.answers.is_empty();
            !known.stated.is_empty() && !known.stated.contains(**value) && (self.corrects || other_answer)
        };
        if let Some(value) = values.iter().find(replaces) {
            let is_drawn = sentence.concludes || sentence.corrects || !sentence.answers.is_empty();
            return is_drawn.then(|| (Kind::Changes, (*value).clone()));
        }
        let confirms = |value: &Value| {
            let by_sums = matches!(value, Value::Number(number) if self.checked.contains(number));
            !known.settled.contains(value) && known.stated.contains(value) && (by_sums || self.prose.is_work())
        };
        // `That is right`, with no value that was stated before, is about what the work had in it.
        let is_about_work = sentence.confirms && !sentence.stated.iter().any(|value| known.stated.contains(value));
        let worked = self.checked.iter().filter(|_| is_about_work).map(|number| Value::Number(*number));
        let confirmed = sentence.stated.iter().rev().cloned().chain(worked).find(confirms)?;
        let ends_check = self.is_check && !self.corrects && !sentence.sums.is_empty();
        (sentence.confirms || ends_check).then_some((Kind::Confirms, confirmed))
    }
}
