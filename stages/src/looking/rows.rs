//! Looks at the first rows of data sets: whether they can be read, whether gold answers parse, whether they fit.

use std::ops::ControlFlow;

use engine::artifact::{Preferences, Prompts, Samples};
use engine::diagnostic::{are, count};
use engine::stage::{Input, Look, StageError};
use serde_json::json;
use text::Chat;

use super::Seen;
use crate::artifacts::{Error, PromptRow, SampleRow, each_prompt, each_sample, read_preferences};
use crate::chat::of_row;
use crate::grading::{Answer, Form, Grader};
use crate::loading::Loading;
use crate::programs::{JailKey, Runner};
use crate::sampling::FewShot;
use crate::training::rows::PassSize;
use crate::training::tokenise::{Tokenising, token_rows_of};
use crate::verifiers::Verify;

/// Most rows of a set that are read.
const ROWS: u64 = 1_000;
/// Most of these rows that are tokenised.
const TOKENISED: usize = 256;
/// Most bytes of text that are read of a set: a few rows may be large.
const BYTES: usize = 8 << 20;

/// Looks at prompts that `seen` completes; `form` is the form that a reward wants of its completions. Returns the
/// lengths of the first prompts that fit, in tokens.
pub(crate) fn asked<'a>(
    look: &mut Look,
    sets: impl IntoIterator<Item = &'a Input<Prompts>>,
    seen: Option<&Seen<'_>>,
    form: Option<Form>,
) -> Vec<usize> {
    let mut all = Vec::new();
    for set in sets {
        let rows = prompts(look, set);
        let Some((seen, chat)) = seen.and_then(|seen| Some((seen, seen.chat.as_ref()?))) else { continue };
        let lengths: Result<Vec<usize>, StageError> =
            rows.iter().take(TOKENISED).map(|row| length(chat, row)).collect();
        match lengths {
            Ok(lengths) => {
                tell_long(look, set.name(), &lengths, seen);
                all.extend(lengths.into_iter().filter(|length| *length < seen.positions()));
            }
            Err(error) => look.refuse_input(set.name(), error),
        }
        if let Some(form) = form.filter(|_| seen.input.is_declared()) {
            tell_form(look, &rows, (seen, chat), form);
        }
    }
    all
}

fn length(chat: &Chat, row: &PromptRow) -> Result<usize, StageError> {
    let named = || format!("prompt `{}` of `{}`", row.id, row.source);
    Ok(of_row(chat.prompt_ids(&row.prompt), named)?.len())
}

fn tell_long(look: &mut Look, name: &str, lengths: &[usize], seen: &Seen<'_>) {
    let (positions, of) = (seen.positions(), lengths.len());
    let long = lengths.iter().filter(|length| **length >= positions).count();
    if long > 0 {
        let message = format!(
            "{long} of the first {} of `{name}` {} longer than the model's {positions} positions",
            count(of, "prompt"),
            are(long)
        );
        look.warn(Some(name), message, "they get no completion: shorten them, or take a model with more positions");
    }
}

