//! The keys of kind `tasks`. Some apply to one task or style only, as declared in their schema (`x-when`).

use std::collections::BTreeMap;
use std::fmt;

use engine::stage::StageError;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{TASKS, general, puzzles};
use crate::limits;

/// Which problems to draw, and how many.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case")]
pub struct Params {
    /// The problems: `sums` (chained sums of digits), `general` (reversal, writing, facts, identity, translation),
    /// `chat` (friendly and harmful requests) or `puzzles` (logic, to reason about).
    #[schemars(schema_with = "task_schema")]
    pub task: String,
    /// How the problems are answered. sums: `clean`, `messy` (careless, broken and good answers mixed, to pretrain a
    /// base model on), `reflective` (checks itself). general: `clean`, `noisy` (3 in 10 answers have wrong letters).
    /// chat: `mixed` (good and bad answers as samples), `pairwise`, `pointwise` (preferences). puzzles: `plain`.
    /// The first of each is the default.
    #[schemars(schema_with = "style_schema")]
    pub style: Option<String>,
    /// Which problems to draw: `train` or `test`. A hash of its text puts 1 in 8 problems into `test`; `train` never
    /// contains them. Facts, identity and translation are the same in both.
    pub split: Split,
    /// Number of rows.
    #[schemars(range(min = 1, max = limits::ROWS))]
    pub count: usize,
    /// Seed of all random draws.
    pub seed: u64,
    /// Fewest and most terms of a problem.
    #[schemars(extend("x-when" = { "task": ["sums"] }))]
    pub terms: [usize; 2],
    /// Probability that a term is subtracted. A term is added instead if the sum would fall below zero.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "task": ["sums"] }))]
    pub minus: f64,
    /// Share of thoughts that switch language.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "style": ["messy"] }))]
    pub mixed_language: f64,
    /// Share of right guesses that say `maybe`. For wrong guesses, the share is 10/3 of this.
    #[schemars(range(min = 0.0, max = 0.3), extend("x-when" = { "style": ["messy"] }))]
    pub hedged: f64,
    /// Share of documents with an answered problem before the one to answer.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "style": ["messy"] }))]
    pub pairs: f64,
    /// The skills to draw from: a list of `reverse`, `write`, `facts`, `identity`, `translate` for equal shares, or a
    /// table of shares.
    #[schemars(schema_with = "families_schema", extend("x-when" = { "task": ["general"] }))]
    pub families: Shares,
    /// The puzzles to draw from: a list for equal shares, or a table of shares. `countdown` (reach a number by the four
    /// operations), `knights` (who lies), `zebra` (who has what), `sorting`, `bases` (of numbers), `calendar`, `sudoku`
    /// (4×4), `entailment` (does it follow).
    #[schemars(schema_with = "puzzles_schema", extend("x-when" = { "task": ["puzzles"] }))]
    pub puzzles: Shares,
    /// The easiest and the hardest puzzles, from 1 to 10; each difficulty between is as likely.
    #[schemars(extend("x-when" = { "task": ["puzzles"] }))]
    pub difficulty: [u8; 2],
    /// Topics of the prompts: `helpful` (friendly requests), `harmless` (harmful requests).
    #[schemars(extend("x-when" = { "task": ["chat"] }))]
    pub topics: Vec<Topic>,
    /// Share of friendly requests that are answered warmly; the others are answered curtly.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "style": ["mixed"] }))]
    pub helpful_share: f64,
    /// Share of harmful requests that are refused; the others are followed.
    #[schemars(range(min = 0.0, max = 1.0), extend("x-when" = { "style": ["mixed"] }))]
    pub refusal_share: f64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            task: "sums".to_owned(),
            style: None,
            split: Split::Train,
            count: 1_000,
            seed: 0,
            terms: [3, 5],
            minus: 0.4,
            mixed_language: 0.12,
            hedged: 0.15,
            pairs: 0.08,
            families: Shares::equal(general::family_names()),
            puzzles: Shares::equal(puzzles::names()),
            difficulty: [1, 3],
            topics: vec![Topic::Helpful, Topic::Harmless],
            helpful_share: 0.5,
            refusal_share: 0.5,
        }
    }
}

impl Params {
    /// Refuses shares that are not between 0 and 1.
    pub(super) fn check_shares(&self) -> Result<(), StageError> {
        let shares = [
            ("minus", self.minus),
            ("mixed-language", self.mixed_language),
            ("hedged", self.hedged),
            ("pairs", self.pairs),
            ("helpful-share", self.helpful_share),
            ("refusal-share", self.refusal_share),
        ];
        match shares.into_iter().find(|(_, share)| !(0.0..=1.0).contains(share)) {
            Some((key, share)) => Err(StageError::new(format!("`{key}` is {share}, expected a share between 0 and 1"))),
            None => Ok(()),
        }
    }
}

/// A part of all problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Split {
    /// 7 in 8.
    Train,
    /// 1 in 8, never part of `train`.
    Test,
}

/// What a chat prompt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A friendly request, answered warmly or curtly.
    Helpful,
    /// A harmful request, refused or followed.
    Harmless,
}

/// Names with their shares.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shares(pub BTreeMap<String, f64>);

impl Shares {
    fn equal<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| (name.to_owned(), 1.0)).collect())
    }
}

impl<'de> Deserialize<'de> for Shares {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Shares;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of names, or a table of shares")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Shares, S::Error> {
                let mut shares = BTreeMap::new();
                while let Some(name) = list.next_element()? {
                    shares.insert(name, 1.0);
                }
                Ok(Shares(shares))
            }

            fn visit_map<M: MapAccess<'de>>(self, mut table: M) -> Result<Shares, M::Error> {
                let mut shares = BTreeMap::new();
                while let Some((name, share)) = table.next_entry()? {
                    shares.insert(name, share);
                }
                Ok(Shares(shares))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

fn families_schema(_: &mut SchemaGenerator) -> Schema {
    shares_schema(&general::family_names())
}

fn puzzles_schema(_: &mut SchemaGenerator) -> Schema {
    shares_schema(&puzzles::names())
}

fn shares_schema(names: &[&str]) -> Schema {
    let share = serde_json::json!({ "type": "number", "minimum": 0.0, "default": 0.0 });
    let shares: Map<String, Value> = names.iter().map(|name| ((*name).to_owned(), share.clone())).collect();
    json_schema!({
        "anyOf": [
            { "type": "array", "items": { "type": "string", "enum": names } },
            { "type": "object", "properties": shares, "additionalProperties": false },
        ]
    })
}

fn task_schema(_: &mut SchemaGenerator) -> Schema {
    let names: Vec<_> = TASKS.iter().map(|task| task.name).collect();
    json_schema!({ "type": "string", "enum": names })
}

fn style_schema(_: &mut SchemaGenerator) -> Schema {
    let mut names: Vec<Value> = Vec::new();
    for style in TASKS.iter().flat_map(|task| task.styles) {
        if !names.iter().any(|name| name == style) {
            names.push((*style).into());
        }
    }
    let defaults: Map<String, Value> = TASKS.iter().map(|task| (task.name.to_owned(), task.styles[0].into())).collect();
    json_schema!({ "type": "string", "enum": names, "x-default-by": { "task": defaults } })
}
