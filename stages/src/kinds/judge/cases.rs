//! What the judge is asked about: answers to one prompt, alone or in pairs; and the pairs that its votes make.

use std::collections::{BTreeMap, HashMap, HashSet};

use engine::stage::StageError;

use super::Params;
use super::balance::{Lead, orders};
use super::votes::VoteRow;
use crate::artifacts::SampleRow;
use crate::judges::Asks;
use crate::opinions::Reads;

/// An answer, or two, by their places among all samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Case {
    /// The number of the prompt.
    pub(super) prompt: usize,
    pub(super) first: usize,
    pub(super) second: Option<usize>,
}

/// Returns the cases of all samples, prompt by prompt in their order. Answers that read alike count once.
pub(super) fn cases(samples: &[SampleRow], reads: Reads, params: &Params) -> Result<Vec<Case>, StageError> {
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let key = sample.prompt.key().into_owned();
        let number = *numbers.entry(key).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[number].push(index);
    }
    let (mut cases, mut prompt) = (Vec::new(), 0);
    for mut group in groups {
        if params.limit.is_some_and(|limit| prompt >= limit) {
            break;
        }
        let mut seen = HashSet::new();
        group.retain(|index| seen.insert(reads.of(&samples[*index].completion).trim()));
        if params.judge.asks != Asks::YesNo && group.len() < 2 {
            continue;
        }
        if params.judge.asks == Asks::Comparison {
            group.sort_by_cached_key(|index| orders(params.seed, &samples[*index]));
            // Each answer is in one pair.
            let pairs = group.chunks_exact(2).take(params.pairs_per_prompt());
            cases.extend(pairs.map(|pair| Case { prompt, first: pair[0], second: Some(pair[1]) }));
        } else {
            cases.extend(group.into_iter().map(|first| Case { prompt, first, second: None }));
        }
        prompt += 1;
    }
    if cases.is_empty() {
        let help = "sample several completions of each prompt: `generate` with `completions` above 1";
        return Err(StageError::new("no prompt has two different answers to compare").with_help(help));
    }
    Ok(cases)
}

/// Returns the pairs that votes make, with the lead of the better answer.
pub(super) fn pairs(cases: &[Case], rows: &[VoteRow], params: &Params) -> Vec<Lead> {
    let judged = cases.iter().zip(rows).filter_map(|(case, row)| Some((case, row.mean?)));
    if params.judge.asks == Asks::Comparison {
        let lead = |(case, mean): (&Case, f64)| {
            let second = case.second?;
            let (chosen, rejected) = if mean >= 0.0 { (case.first, second) } else { (second, case.first) };
            Some(Lead { chosen, rejected, by: mean.abs() })
        };
        return judged.filter_map(lead).collect();
    }
    let [least, most] = params.judge.scale().map(|level| level as f64);
    let mut by_prompt: BTreeMap<usize, Vec<(usize, f64)>> = BTreeMap::new();
    for (case, mean) in judged {
        by_prompt.entry(case.prompt).or_default().push((case.first, mean * (most - least)));
    }
    let of_prompt = |mut scored: Vec<(usize, f64)>| {
        // The best with the worst, the next best with the next worst, ….
        scored.sort_by(|one, two| two.1.total_cmp(&one.1).then(one.0.cmp(&two.0)));
        let count = (scored.len() / 2).min(params.pairs_per_prompt());
        let lead = |at: usize| {
            let (best, worst) = (scored[at], scored[scored.len() - 1 - at]);
            Lead { chosen: best.0, rejected: worst.0, by: best.1 - worst.1 }
        };
        (0..count).map(lead).collect::<Vec<_>>()
    };
    by_prompt.into_values().flat_map(of_prompt).collect()
}
