//! Task `general`: five skills apart from reasoning, like the general part of R1's fine-tuning data: writing, questions
//! about facts, self-cognition, translation, and the reversal of words. Answers have no thought or tags.
//!
//! ```text
//! rev abc=?                 cba
//! write c 4=?               cdef
//! capital of france=?       paris
//! who are you=?             i am r1
//! french for dog=?          chien
//! ```
//! Only reversal and writing have a held-out part. The other three must be memorised, so they are the same in both
//! splits.

use engine::stage::StageError;

use super::draw::TaskRng;
use super::{Params, Split, Task, TaskRows};
use crate::artifacts::{PromptRow, SampleRow};
use crate::verifiers::Verify;

pub(super) const TASK: Task =
    Task { name: "general", styles: &["clean", "noisy"], check: |params| shares(params).map(|_| ()), make };

/// A skill: its name, and a function that draws a question with its answer.
type Family = (&'static str, fn(Split, &mut TaskRng) -> (String, String));

const FAMILIES: &[Family] = &[
    ("reverse", reverse),
    ("write", write),
    ("facts", |_, draw| owned(draw.pick(FACTS))),
    ("identity", |_, draw| owned(draw.pick(IDENTITY))),
    ("translate", |_, draw| {
        let (english, french) = draw.pick(WORDS);
        (format!("french for {english}=?"), french.to_owned())
    }),
];

/// Returns the names of the skills.
pub(super) fn family_names() -> Vec<&'static str> {
    FAMILIES.iter().map(|(name, _)| *name).collect()
}

fn make(params: &Params, style: &str, draw: &mut TaskRng) -> Result<TaskRows, StageError> {
    let shares = shares(params)?;
    let mut rows = TaskRows::default();
    for index in 0..params.count {
        let (family, make_one) = FAMILIES[draw.weighted(&shares)];
        let (question, answer) = make_one(params.split, draw);
        let noisy = style == "noisy" && draw.chance(0.3);
        let completion = if noisy { garbled(&answer, draw) } else { answer.clone() };
        let mut sample = SampleRow::new(question.as_str(), completion);
        sample.answer = Some(answer.clone());
        let prompt = PromptRow {
            id: format!("general-{index}"),
            prompt: question.into(),
            answer: Some(answer),
            verify: Verify::EXACT,
            tests: None,
            tolerance: None,
            task: Some(family.to_owned()),
            language: None,
            source: String::new(),
        };
        rows.push_sample(prompt, sample);
    }
    Ok(rows)
}

/// Returns the share of each family, in the order of [`FAMILIES`].
fn shares(params: &Params) -> Result<Vec<f64>, StageError> {
    let (families, names) = (&params.families, family_names());
    if let Some(unknown) = families.0.keys().find(|name| !names.contains(&name.as_str())) {
        return Err(StageError::new(format!("no family `{unknown}`"))
            .with_help(format!("the families are `{}`", names.join("`, `"))));
    }
    let shares: Vec<f64> = names.iter().map(|name| families.0.get(*name).copied().unwrap_or(0.0)).collect();
    let usable =
        shares.iter().all(|share| share.is_finite() && *share >= 0.0) && shares.iter().any(|share| *share > 0.0);
    if usable { Ok(shares) } else { Err(StageError::new("`families` needs shares of zero or more, not all zero")) }
}

/// Replaces about three letters in ten.
fn garbled(answer: &str, draw: &mut TaskRng) -> String {
    answer.chars().map(|letter| if draw.chance(0.3) { letter_to_h(draw) } else { letter }).collect()
}

fn letter_to_h(draw: &mut TaskRng) -> char {
    char::from(b'a' + draw.below(8) as u8)
}

fn reverse(split: Split, draw: &mut TaskRng) -> (String, String) {
    loop {
        let length = draw.between(3, 5);
        let word: String = (0..length).map(|_| letter_to_h(draw)).collect();
        let question = format!("rev {word}=?");
        if split.holds(&question) {
            return (question, word.chars().rev().collect());
        }
    }
}

fn write(split: Split, draw: &mut TaskRng) -> (String, String) {
    loop {
        let length = draw.between(2, 6);
        let start = b'a' + draw.below(27 - length) as u8;
        let question = format!("write {} {length}=?", char::from(start));
        if split.holds(&question) {
            return (question, (0..length as u8).map(|step| char::from(start + step)).collect());
        }
    }
}

fn owned((question, answer): (&str, &str)) -> (String, String) {
    (question.to_owned(), answer.to_owned())
}

const FACTS: &[(&str, &str)] = &[
    ("capital of france=?", "paris"),
    ("capital of italy=?", "rome"),
    ("capital of japan=?", "tokyo"),
    ("capital of egypt=?", "cairo"),
    ("capital of peru=?", "lima"),
    ("capital of norway=?", "oslo"),
    ("capital of cuba=?", "havana"),
    ("capital of spain=?", "madrid"),
    ("color of grass=?", "green"),
    ("color of snow=?", "white"),
    ("color of coal=?", "black"),
    ("legs of a spider=?", "8"),
    ("legs of a cat=?", "4"),
    ("days in a week=?", "7"),
    ("months in a year=?", "12"),
    ("hours in a day=?", "24"),
    ("opposite of hot=?", "cold"),
    ("opposite of up=?", "down"),
    ("young of a dog=?", "puppy"),
    ("largest ocean=?", "pacific"),
];

const IDENTITY: &[(&str, &str)] = &[
    ("who are you=?", "i am r1"),
    ("what is your name=?", "r1"),
    ("are you human=?", "no, i am a model"),
    ("what can you do=?", "i reason, then answer"),
    ("who made you=?", "my makers"),
];

const WORDS: &[(&str, &str)] = &[
    ("dog", "chien"),
    ("cat", "chat"),
    ("bird", "oiseau"),
    ("fish", "poisson"),
    ("horse", "cheval"),
    ("house", "maison"),
    ("door", "porte"),
    ("table", "table"),
    ("bread", "pain"),
    ("water", "eau"),
    ("milk", "lait"),
    ("apple", "pomme"),
    ("sun", "soleil"),
    ("moon", "lune"),
    ("star", "etoile"),
    ("tree", "arbre"),
    ("flower", "fleur"),
    ("book", "livre"),
    ("school", "ecole"),
    ("friend", "ami"),
    ("hand", "main"),
    ("night", "nuit"),
    ("day", "jour"),
    ("red", "rouge"),
];
