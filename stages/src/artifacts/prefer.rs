//! `prefer`: finds the better and the worse of several completions of a row, by what its annotators wrote beside them.
//!
//! ```text
//! sign    HelpSteer3   overall_preference: -3 … -1 for the first of two, 1 … 3 for the second
//! index   PKU-SafeRLHF better_response_id: 0 for the first of two, 1 for the second
//! rank    Nectar       answers: [{ answer, rank }], 1 for the best
//! score   UltraFeedback completions: [{ response, overall_score }], the highest for the best
//! ```
//! Completions that are equally good make no pair, and a row without a pair is left out and counted.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::fields::{field, number_of, text_of};
use super::lines::RawRow;

/// Where a row's completions are, and what says which is better.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Prefer {
    /// What `of` contains: the `sign` of a preference (negative for the first, 0 for neither), the `index` of the
    /// better one (0 or 1), each completion's `rank` (lowest best) or its `score` (highest best).
    by: By,
    /// The field that says which is better; for `rank` and `score`, a field of each item of `list`.
    of: String,
    /// The two fields that have the completions.
    #[serde(default)]
    #[schemars(extend("x-required" = true, "x-when" = { "by": ["sign", "index"] }))]
    between: Option<[String; 2]>,
    /// The field that has the list of completions.
    #[serde(default)]
    #[schemars(extend("x-required" = true, "x-when" = { "by": ["rank", "score"] }))]
    list: Option<String>,
    /// The field of each item of `list` that is its text.
    #[serde(default)]
    #[schemars(extend("x-required" = true, "x-when" = { "by": ["rank", "score"] }))]
    text: Option<String>,
    /// Which completions of `list` make pairs: the best and the worst (`extremes`), or each and the next worse one
    /// (`neighbours`).
    #[serde(default)]
    #[schemars(extend("x-when" = { "by": ["rank", "score"] }))]
    pairs: Pairs,
}

/// What says which completion is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum By {
    Sign,
    Index,
    Rank,
    Score,
}

/// Which completions of a list make pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Pairs {
    #[default]
    Extremes,
    Neighbours,
}

/// A better completion, and a worse one.
pub(super) type Pair = (String, String);

impl Prefer {
    /// Returns the pairs of a row; none if no completion is better than another.
    pub(super) fn pairs(&self, row: &RawRow<'_>) -> Result<Vec<Pair>, String> {
        match (&self.between, &self.list, &self.text) {
            (Some(between), None, None) => self.between(row, between),
            (None, Some(list), Some(text)) => self.among(row, list, text),
            _ => Err("`prefer` needs either `between`, or `list` and `text`".to_owned()),
        }
    }

    fn between(&self, row: &RawRow<'_>, [first, second]: &[String; 2]) -> Result<Vec<Pair>, String> {
        let verdict = row.field(&self.of)?.ok_or_else(|| format!("`{}` is empty", self.of))?;
        let number = match verdict.as_ref() {
            Value::Bool(is_second) => f64::from(u8::from(*is_second)),
            verdict => number_of(verdict, &self.of)?,
        };
        let better = match self.by {
            By::Sign => number.partial_cmp(&0.0),
            _ => match [0.0, 1.0].iter().position(|index| number.total_cmp(index).is_eq()) {
                Some(0) => Some(Ordering::Less),
                Some(_) => Some(Ordering::Greater),
                None => return Err(format!("`{}` is {number}, expected 0 or 1", self.of)),
            },
        };
        let (first, second) = (row.completion_at(first)?, row.completion_at(second)?);
        Ok(match better {
            Some(Ordering::Less) => vec![(first, second)],
            Some(Ordering::Greater) => vec![(second, first)],
            _ => Vec::new(),
        })
    }

    fn among(&self, row: &RawRow<'_>, list: &str, text: &str) -> Result<Vec<Pair>, String> {
        let value = row.field(list)?.ok_or_else(|| format!("`{list}` is empty"))?;
        let items = value.as_array().ok_or_else(|| format!("`{list}` is no list, as `prefer` needs"))?;
        let mut completions = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let read = self.item(item, text).map_err(|reason| format!("item {index} of `{list}`: {reason}"));
            completions.push(read?);
        }
        // Stable, so that those that are equally good keep their order.
        completions.sort_by(|one, two| match self.by {
            By::Score => two.0.total_cmp(&one.0),
            _ => one.0.total_cmp(&two.0),
        });
        let pair = |better: &(f64, String), worse: &(f64, String)| {
            better.0.partial_cmp(&worse.0).is_some_and(Ordering::is_ne).then(|| (better.1.clone(), worse.1.clone()))
        };
        Ok(match (self.pairs, completions.as_slice()) {
            (Pairs::Extremes, [best, .., worst]) => pair(best, worst).into_iter().collect(),
            (Pairs::Extremes, _) => Vec::new(),
            (Pairs::Neighbours, all) => all.windows(2).filter_map(|two| pair(&two[0], &two[1])).collect(),
        })
    }

    /// Returns the rank or score of an item, and its text.
    fn item(&self, item: &Value, text: &str) -> Result<(f64, String), String> {
        let fields = item.as_object().ok_or("it has no fields")?;
        let of = |path: &str| field(fields, path)?.ok_or_else(|| format!("`{path}` is empty"));
        let (value, completion) = (of(&self.of)?, of(text)?);
        Ok((number_of(&value, &self.of)?, text_of(&completion, text)?))
    }
}