/// Warns if a form is wanted that nothing in the prompt asks for.
fn tell_form(look: &mut Look, rows: &[PromptRow], (seen, chat): (&Seen<'_>, &Chat), form: Form) {
    let Some(row) = rows.iter().find(|row| row.verify.wants_thought()) else { return };
    let Ok(ids) = chat.prompt_ids(&row.prompt) else { return };
    if form.is_asked_for(&chat.tokenizer.decode(&ids)) {
        return;
    }
    let (what, ask) = match form {
        Form::Boxed => {
            ("a right answer is one in `\\boxed{…}`", r"`system = 'Put the answer in \boxed{}.'` or `prompt-template`")
        }
        _ => (
            "a right answer is one in the form `<think>…</think><answer>…</answer>`",
            "`system = \"…\"`, `prompt-template`, or `chat-template = \"r1-zero\"` for a base model",
        ),
    };
    let message = format!("{what}, and no prompt asks for it");
    let help = format!(
        "if `{}` was not trained for that form, ask: {ask}; or accept any form: `form = \"any\"`",
        seen.input.name()
    );
    look.warn(None, message, help);
}

/// Reads the first prompts of a set.
fn prompts(look: &mut Look, set: &Input<Prompts>) -> Vec<PromptRow> {
    if !set.is_here() {
        return Vec::new();
    }
    let mut rows = Vec::new();
    let mut bytes = 0;
    let read = each_prompt(&beginning(set), &mut |row| {
        bytes += row.prompt.texts().iter().map(|text| text.len()).sum::<usize>();
        rows.push(row);
        until(bytes)
    });
    if is_read(look, set.name(), "prompts", read.map(|_| rows.len())) {
        tell_golds(look, set.name(), &rows);
        tell_jail(look, set.name(), &rows);
    }
    rows
}

/// Notes sets without anything that completions could be compared with: their table will hold no accuracy.
pub(crate) fn compared<'a>(look: &mut Look, sets: impl IntoIterator<Item = &'a Input<Prompts>>) {
    for set in sets.into_iter().filter(|set| set.is_here()) {
        let (mut rows, mut checked) = (0, 0);
        let read = each_prompt(&beginning(set), &mut |row| {
            (rows, checked) = (rows + 1, checked + usize::from(row.is_checked()));
            if checked == 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if read.is_ok() && rows > 0 && checked == 0 {
            let name = set.name();
            let message = format!(
                "none of the first {} of `{name}` has a gold answer or tests: nothing is compared, and no accuracy is told",
                count(rows, "prompt")
            );
            look.note(Some(name), message);
        }
    }
}

/// Warns if the programs that are asked for cannot be run on this machine.
fn tell_jail(look: &mut Look, name: &str, rows: &[PromptRow]) {
    if !rows.iter().any(|row| row.verify == Verify::CODE) {
        return;
    }
    let runner = match Runner::of(JailKey::Required) {
        Ok(runner) => runner,
        Err(error) => {
            return look.warn(Some(name), error.message, error.help.unwrap_or_default());
        }
    };
    let tests = || rows.iter().filter_map(|row| row.tests.as_ref());
    let refused = tests().filter_map(|tests| runner.cannot_run(tests));
    if let Some(reason) = refused.clone().next() {
        let (bad, of) = (refused.count(), tests().count());
        let message = format!("the tests of {bad} of the first {of} prompts of `{name}` cannot be run here: {reason}");
        look.warn(Some(name), message, "no completion can be right there");
    }
}

/// Refuses a set that could not be read, or that has no rows. Returns whether it has some.
fn is_read(look: &mut Look, name: &str, what: &str, rows: Result<usize, Error>) -> bool {
    match rows {
        Ok(0) => {
            let error = StageError::new(format!("`{name}` holds no {what}"));
            look.refuse_input(name, error.with_help("look at its `where`, `part`, `skip` and `limit`"));
        }
        Ok(_) => return true,
        Err(error) => look.refuse_input(name, error.into()),
    }
    false
}

/// Warns of gold answers that do not parse.
fn tell_golds(look: &mut Look, name: &str, rows: &[PromptRow]) {
    let loading = Loading::alone(1);
    // A program is no gold answer, and nothing is run or asked here.
    let is_parsed =
        |row: &&PromptRow| row.is_checked() && ![Verify::CODE, Verify::JUDGE, Verify::OWN].contains(&row.verify);
    let checked: Vec<&PromptRow> = rows.iter().filter(is_parsed).collect();
    let answers: Vec<Answer<'_>> = checked
        .iter()
        .map(|row| Answer { prompt: row, completion: row.answer.as_deref().unwrap_or_default(), finished: true })
        .collect();
    let grades = Grader::load(checked.iter().copied(), Form::Any, &loading).and_then(|grader| grader.grade(&answers));
    let Ok(grades) = grades else { return };
    let mut bad = checked.iter().zip(&grades).filter(|(_, grade)| grade.gold_unparsed()).map(|(row, _)| row);
    let Some(first) = bad.next() else { return };
    let (count, of) = (1 + bad.count(), checked.len());
    let answer = first.answer.as_deref().unwrap_or_default();
    // On one line, whatever ends of lines it has.
    let answer = answer.split_whitespace().collect::<Vec<_>>().join(" ");
    let answer: String = answer.chars().take(60).collect();
    let verify = first.verify.name();
    let options =
        if first.verify == Verify::CHOICE { ", and `options` where a row's options have a field" } else { "" };
    let message = format!("{count} of the first {of} gold answers of `{name}` do not parse as `{verify}`: `{answer}`");
    let help = format!("no completion can be right there: check `answer-after`, `fields` and `verify`{options}");
    look.warn(Some(name), message, help);
}

/// Looks at samples. With a model that learns them, returns the sizes of the first rows that fit.
pub(crate) fn samples<'a>(
    look: &mut Look,
    sets: impl IntoIterator<Item = &'a Input<Samples>>,
    learnt: Option<(&Seen<'_>, &Tokenising)>,
) -> Vec<PassSize> {
    let mut all = Vec::new();
    for set in sets {
        let rows = first_samples(look, set);
        let Some((seen, chat, keys)) = learnt.and_then(|(seen, keys)| Some((seen, seen.chat.as_ref()?, keys))) else {
            continue;
        };
        let mut lengths = Vec::new();
        for (index, row) in rows.iter().enumerate().take(TOKENISED) {
            match token_rows_of(chat, (keys, index), row) {
                Ok(rows) => lengths
                    .extend(rows.iter().map(|row| PassSize { tokens: row.ids.len(), targets: row.num_targets() })),
                Err(error) => {
                    look.refuse_input(set.name(), error);
                    break;
                }
            }
        }
        tell_dropped(look, set.name(), &lengths, (seen, keys));
        all.extend(lengths.into_iter().filter(|size| size.tokens <= keys.max_tokens));
    }
    all
}

/// Looks at the exemplars of a stage, if it has some.
pub(crate) fn exemplars(look: &mut Look, set: Option<&Input<Samples>>, few: &FewShot) {
    let Some(set) = set.filter(|set| set.is_here()) else { return };
    if first_samples(look, set).is_empty() {
        return;
    }
    let mut samples = 0;
    let read = each_sample(set, &mut |_| {
        samples += 1;
        if samples > few.shots { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    if read.is_ok()
        && let Err(error) = few.check(set.name(), samples)
    {
        look.refuse_input(set.name(), error);
    }
}

fn first_samples(look: &mut Look, set: &Input<Samples>) -> Vec<SampleRow> {
    let mut rows = Vec::new();
    if !set.is_here() {
        return rows;
    }
    let mut bytes = 0;
    let read = each_sample(&beginning(set), &mut |row| {
        bytes += row.completion.len() + row.prompt.texts().iter().map(|text| text.len()).sum::<usize>();
        rows.push(row);
        until(bytes)
    });
    is_read(look, set.name(), "samples", read.map(|_| rows.len()));
    rows
}

/// Tells how many rows are too long to be learnt, or longer than the model was made for.
fn tell_dropped(look: &mut Look, name: &str, sizes: &[PassSize], (seen, keys): (&Seen<'_>, &Tokenising)) {
    let (of, most, positions) = (sizes.len(), keys.max_tokens, seen.positions());
    let dropped = sizes.iter().filter(|size| size.tokens > most).count();
    if dropped > 0 {
        let message = format!(
            "{dropped} of the first {} of `{name}` {} longer than `max-tokens` = {most}",
            count(of, "row"),
            are(dropped)
        );
        look.warn(Some(name), message, "they are left out: raise `max-tokens` to keep them");
    }
    let beyond = sizes.iter().filter(|size| (positions + 1..=most).contains(&size.tokens)).count();
    if beyond > 0 {
        let message = format!(
            "{beyond} of the first {} of `{name}` {} longer than the model's {positions} positions",
            count(of, "row"),
            are(beyond)
        );
        look.warn(Some(name), message, format!("leave them out: `max-tokens = {positions}`"));
    }
}

/// Looks at preferences.
pub(crate) fn preferences(look: &mut Look, sets: &[Input<Preferences>]) {
    for set in sets.iter().filter(|set| set.is_here()) {
        is_read(look, set.name(), "preferences", read_preferences(&beginning(set)).map(|rows| rows.len()));
    }
}

/// Returns an input with no more rows than are looked at.
fn beginning<A>(input: &Input<A>) -> Input<A> {
    let mut artifact = input.artifact.clone();
    let limit = artifact.import.get("limit").and_then(serde_json::Value::as_u64).map_or(ROWS, |limit| limit.min(ROWS));
    artifact.import.insert("limit".to_owned(), json!(limit));
    Input::new(artifact)
}

fn until(bytes: usize) -> ControlFlow<()> {
    if bytes < BYTES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}
