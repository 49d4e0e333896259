//! Votes that the engine keeps, so that no attempt asks the judge the same again; and the output `votes`.

use std::collections::HashMap;
use std::path::Path;

use engine::stage::{Context, StageError};
use serde::{Deserialize, Serialize};
use text::Prompt;

use super::cases::Case;
use crate::artifacts::{Error, SampleRow, read_own_lines, write_lines};
use crate::judges::{Asked, Judge, Judged};

const FILE: &str = "votes.jsonl";

/// A line of output `votes`.
#[derive(Serialize)]
pub(super) struct VoteRow {
    prompt: Prompt,
    completion: String,
    /// What it was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
    /// The mean of the votes that have a verdict: 0 to 1, or −2 to 2 for the first of two.
    pub(super) mean: Option<f64>,
    readable: usize,
    /// The end of what the judge wrote in its first vote.
    why: String,
}

/// Votes of this attempt and of earlier ones.
pub(super) struct KeptVotes {
    known: HashMap<String, Judged>,
    new: Vec<KeptVote>,
}

#[derive(Serialize, Deserialize)]
struct KeptVote {
    key: String,
    judged: Judged,
}

impl KeptVotes {
    /// Reads the votes that the engine has kept.
    pub(super) fn read(ctx: &Context) -> Result<Self, StageError> {
        let mut known = HashMap::new();
        for folder in ctx.known_rows() {
            let votes = read_own_lines::<KeptVote>(&folder.join(FILE))?;
            known.extend(votes.into_iter().map(|vote| (vote.key, vote.judged)));
        }
        Ok(Self { known, new: Vec::new() })
    }

    /// Returns the votes about some cases; the judge is asked about those that are not kept.
    pub(super) fn complete(
        &mut self,
        judge: &Judge,
        samples: &[SampleRow],
        cases: &[Case],
    ) -> Result<Vec<VoteRow>, StageError> {
        let asked: Vec<Asked<'_>> = cases.iter().map(|case| asked(judge, samples, case)).collect();
        let keys = asked.iter().map(|asked| judge.key(asked)).collect::<Result<Vec<_>, _>>()?;
        let missing: Vec<usize> = (0..keys.len()).filter(|index| !self.known.contains_key(&keys[*index])).collect();
        let new = judge.judge(&missing.iter().map(|index| asked[*index]).collect::<Vec<_>>())?;
        for (index, judged) in missing.into_iter().zip(new) {
            self.new.push(KeptVote { key: keys[index].clone(), judged: judged.clone() });
            self.known.insert(keys[index].clone(), judged);
        }
        let rows = cases.iter().zip(&keys).map(|(case, key)| row(samples, case, &self.known[key]));
        Ok(rows.collect())
    }

    /// Gives new votes to the engine to keep, after `step` cases.
    pub(super) fn keep(&mut self, ctx: &Context, step: u64) -> Result<(), StageError> {
        let votes = std::mem::take(&mut self.new);
        if votes.is_empty() {
            return Ok(());
        }
        ctx.keep_rows(step, votes.len() as u64, |dir: &Path| -> Result<(), Error> { write_lines(dir, FILE, &votes) })
    }
}

fn asked<'a>(judge: &Judge, samples: &'a [SampleRow], case: &Case) -> Asked<'a> {
    let sample = &samples[case.first];
    let read = |place: usize| judge.reads().of(&samples[place].completion);
    Asked {
        prompt: &sample.prompt,
        answer: read(case.first),
        other: case.second.map(read),
        reference: sample.answer.as_deref().filter(|_| judge.takes_reference()),
    }
}

fn row(samples: &[SampleRow], case: &Case, judged: &Judged) -> VoteRow {
    VoteRow {
        prompt: samples[case.first].prompt.clone(),
        completion: samples[case.first].completion.clone(),
        other: case.second.map(|place| samples[place].completion.clone()),
        mean: judged.mean,
        readable: judged.readable,
        why: judged.why.clone(),
    }
}
