//! Preferences: judgements of completions, in pairs or with a label each.

use std::path::Path;

use engine::artifact::Preferences;
use engine::stage::Input;
use serde::Serialize;
use serde_json::Value;
use text::Prompt;

use super::Error;
use super::lines::{RawRow, read_rows, write_lines};

const FILE: &str = "preferences.jsonl";

/// A judgement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum PreferenceRow {
    /// One completion is better than the other.
    Pairwise {
        /// The user's text, or a conversation that ends before the assistant's turn.
        prompt: Prompt,
        /// The better completion.
        chosen: String,
        /// The worse one.
        rejected: String,
    },
    /// A completion is acceptable (1) or not (0).
    Pointwise {
        /// The user's text, or a conversation that ends before the assistant's turn.
        prompt: Prompt,
        /// The completion that is judged.
        completion: String,
        /// 1 for acceptable, 0 for not.
        label: u8,
    },
}

/// Reads the preferences of `input`: a stage's folder, or a user's dataset.
pub fn read_preferences(input: &Input<Preferences>) -> Result<Vec<PreferenceRow>, Error> {
    let rows = read_rows(input, FILE, parse)?;
    let without = rows.iter().filter(|pairs| pairs.is_empty()).count();
    if without > 0 {
        input.count("without-preference", without);
        tracing::info!("`{}`: {without} rows have no completion that is better than another", input.name());
    }
    Ok(rows.into_iter().flatten().collect())
}

fn parse(row: &RawRow<'_>) -> Result<Vec<PreferenceRow>, String> {
    let Some(prefer) = &row.import.prefer else { return judged(row).map(|row| vec![row]) };
    let prompt = row.prompt()?;
    let pairs = prefer.pairs(row)?.into_iter();
    Ok(pairs.map(|(chosen, rejected)| PreferenceRow::Pairwise { prompt: prompt.clone(), chosen, rejected }).collect())
}

/// A row with a `chosen` is pairwise, one with a `label` pointwise.
fn judged(row: &RawRow<'_>) -> Result<PreferenceRow, String> {
    if row.optional_text("label")?.is_none() {
        let (chosen, rejected) = (row.completion("chosen")?, row.completion("rejected")?);
        let prompt = row.prompt_before("chosen")?;
        if prompt != row.prompt_before("rejected")? {
            return Err("`chosen` and `rejected` are not answers to the same turns".to_owned());
        }
        return Ok(PreferenceRow::Pairwise { prompt, chosen, rejected });
    }
    let (completion, label) = (row.completion("completion")?, label(&row.text("label")?)?);
    Ok(PreferenceRow::Pointwise { prompt: row.prompt_before("completion")?, completion, label })
}

fn label(text: &str) -> Result<u8, String> {
    // Python writes `True` into tables.
    match serde_json::from_str(&text.to_ascii_lowercase()) {
        Ok(Value::Bool(label)) => Ok(u8::from(label)),
        Ok(Value::Number(number)) if number.as_f64() == Some(0.0) => Ok(0),
        Ok(Value::Number(number)) if number.as_f64() == Some(1.0) => Ok(1),
        _ => Err(format!("`label` is `{text}`, expected 0 or 1")),
    }
}

/// Writes preferences into the folder `dir`.
pub fn write_preferences(dir: &Path, rows: &[PreferenceRow]) -> Result<(), Error> {
    write_lines(dir, FILE, rows)
}
