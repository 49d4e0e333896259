//! Verifier `own`: a program of the user's own says whether an answer is right.
//!
//! ```toml
//! [inputs]
//! proofs = { prompts = "proofs.jsonl", verify = "own" }
//! check  = { text = "check.py" }
//!
//! [grpo.rl]
//! verifier = { program = "inputs.check" }
//! ```
//! It reads `{"prompt", "answer", "gold"}` for each answer, and writes `true`, `false`, or `null` where the gold answer
//! cannot be read.

use engine::stage::StageError;
use serde_json::{Value, json};
use text::Verdict;

use super::{Claim, Found, Loaded, Verifier};
use crate::loading::Loading;
use crate::own::{LoadedOwn, Told};

pub(super) fn load(loading: &Loading<'_>) -> Loaded {
    let own = loading.verifier.ok_or_else(|| {
        StageError::new("there are prompts with `verify = \"own\"`, and no verifier").with_help(
            "give `generate`, `eval` or `grpo` the key `verifier = { program = \"inputs.NAME\" }`; `r1flow grade` has none",
        )
    })?;
    Ok(Box::new(OwnVerifier(own.clone().load("`verifier`", loading.jail)?)))
}

struct OwnVerifier(LoadedOwn);

impl Verifier for OwnVerifier {
    fn verdicts(&self, claims: &[Claim<'_>]) -> Result<Vec<Found>, StageError> {
        let told = claims.iter().map(|claim| Told {
            line: json!({
                "prompt": claim.prompt,
                "answer": claim.answer,
                "gold": Some(claim.gold).filter(|gold| !gold.is_empty()),
            }),
            prompt: claim.prompt.last_text().into_owned(),
        });
        let wanted = "`true`, `false`, or `null` where the gold answer cannot be read";
        let verdicts = self.0.answers(&told.collect::<Vec<_>>(), wanted, verdict)?;
        Ok(verdicts.into_iter().map(Found::of).collect())
    }
}

fn verdict(answer: &Value) -> Result<Verdict, ()> {
    match answer {
        Value::Bool(true) => Ok(Verdict::Correct),
        Value::Bool(false) => Ok(Verdict::Wrong),
        Value::Null => Ok(Verdict::GoldUnparsed),
        _ => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_true_false_or_null() {
        let read = [json!(true), json!(false), json!(null)].map(|answer| verdict(&answer));
        assert_eq!(read, [Ok(Verdict::Correct), Ok(Verdict::Wrong), Ok(Verdict::GoldUnparsed)]);
        for answer in [json!(1), json!(0.5), json!("true"), json!([true])] {
            assert_eq!(verdict(&answer), Err(()), "{answer}");
        }
    }
}
