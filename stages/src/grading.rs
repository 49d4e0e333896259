//! Grades: whether a completion is right, and whether it has the expected form. The reward `accuracy`, the filters of
//! `generate` and the figures of `eval` all get their grades from a [`Grader`].
//!
//! Grading fails closed: an unfinished completion is never right, nor is one whose answer or gold answer does not parse.
//!
//! Two forms with tags are well-formed: R1-Zero's `<think>…</think><answer>…</answer>`, and that of the released R1, a
//! thought in tags and then a summary without tags. The key `form` names another form, or none.

use engine::stage::{Context, StageError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use text::Verdict;

use crate::artifacts::PromptRow;
use crate::loading::Loading;
use crate::opinions::Opinion;
use crate::parallel;
use crate::programs::Trial;
use crate::verifiers::{Claim, Found, Verifier, Verify};

/// The form that a completion must have to be right, where a number or a choice is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// R1's: a thought in `<think>…</think>`, then the answer, in `<answer>…</answer>` or without tags.
    #[default]
    Tags,
    /// The answer is in `\boxed{…}`, after the thought if there is one.
    Boxed,
    /// Any.
    Any,
}

impl Form {
    fn is_that_of(self, completion: &str, parts: &text::think::Parts<'_>) -> bool {
        match self {
            Self::Tags => parts.format_ok || parts.summary_ok,
            Self::Boxed => completion.rsplit("</think>").next().is_some_and(|after| after.contains("\\boxed{")),
            Self::Any => true,
        }
    }

    /// Returns whether a prompt, as the model reads it, speaks of the form.
    pub fn is_asked_for(self, prompt: &str) -> bool {
        match self {
            Self::Tags => prompt.contains("<think>") || prompt.contains("<answer>"),
            Self::Boxed => prompt.contains("boxed"),
            Self::Any => true,
        }
    }

    /// Returns how a person would describe it.
    pub fn description(self) -> &'static str {
        match self {
            Self::Tags => "`<think>…</think><answer>…</answer>`",
            Self::Boxed => "an answer in `\\boxed{…}`",
            Self::Any => "any",
        }
    }
}

/// A completion to be graded.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The question.
    pub prompt: &'a PromptRow,
    /// The text, tags included, without the end-of-sequence token.
    pub completion: &'a str,
    /// Whether it ended with the end-of-sequence token rather than at the token limit.
    pub finished: bool,
}

/// The grade of a completion.
#[derive(Clone, Debug, PartialEq)]
pub struct Grade {
    /// Right, finished, and in the expected form.
    pub correct: bool,
    /// Finished, and in the wanted form.
    pub format_ok: bool,
    /// How the answer compares with the gold answer, in any form; absent without a gold answer.
    pub verdict: Option<Verdict>,
    /// Whether the answer says that it may be wrong.
    pub hedged: bool,
    /// How the program in the answer did, if it was run.
    pub trial: Option<Trial>,
    /// What the judge said of the answer, if the prompt's `verify` asks one.
    pub opinion: Option<Opinion>,
    /// How sure of itself the answer is, from 0 to 1: what it states, else 0 with a hedge and 1 without.
    pub confidence: f64,
    /// The text in `<answer>`, else the text after `</think>`, else the whole completion.
    pub answer: String,
    /// The thought, if its tags are there.
    pub reasoning: Option<String>,
}

impl Grade {
    /// Returns whether the gold answer does not parse. This is a mistake in the data: no completion can be right.
    pub fn gold_unparsed(&self) -> bool {
        self.verdict == Some(Verdict::GoldUnparsed)
    }

    /// Returns whether a wrong answer was given as if it were certain.
    pub fn is_confident_and_wrong(&self, finished: bool) -> bool {
        finished && !self.hedged && self.verdict == Some(Verdict::Wrong)
    }
}

/// Grades completions by the verifiers of their prompts, in batches.
pub struct Grader {
    form: Form,
    verifiers: Vec<(Verify, Box<dyn Verifier>)>,
}

