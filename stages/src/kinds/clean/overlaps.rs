//! The n-grams of the prompts that no row may overlap with.

use std::collections::{BTreeMap, HashMap};

use engine::artifact::Prompts;
use engine::stage::{Input, StageError};
use rayon::prelude::*;
use text::overlap::{ngrams, words};
use text::{Message, Prompt};

use super::Row;
use crate::artifacts::read_prompts;

/// The prompts of evaluations, by their n-grams.
pub(super) struct Evaluation {
    ngram: usize,
    prompts: Vec<Asked>,
    sizes: BTreeMap<String, usize>,
    /// The first prompt that has an n-gram.
    first: HashMap<u64, usize>,
}

/// A prompt of an evaluation.
pub(super) struct Asked {
    /// The reference of its set.
    pub(super) set: String,
    /// Its name there.
    pub(super) id: String,
}

impl Evaluation {
    pub(super) fn read(inputs: &[Input<Prompts>], ngram: usize) -> Result<Self, StageError> {
        let mut evaluation = Self { ngram, prompts: Vec::new(), sizes: BTreeMap::new(), first: HashMap::new() };
        for input in inputs {
            let rows = read_prompts(input)?;
            evaluation.sizes.insert(input.name().to_owned(), rows.len());
            for row in rows {
                let index = evaluation.prompts.len();
                evaluation.prompts.push(Asked { set: input.name().to_owned(), id: row.id });
                for gram in grams(&row.prompt, ngram) {
                    evaluation.first.entry(gram).or_insert(index);
                }
            }
        }
        Ok(evaluation)
    }

    /// Returns the number of prompts of each set.
    pub(super) fn sizes(&self) -> &BTreeMap<String, usize> {
        &self.sizes
    }

    /// Returns for each row the prompt of its first n-gram that an evaluation has, too.
    pub(super) fn overlaps(&self, rows: &[Row<'_>]) -> Vec<Option<&Asked>> {
        let overlap = |row: &Row<'_>| {
            let found = grams(row.prompt, self.ngram).into_iter().find_map(|gram| self.first.get(&gram));
            found.map(|index| &self.prompts[*index])
        };
        rows.par_iter().map(overlap).collect()
    }
}

/// Returns the n-grams of each of the user's turns. Other turns are the same in many rows, or are the model's.
fn grams(prompt: &Prompt, n: usize) -> Vec<u64> {
    let turns = prompt.turns();
    let texts = turns.iter().filter(|turn| turn.role == "user").filter_map(Message::text);
    texts.flat_map(|text| ngrams(&words(&text), n).collect::<Vec<_>>()).collect()
}
