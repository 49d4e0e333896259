//! `options`: questions with several options. The options go below the question with letters, and the gold answer
//! becomes the letter of the right one.
//!
//! ```text
//! "choices"                                MMLU  choices: [text, …], answer: 2
//!                                          ARC   choices: { text: […], label: [A, …] }, answerKey: C
//! ["opa", "opb", "opc", "opd"]             MedMCQA  an option in each field, cop: 2
//! { right = "Correct Answer", wrong = […], seed = 0 }   GPQA  in an order that seed and row decide
//! ```
//! A drawn order depends on the seed, the question and the options of its row alone, so that adding rows changes no
//! other row: options are sorted by a hash of (seed, question, option).

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use text::Prompt;

use super::fields::{MAP, text_of};
use super::lines::RawRow;

/// The letters that the verifier `choice` knows.
const LETTERS: &str = "ABCDEFGHIJ";

/// Where a question's options are.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(untagged, expecting = "a field, a list of fields, or a table with `right` and `wrong`")]
pub(super) enum Options {
    /// A field with a list of options, or with lists of texts and labels.
    List(String),
    /// A field for each option.
    Each(#[schemars(length(min = 2, max = 10))] Vec<String>),
    /// The right option and the wrong ones, to be shuffled.
    Shuffled(Shuffled),
}

/// The right option and the wrong ones.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Shuffled {
    /// The field of the right option.
    right: String,
    /// The fields of the wrong ones.
    #[schemars(length(min = 1, max = 9))]
    wrong: Vec<String>,
    /// Seed of the order of the options.
    #[serde(default)]
    seed: u64,
}

/// The options of a row, and the index of the right one.
struct Found {
    options: Vec<String>,
    right: usize,
}

impl Options {
    /// Returns a row's question with its options below it, and the letter of the right one.
    pub(super) fn asked(&self, row: &RawRow<'_>) -> Result<(Prompt, String), String> {
        let prompt = row.prompt()?;
        let Found { options, right } = match self {
            Self::List(list) => listed(row, list)?,
            Self::Each(fields) => {
                let options = fields.iter().map(|field| option(row, field)).collect::<Result<Vec<_>, _>>()?;
                let right = right(row, &options, None)?;
                Found { options, right }
            }
            Self::Shuffled(shuffled) => shuffled.draw(row, &prompt)?,
        };
        if !(2..=LETTERS.len()).contains(&options.len()) {
            return Err(format!("{} options, expected 2 to {}", options.len(), LETTERS.len()));
        }
        let lines = options.iter().zip(LETTERS.chars()).map(|(option, letter)| format!("\n{letter}) {option}"));
        let lines = lines.collect::<Vec<_>>().concat();
        Ok((prompt.with_text_after(&format!("\n{lines}")), LETTERS[right..=right].to_owned()))
    }
}

impl Shuffled {
    fn draw(&self, row: &RawRow<'_>, prompt: &Prompt) -> Result<Found, String> {
        let right = option(row, &self.right)?;
        let mut options = vec![right.clone()];
        for field in &self.wrong {
            options.push(option(row, field)?);
        }
        options.sort_by_cached_key(|option| {
            let mut hasher = blake3::Hasher::new();
            hasher.update(b"options").update(&self.seed.to_le_bytes());
            for text in [prompt.key().as_ref(), option] {
                hasher.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
            }
            *hasher.finalize().as_bytes()
        });
        if let Some([same, _]) = options.array_windows().find(|[one, other]| one == other) {
            return Err(format!("two options are the same: `{same}`"));
        }
        let right = options.iter().position(|option| *option == right).expect("it is one of them");
        Ok(Found { options, right })
    }
}

/// Returns a field that `options` names.
fn named<'a>(row: &'a RawRow<'_>, field: &str) -> Result<Option<Cow<'a, Value>>, String> {
    row.field(field).map_err(|reason| reason.replace(MAP, &format!("`options` names `{field}`")))
}

fn option(row: &RawRow<'_>, field: &str) -> Result<String, String> {
    let value = named(row, field)?.ok_or_else(|| format!("`{field}` is empty"))?;
    Ok(text_of(&value, field)?.trim().to_owned())
}

/// Reads a list of options, or lists of texts and labels.
fn listed(row: &RawRow<'_>, list: &str) -> Result<Found, String> {
    let value = named(row, list)?.ok_or_else(|| format!("`{list}` is empty"))?;
    let texts = |value: &Value| -> Option<Vec<String>> {
        let items = value.as_array()?;
        items.iter().map(|item| Some(text_of(item, list).ok()?.trim().to_owned())).collect()
    };
    let no_options = || format!("`{list}` is no list of options, nor an object with lists `text` and `label`");
    let (options, labels) = match value.as_ref() {
        Value::Object(both) => {
            let of = |name: &str| both.get(name).and_then(texts).ok_or_else(no_options);
            (of("text")?, Some(of("label")?))
        }
        value => (texts(value).ok_or_else(no_options)?, None),
    };
    if labels.as_ref().is_some_and(|labels| labels.len() != options.len()) {
        return Err(format!("`{list}` has not as many labels as options"));
    }
    let right = right(row, &options, labels.as_deref())?;
    Ok(Found { options, right })
}

/// Returns the index of the right option. The answer is a label where there are labels; else a number is an index from
/// 0, and a text a letter, an option, or the digits of an index.
fn right(row: &RawRow<'_>, options: &[String], labels: Option<&[String]>) -> Result<usize, String> {
    let answer =
        row.mapped("answer")?.ok_or("no field `answer`, which says the right option: map yours with `fields`")?;
    let text = text_of(&answer, "answer")?;
    let text = text.trim();
    let within = |index: usize| (index < options.len()).then_some(index);
    let found: Vec<usize> = match (labels, answer.as_ref()) {
        (Some(labels), _) => labels.iter().position(|label| label == text).into_iter().collect(),
        (None, Value::Number(number)) => {
            // Tables have whole numbers as floats where a column has gaps.
            let index = number.as_f64().filter(|index| *index >= 0.0 && index.fract() == 0.0);
            index.and_then(|index| within(index as usize)).into_iter().collect()
        }
        (None, _) => {
            let letter = (text.len() == 1).then(|| LETTERS.find(text)).flatten().and_then(within);
            let option = options.iter().position(|option| option == text);
            let index = text.parse().ok().and_then(within);
            [letter, option, index].into_iter().flatten().collect()
        }
    };
    match found.as_slice() {
        [first, others @ ..] if others.iter().all(|other| other == first) => Ok(*first),
        [] => Err(format!("`answer` is `{text}`, which is none of the {} options", options.len())),
        _ => Err(format!("`answer` is `{text}`, which may be an option's text, letter or index")),
    }
}
