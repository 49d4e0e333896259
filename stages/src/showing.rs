//! Shows a row as the model sees it: its tokens, the special ones, and those in the loss. No weights are read.

use std::ops::ControlFlow;

use engine::artifact::{Logits as LogitsMarker, Prompts, Samples};
use engine::stage::{Input, StageError};
use engine::worker::tokens::{ShownRow, ShownSequence, ShownToken};
use text::{Chat, Prompt, Tokenizer};

use crate::artifacts::{PromptRow, SampleRow, TokenRow, each_prompt, logits_row};
use crate::chat::of_row;
use crate::training::tokenise::{Tokenising, each_row, token_rows_of};

/// Shows a row of samples, with the loss on what is learnt.
pub(crate) fn sample(
    chat: &Chat,
    data: &[Input<Samples>],
    keys: &Tokenising,
    wanted: usize,
) -> Result<ShownRow, StageError> {
    let (mut found, mut count) = (None, 0);
    each_row(data, &mut |row| take(&mut found, &mut count, wanted, row))?;
    let row = found.ok_or_else(|| beyond(keys.key, wanted, count))?;
    let sequences = token_rows_of(chat, (keys, wanted), &row)?;
    Ok(ShownRow {
        name: format!("row {wanted} of `{}`", keys.key),
        opening: chat.opening(opened(&sequences)),
        max_tokens: Some(keys.max_tokens),
        sequences: sequences.iter().map(|row| sequence(chat, row, Some(keys.max_tokens))).collect(),
    })
}

/// Shows a prompt; `dress` returns what the model is asked, which may begin with exemplars.
pub(crate) fn prompt<'a>(
    chat: &Chat,
    sets: impl IntoIterator<Item = &'a Input<Prompts>>,
    dress: impl FnOnce(&PromptRow) -> Prompt,
    wanted: usize,
) -> Result<ShownRow, StageError> {
    let (mut found, mut count) = (None, 0);
    for set in sets {
        if each_prompt(set, &mut |row| take(&mut found, &mut count, wanted, row))?.is_break() {
            break;
        }
    }
    let row = found.ok_or_else(|| beyond("prompts", wanted, count))?;
    let name = format!("prompt {wanted} (`{}` of `{}`)", row.id, row.source);
    asked(chat, name, &dress(&row))
}

/// Shows the prompt that asks for a new completion of a sample.
pub(crate) fn request(
    chat: &Chat,
    samples: &[Input<Samples>],
    ask: impl FnOnce(&SampleRow) -> Result<Prompt, StageError>,
    wanted: usize,
) -> Result<ShownRow, StageError> {
    let (mut found, mut count) = (None, 0);
    each_row(samples, &mut |row| take(&mut found, &mut count, wanted, row))?;
    let row = found.ok_or_else(|| beyond("samples", wanted, count))?;
    asked(chat, format!("row {wanted} of `samples`"), &ask(&row)?)
}

fn asked(chat: &Chat, name: String, prompt: &Prompt) -> Result<ShownRow, StageError> {
    let ids = of_row(chat.prompt_ids(prompt), || name.clone())?;
    let opening = chat.opening(&ids);
    let row = TokenRow { start: ids.len(), ids };
    Ok(ShownRow { name, opening, max_tokens: None, sequences: vec![sequence(chat, &row, None)] })
}

/// Shows a row of a teacher's logits.
pub(crate) fn learnt_logits(
    chat: &Chat,
    logits: &[Input<LogitsMarker>],
    max_tokens: usize,
    wanted: usize,
) -> Result<ShownRow, StageError> {
    let row = logits_row(logits, wanted)?.map_err(|count| beyond("logits", wanted, count))?;
    let name = format!("row {wanted} of `logits`");
    let opening = chat.opening(&row.ids[..row.start]);
    let sequences = vec![sequence(chat, &row, Some(max_tokens))];
    Ok(ShownRow { name, opening, max_tokens: Some(max_tokens), sequences })
}

/// Returns the prompt of the last of a sample's token rows.
fn opened(rows: &[TokenRow]) -> &[i64] {
    rows.last().map_or(&[], |row| &row.ids[..row.start])
}

/// Keeps the row number `wanted`, and breaks then.
fn take<T>(found: &mut Option<T>, count: &mut usize, wanted: usize, row: T) -> ControlFlow<()> {
    if *count == wanted {
        *found = Some(row);
        return ControlFlow::Break(());
    }
    *count += 1;
    ControlFlow::Continue(())
}

fn beyond(key: &str, wanted: usize, count: usize) -> StageError {
    let last = count.saturating_sub(1);
    StageError::new(format!("there is no row {wanted}: `{key}` has {count}"))
        .with_help(format!("rows are counted from 0, so the last is {last}"))
}

fn sequence(chat: &Chat, row: &TokenRow, max_tokens: Option<usize>) -> ShownSequence {
    let learnt_from = row.start.max(1);
    let tokens =
        row.ids.iter().zip(spelled(&chat.tokenizer, &row.ids)).enumerate().map(|(at, (id, (text, is_special)))| {
            ShownToken { id: *id, text, is_special, is_learnt: at >= learnt_from }
        });
    ShownSequence { is_left_out: max_tokens.is_some_and(|most| row.ids.len() > most), tokens: tokens.collect() }
}

/// Tokens before a token that decide what it adds to the text.
const CONTEXT: usize = 4;

/// Returns what each token adds to the text, and whether it is a special token. A part of a character has no text of
/// its own, and is spelt as in the vocabulary.
fn spelled(tokenizer: &Tokenizer, ids: &[i64]) -> Vec<(String, bool)> {
    let vocabulary = tokenizer.tokens();
    let spelled = ids.iter().enumerate().map(|(at, id)| {
        let start = at.saturating_sub(CONTEXT);
        let (before, with) = (tokenizer.decode(&ids[start..at]), tokenizer.decode(&ids[start..=at]));
        let own = || u32::try_from(*id).ok().and_then(|id| vocabulary.get(&id)).cloned().unwrap_or_default();
        let text = with.strip_prefix(&before).filter(|text| !text.is_empty() && !text.contains('\u{fffd}'));
        let one = std::slice::from_ref(id);
        let is_special = tokenizer.decode_plain(one).is_empty() && !tokenizer.decode(one).is_empty();
        (text.map_or_else(own, str::to_owned), is_special)
    });
    spelled.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_spelt_by_what_it_adds_and_a_part_of_a_character_as_in_the_vocabulary() {
        let specials = ["<pad>", "<eos>"].map(str::to_owned);
        let tokenizer = text::train_byte_bpe(["a cat sat", "a cat sat"].into_iter(), 270, &specials).unwrap();
        let ids = tokenizer.encode("a cat\n\u{5f97}<eos>").unwrap();
        let spelled = spelled(&tokenizer, &ids);
        let text: String = spelled.iter().map(|(text, _)| text.as_str()).collect();
        assert!(text.starts_with("a cat\n") && text.ends_with("<eos>"), "{spelled:?}");
        assert_eq!(spelled.iter().filter(|(_, is_special)| *is_special).count(), 1);
        assert!(spelled.iter().all(|(text, _)| !text.is_empty() && !text.contains('\u{fffd}')), "{spelled:?}");
    }
}
