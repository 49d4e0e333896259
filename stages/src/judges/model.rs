//! A loaded judge: it samples its votes, or takes those that it gave before.

use std::cell::Cell;
use std::fmt;
use std::ops::ControlFlow;
use std::path::Path;

use engine::stage::{StageError, warn};
use lm::generate::{Request, Sampling, generate_until};
use lm::{Device, Model};
use serde::{Deserialize, Serialize};
use text::{Chat, Prompt};

use super::ask::{Asked, Asking};
use super::{Asks, JudgeKeys, vote};
use crate::artifacts::{Import, adapter_digest, load_beside};
use crate::cache::Cache;
use crate::held::Held;
use crate::opinions::{self, Case, Opinion, Reads};
use crate::programs;
use crate::sampling::sample_seed;

/// The version of what a judge is told and how it is read: a kept vote of another one says nothing.
const VERSION: u32 = 1;
/// Most characters that are kept of a judge's reasons.
const REASONS: usize = 400;

/// A loaded judge.
pub(crate) struct Judge {
    name: String,
    asking: Asking,
    asks: Asks,
    scale: [i64; 2],
    votes: usize,
    reads: Reads,
    reference: bool,
    model: Held<Model>,
    positions: usize,
    chat: Chat,
    sampling: Sampling,
    batch_size: usize,
    seed: u64,
    /// A hash of all that decides a vote beside the text and its seed.
    identity: blake3::Hasher,
    cache: Cache<Vote>,
    has_complained: Cell<bool>,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Vote {
    /// `None` if it has no verdict.
    score: Option<f64>,
    /// The end of what the judge wrote.
    why: String,
}

/// The votes about one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Judged {
    /// The mean of the votes that can be read, 0 to 1. In a comparison that of all, −2 to 2, where one that cannot be
    /// read counts 0: what is said in one order alone may be about the order. `None` if none can be read.
    pub(crate) mean: Option<f64>,
    /// Votes that can be read.
    pub(crate) readable: usize,
    /// The sum of their scores.
    sum: f64,
    pub(crate) why: String,
}

/// A text that is put to the judge.
#[derive(Clone)]
struct Ballot {
    text: String,
    seed: u64,
    key: String,
    /// Whether a comparison's answers are in the other order.
    swapped: bool,
}

impl Judge {
    /// Loads the judge onto a device; it is taken off it after each use if `offload`.
    pub(crate) fn load(keys: &JudgeKeys, device: Device, offload: bool, seed: u64) -> Result<Self, StageError> {
        let chat = keys.rendering().load(&keys.model)?;
        let (input, dtype) = (keys.model.clone(), keys.dtype);
        let model = Held::load(move || load_beside(&input, device, dtype), !offload)?;
        let positions =
            model.with(|model| Ok(usize::try_from(model.config.max_position_embeddings).unwrap_or(usize::MAX)))?;
        let sampling = Sampling {
            temperature: keys.temperature(),
            max_tokens: keys.max_tokens,
            stop: chat.ends.clone(),
            vocabulary: Some(chat.vocabulary()),
            ..Sampling::default()
        };
        let mut identity = blake3::Hasher::new();
        let template = chat.template.as_ref().map(|template| template.source().to_owned());
        let decisive = (
            VERSION,
            &keys.model.artifact.digest,
            (keys.dtype, device == Device::Cpu),
            (template, &keys.template_args),
            (keys.temperature(), keys.max_tokens),
            (keys.asks, keys.scale()),
        );
        identity.update(&serde_json::to_vec(&decisive)?);
        let Import { adapter, layers, .. } = Import::of(&keys.model)?;
        if let Some(layers) = layers {
            identity.update(&serde_json::to_vec(&layers)?);
        }
        if let Some(adapter) = adapter {
            identity.update(adapter_digest(Path::new(&adapter))?.as_bytes());
        }
        let folder = programs::place().ok().and_then(|place| place.verdicts).map(|folder| folder.join("judges"));
        Ok(Self {
            name: keys.model.name().to_owned(),
            asking: Asking::load(keys)?,
            asks: keys.asks,
            scale: keys.scale(),
            votes: keys.num_votes(),
            reads: keys.reads,
            reference: keys.reference,
            model,
            positions,
            chat,
            sampling,
            batch_size: keys.batch_size,
            seed,
            identity,
            cache: Cache::open(folder.as_deref()),
            has_complained: Cell::new(false),
        })
    }

    /// Returns what the judge reads of a completion.
    pub(crate) fn reads(&self) -> Reads {
        self.reads
    }

    /// Returns whether the judge is told gold answers.
    pub(crate) fn takes_reference(&self) -> bool {
        self.reference
    }

    /// Returns whether it compares answers.
    pub(crate) fn compares(&self) -> bool {
        self.asks == Asks::Comparison
    }

