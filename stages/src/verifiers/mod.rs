//! Verifiers: how an answer is compared with the gold one. Prompts and inputs name one, `verify = "number"`.
//!
//! A verifier is a row of [`VERIFIERS`].

mod code;
mod judged;
mod name;
mod own;
mod tolerance;

use engine::stage::StageError;
use text::{Prompt, Verdict};

use crate::checks::{Tested, Tests};
use crate::loading::Loading;
use crate::opinions::Opinion;
use crate::parallel;
use crate::programs::Trial;
pub(crate) use judged::ENOUGH;
pub use name::Verify;
pub use tolerance::Tolerance;

/// Every verifier, in the order of the documentation.
static VERIFIERS: [VerifierKind; 8] = [
    VerifierKind {
        name: "number",
        doc: "The same value: numbers, expressions, lists, sets, equations, units, words; a thought and tags are expected.",
        form: Form::Thought,
        needs: Needs::Gold,
        load: |loading| Ok(per_answer(loading, number)),
        vote: |answer| text::math::canonical(answer).unwrap_or_else(|| answer.to_owned()),
    },
    VerifierKind {
        name: "choice",
        doc: "The same option, by letter or text, or the same options; a thought and tags are expected.",
        form: Form::Thought,
        needs: Needs::Gold,
        load: |loading| Ok(per_answer(loading, choice)),
        vote: |answer| text::choice::extract(answer).map_or_else(|| answer.to_owned(), |chosen| chosen.to_string()),
    },
    VerifierKind {
        name: "exact",
        doc: "The same text, without tags.",
        form: Form::Bare,
        needs: Needs::Gold,
        load: |loading| Ok(per_answer(loading, |claim| text::exact::verify(claim.gold, claim.answer))),
        vote: str::to_owned,
    },
    VerifierKind {
        name: "instructions",
        doc: "All of IFEval's instructions are followed, which are the prompt's `tests`; no form is expected.",
        form: Form::Free,
        needs: Needs::Tests(Tested::Text),
        load: |loading| Ok(per_answer(loading, instructions)),
        vote: str::to_owned,
    },
    VerifierKind {
        name: "code",
        doc: "All of the prompt's `tests` are passed by the program in the answer, which runs in a jail; a thought and tags are expected.",
        form: Form::ThoughtThenText,
        needs: Needs::Tests(Tested::Program),
        load: code::load,
        vote: str::to_owned,
    },
    VerifierKind {
        name: "puzzle",
        doc: "A solution of the prompt's puzzle, in any order; a thought and tags are expected.",
        form: Form::ThoughtThenText,
        needs: Needs::Tests(Tested::Puzzle),
        load: |loading| Ok(per_answer(loading, puzzle)),
        vote: str::to_owned,
    },
    VerifierKind {
        name: "judge",
        doc: "The same as the gold answer by the opinion of the stage's `judge`, a model; a thought and tags are expected.",
        form: Form::Thought,
        needs: Needs::Gold,
        load: judged::load,
        vote: str::to_owned,
    },
    VerifierKind {
        name: "own",
        doc: "A program of yours says so, the stage's `verifier`; a thought and tags are expected.",
        form: Form::ThoughtThenText,
        needs: Needs::Nothing,
        load: own::load,
        vote: str::to_owned,
    },
];

/// A row of [`VERIFIERS`].
struct VerifierKind {
    name: &'static str,
    doc: &'static str,
    form: Form,
    needs: Needs,
    load: fn(&Loading<'_>) -> Loaded,
    /// Normalises an answer for votes: equal results are the same answer.
    vote: fn(&str) -> String,
}

/// Where the answer is in a completion.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In tags after a thought.
    Thought,
    /// The same, but never in a box: a program, a grid.
    ThoughtThenText,
    /// Behind the thought, if there is one.
    Free,
    /// The completion is the answer.
    Bare,
}

/// What of a prompt an answer is compared with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// The gold answer.
    Gold,
    /// Its tests.
    Tests(Tested),
    /// Nothing: what checks it may know more than the prompt says.
    Nothing,
}

pub(crate) type Loaded = Result<Box<dyn Verifier>, StageError>;

/// A loaded verifier.
pub(crate) trait Verifier {
    /// Compares each answer with its gold one.
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Found>, StageError>;

    /// Returns what may be done of the answers one by one, while others are still sampled. `verdicts` finds its results,
    /// and says the same without them.
    fn ahead(&self) -> Option<Ahead<'_>> {
        None
    }
}

/// Work on an answer that is done on other threads while others are sampled.
pub(crate) struct Ahead<'a> {
    pub(crate) threads: usize,
    pub(crate) work: Box<dyn Fn(&Claim<'_>) + Sync + 'a>,
}

/// What a verifier finds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) verdict: Verdict,
    /// How the program in the answer did, if it was run.
    pub(crate) trial: Option<Trial>,
    /// What a judge said of it, if one was asked.
    pub(crate) opinion: Option<Opinion>,
}

impl Found {
    fn of(verdict: Verdict) -> Self {
        Self { verdict, trial: None, opinion: None }
    }
}

/// An answer beside the gold one.
#[derive(Clone, Debug)]
pub(crate) struct Claim<'a> {
    pub(crate) prompt: &'a Prompt,
    /// Empty where the prompt has none.
    pub(crate) gold: &'a str,
    pub(crate) answer: &'a str,
    pub(crate) tolerance: Option<Tolerance>,
    pub(crate) tests: Option<&'a Tests>,
}

fn number(claim: &Claim<'_>) -> Verdict {
    text::math::verify_within(claim.gold, claim.answer, claim.tolerance.map(Into::into))
}

fn choice(claim: &Claim<'_>) -> Verdict {
    let options = text::choice::options(&claim.prompt.last_text());
    text::choice::verify(claim.gold, claim.answer, &options)
}

fn instructions(claim: &Claim<'_>) -> Verdict {
    let rules = claim.tests.and_then(Tests::rules);
    rules.map_or(Verdict::GoldUnparsed, |rules| text::instructions::verify(&rules, claim.answer))
}

fn puzzle(claim: &Claim<'_>) -> Verdict {
    let Some(Tests::Puzzle { puzzle }) = claim.tests else { return Verdict::GoldUnparsed };
    text::puzzles::verify(puzzle, claim.answer)
}

/// Makes a verifier of a rule that looks at one answer at a time, on all threads of the stage.
fn per_answer(loading: &Loading<'_>, rule: fn(&Claim<'_>) -> Verdict) -> Box<dyn Verifier> {
    Box::new(PerAnswer { rule, threads: loading.threads })
}

struct PerAnswer {
    rule: fn(&Claim<'_>) -> Verdict,
    threads: usize,
}

impl Verifier for PerAnswer {
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Found>, StageError> {
        Ok(parallel::map(claims, self.threads, |claim| Found::of((self.rule)(claim))))
    }
}