impl Grader {
    /// Loads the verifiers that `prompts` name; answers are wanted in `form`.
    pub fn load<'a>(
        prompts: impl IntoIterator<Item = &'a PromptRow>,
        form: Form,
        loading: &Loading<'_>,
    ) -> Result<Self, StageError> {
        let mut verifiers: Vec<(Verify, Box<dyn Verifier>)> = Vec::new();
        for prompt in prompts {
            if verifiers.iter().all(|(known, _)| *known != prompt.verify)
                && let Some(verifier) = prompt.verify.load(loading)
            {
                verifiers.push((prompt.verify, verifier?));
            }
        }
        Ok(Self { form, verifiers })
    }

    /// Warns of a judge or a verifier of the stage that none of the graders asks.
    pub(crate) fn warn_of_idle(ctx: &Context, loading: &Loading<'_>, graders: &[&Self]) {
        let asks =
            |verify: Verify| graders.iter().any(|grader| grader.verifiers.iter().any(|(known, _)| *known == verify));
        for (key, is_given, verify) in
            [("judge", loading.judge.is_some(), Verify::JUDGE), ("verifier", loading.verifier.is_some(), Verify::OWN)]
        {
            if is_given && !asks(verify) {
                let verify = verify.name();
                ctx.warn(format!("`{key}` is asked nothing: no prompt of the stage has `verify = \"{verify}\"`"));
            }
        }
    }

    /// Calls `sample` with a function that takes each completion when it is sampled, with a way to its text, and runs the
    /// programs in them meanwhile. [`grade`](Self::grade) finds what was run; grades do not depend on it.
    pub(crate) fn meanwhile<'a, T>(&self, sample: impl FnOnce(&mut Take<'a, '_>) -> T) -> T {
        let ahead = self.verifiers.iter().find_map(|(verify, verifier)| Some((*verify, verifier.ahead()?)));
        let Some((verify, ahead)) = ahead else { return sample(&mut |_, _| {}) };
        let work = |(prompt, completion): (&PromptRow, String)| {
            (ahead.work)(&claim(&Answer { prompt, completion: &completion, finished: true }));
        };
        parallel::meanwhile(ahead.threads, work, |give| {
            sample(&mut |prompt, text| {
                if prompt.verify == verify && prompt.is_checked() {
                    give((prompt, text()));
                }
            })
        })
    }

    /// Returns the grade of each answer.
    pub fn grade(&self, answers: &[Answer<'_>]) -> Result<Vec<Grade>, StageError> {
        let mut found: Vec<Option<Found>> = vec![None; answers.len()];
        let is_checked = |answer: &Answer<'_>| answer.prompt.is_checked();
        for (verify, verifier) in &self.verifiers {
            let of_verifier = |index: &usize| answers[*index].prompt.verify == *verify && is_checked(&answers[*index]);
            let indices: Vec<usize> = (0..answers.len()).filter(of_verifier).collect();
            let claims: Vec<Claim<'_>> = indices.iter().map(|index| claim(&answers[*index])).collect();
            for (index, one) in indices.into_iter().zip(verifier.verdicts(&claims)?) {
                found[index] = Some(one);
            }
        }
        let forgotten = answers.iter().zip(&found).find(|(answer, found)| is_checked(answer) && found.is_none());
        if let Some((answer, _)) = forgotten {
            return Err(StageError::new(format!("no verdict of the verifier `{}`", answer.prompt.verify.name())));
        }
        Ok(answers.iter().zip(found).map(|(answer, found)| grade(answer, self.form, found)).collect())
    }
}

/// Takes a completion: its prompt, and a way to its text.
pub(crate) type Take<'a, 'b> = dyn FnMut(&'a PromptRow, &dyn Fn() -> String) + 'b;

fn claim<'a>(answer: &Answer<'a>) -> Claim<'a> {
    let parts = text::think::parse(answer.completion);
    // A text without tags may go on with the prompt, so white space at its beginning counts.
    let has_tags = parts.reasoning.is_some() || answer.completion.contains("<answer>");
    let is_whole = answer.prompt.verify.is_bare() || answer.prompt.verify == Verify::CODE && !has_tags;
    let given = if is_whole { answer.completion } else { parts.answer };
    let PromptRow { prompt, answer: gold, tolerance, tests, .. } = answer.prompt;
    Claim {
        prompt,
        gold: gold.as_deref().unwrap_or_default(),
        answer: given,
        tolerance: *tolerance,
        tests: tests.as_ref(),
    }
}

fn grade(answer: &Answer<'_>, form: Form, found: Option<Found>) -> Grade {
    let parts = text::think::parse(answer.completion);
    // A program or a grid is never in a box.
    let form = if form == Form::Boxed && !answer.prompt.verify.may_be_boxed() { Form::Any } else { form };
    let format_ok = answer.finished && form.is_that_of(answer.completion, &parts);
    let (verdict, trial, opinion) = match found {
        None => (None, None, None),
        Some(Found { verdict, trial, opinion }) => (Some(verdict), trial, opinion),
    };
    let in_form = answer.finished && (format_ok || !answer.prompt.verify.wants_thought());
    let hedged = text::hedge::is_hedged(parts.answer);
    let confidence = text::hedge::stated_confidence(parts.answer).unwrap_or(if hedged { 0.0 } else { 1.0 });
    Grade {
        correct: in_form && verdict == Some(Verdict::Correct),
        format_ok,
        verdict,
        trial,
        opinion,
        hedged: hedged || confidence <= 0.5,
        confidence,
        answer: parts.answer.to_owned(),
        reasoning: parts.reasoning.map(str::to_owned),
    }
}