    /// Returns a hash of all that decides the votes about a case.
    pub(crate) fn key(&self, case: &Asked<'_>) -> Result<String, StageError> {
        let mut hasher = blake3::Hasher::new();
        for ballot in self.ballots(case)? {
            hasher.update(ballot.key.as_bytes());
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Returns the votes about each case. A comparison is asked in both orders.
    pub(crate) fn judge(&self, cases: &[Asked<'_>]) -> Result<Vec<Judged>, StageError> {
        let ballots = cases.iter().map(|case| self.ballots(case)).collect::<Result<Vec<_>, _>>()?.concat();
        let votes = self.votes(&ballots)?;
        let judged: Vec<Judged> = votes.chunks(self.votes).map(|votes| Judged::of(votes, self.compares())).collect();
        let unread = votes.len() - judged.iter().map(|judged| judged.readable).sum::<usize>();
        if unread * 5 > votes.len() && !self.has_complained.replace(true) {
            let (name, all) = (&self.name, votes.len());
            warn(&format!(
                "the judge `{name}` gave no verdict in {unread} of {all} votes: raise its `max-tokens`, or ask it by a \
                 `template` of yours"
            ));
        }
        Ok(judged)
    }

    fn ballots(&self, case: &Asked<'_>) -> Result<Vec<Ballot>, StageError> {
        let ballot = |number| {
            let swapped = self.compares() && number % 2 == 1;
            Ok(self.ballot(self.asking.text(case, swapped)?, number, swapped))
        };
        (0..self.votes).map(ballot).collect()
    }

    fn ballot(&self, text: String, number: usize, swapped: bool) -> Ballot {
        let seed = sample_seed(self.seed, 0, &text, number as u64);
        let mut hasher = self.identity.clone();
        // Greedy texts do not depend on the seed.
        let drawn_from = if self.sampling.temperature == 0.0 { 0 } else { seed };
        hasher.update(&drawn_from.to_le_bytes()).update(text.as_bytes());
        Ballot { text, seed, key: hasher.finalize().to_hex().to_string(), swapped }
    }

    /// Returns the vote of each ballot, of before or new.
    fn votes(&self, ballots: &[Ballot]) -> Result<Vec<Vote>, StageError> {
        let mut votes: Vec<Option<Vote>> = ballots.iter().map(|ballot| self.cache.find(&ballot.key)).collect();
        let (mut missing, mut requests): (Vec<usize>, Vec<Request>) = (Vec::new(), Vec::new());
        for (index, ballot) in ballots.iter().enumerate() {
            if votes[index].is_some() {
                continue;
            }
            let prompt = self.chat.prompt_ids(&Prompt::from(ballot.text.clone()))?;
            if prompt.len() < self.positions {
                missing.push(index);
                requests.push(Request { prompt, seed: ballot.seed });
            } else {
                votes[index] = Some(Vote { score: None, why: "too long for the judge's positions".to_owned() });
            }
        }
        if !requests.is_empty() {
            let completions = self.model.with(|model| {
                let is_ended = |ids: &[i64]| self.chat.is_stopped(ids);
                let mut go_on = |_: usize, _: &_| ControlFlow::Continue(());
                Ok(generate_until(model, &requests, &self.sampling, self.batch_size, &is_ended, &mut go_on)?)
            })?;
            for ((index, request), completion) in missing.into_iter().zip(&requests).zip(&completions) {
                let opening = self.chat.opening(&request.prompt);
                let text = format!("{opening}{}", self.chat.completion_text(&completion.ids));
                let score = vote::read(self.asks, self.scale, &text).filter(|_| completion.finished);
                let vote = Vote { score, why: end_of(&text) };
                self.cache.keep(&ballots[index].key, &vote);
                votes[index] = Some(vote);
            }
        }
        let votes = ballots.iter().zip(votes).map(|(ballot, vote)| {
            let Vote { score, why } = vote.expect("each was found or sampled");
            Vote { score: score.map(|score| if ballot.swapped { -score } else { score }), why }
        });
        Ok(votes.collect())
    }
}

impl Judged {
    fn of(votes: &[Vote], compares: bool) -> Self {
        let scores: Vec<f64> = votes.iter().filter_map(|vote| vote.score).collect();
        let (readable, sum) = (scores.len(), scores.iter().fold(0.0, |sum, score| sum + score));
        let why = votes.first().map(|vote| vote.why.clone()).unwrap_or_default();
        let counted = if compares { votes.len() } else { readable };
        Self { mean: (readable > 0).then(|| sum / counted as f64), readable, sum, why }
    }
}

impl opinions::Asked for Judge {
    fn opinions(&self, cases: &[Case<'_>]) -> Result<Vec<Opinion>, StageError> {
        if self.compares() && cases.iter().any(|case| case.gold.is_none()) {
            let judge = format!("the judge `{}` compares with gold answers, and a prompt has none", self.name);
            return Err(StageError::new(judge).with_help("ask it for `yes-no` or a `score`"));
        }
        let asked = cases.iter().map(|case| Asked {
            prompt: case.prompt,
            answer: self.reads.of(case.completion),
            other: case.gold.filter(|_| self.compares()),
            reference: case.gold.filter(|_| self.reference && !self.compares()),
        });
        let judged = self.judge(&asked.collect::<Vec<_>>())?;
        let opinions = judged.into_iter().map(|judged| {
            // A vote without a verdict counts 0 points, and those of a comparison are from −2 to 2.
            let points = if self.compares() { (judged.sum + 2.0 * judged.readable as f64) / 4.0 } else { judged.sum };
            Opinion { score: points / self.votes as f64, why: judged.why }
        });
        Ok(opinions.collect())
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the judge `{}`", self.name)
    }
}

/// Returns the end of a text, on one line.
fn end_of(text: &str) -> String {
    let words = text::think::parse(text).answer.split_whitespace().collect::<Vec<_>>().join(" ");
    let skip = words.chars().count().saturating_sub(REASONS);
    words.chars().skip(skip).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_in_one_order_alone_is_half_a_comparison() {
        let vote = |score| Vote { score, why: String::new() };
        let mean = |scores: &[Option<f64>], compares| {
            Judged::of(&scores.iter().map(|score| vote(*score)).collect::<Vec<_>>(), compares).mean
        };
        assert_eq!(mean(&[Some(2.0), None], true), Some(1.0));
        assert_eq!(mean(&[Some(2.0), Some(2.0)], true), Some(2.0));
        assert_eq!(mean(&[Some(1.0), None], false), Some(1.0));
        assert_eq!(mean(&[None, None], true), None);
    }
}
